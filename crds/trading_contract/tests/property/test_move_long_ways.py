"""Long ways through a larger world, by Hypothesis as a state machine."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings, target
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from trading_contract.tests.move_world.happenings import following
from trading_contract.tests.move_world.properties import problems_of
from trading_contract.tests.move_world.search import states_of
from trading_contract.tests.move_world.world import Core, Limits, Move, beginning

CHOICES = st.integers(0, 1000)
LARGE = Limits(
    commands=3, incarnations=3, moves=3, failovers=0, strangers=4, engine_moves=True,
    locks_apart=True,
)  # fmt: skip


class MovingSlot(RuleBasedStateMachine):
    """Engines, shards and operators act in any order; each may also die, or be cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core()
        self.world = beginning(LARGE)
        self.pairs: set[tuple[str, str]] = set()

    def able(self, who: str | tuple[str, ...]) -> list[Move]:
        """What this one may do now."""
        return [m for m in following(self.world, LARGE, self.core) if m.what.startswith(who)]

    def happen(self, moves: list[Move], choice: int) -> None:
        """One of these; no law may break."""
        what, after = moves[choice % len(moves)]
        problems = problems_of(self.world, after, self.core)
        assert not problems, "\n".join([what, *problems])
        self.world = after
        self.pairs.add(states_of(after))

    @precondition(lambda self: self.able("engine"))
    @rule(choice=CHOICES)
    def an_engine_acts(self, choice: int) -> None:
        self.happen(self.able("engine"), choice)

    @precondition(lambda self: self.able("an operator"))
    @rule(choice=CHOICES)
    def an_operator_acts(self, choice: int) -> None:
        self.happen(self.able("an operator"), choice)

    @precondition(lambda self: self.able(("X", "Y")))
    @rule(choice=CHOICES)
    def a_shard_acts(self, choice: int) -> None:
        self.happen(self.able(("X", "Y")), choice)

    @precondition(lambda self: not self.able(""))
    @rule()
    def all_are_dead_and_another_world_begins(self) -> None:
        self.world = beginning(LARGE)

    def teardown(self) -> None:
        target(float(len(self.pairs)))


MovingSlot.TestCase.settings = settings(
    max_examples=60, stateful_step_count=80, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
test_whoever_acts_in_whatever_order_no_law_breaks = MovingSlot.TestCase
