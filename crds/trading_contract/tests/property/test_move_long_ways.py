"""Long ways through a larger world: by Hypothesis as a state machine, and by seeds."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings, target
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from trading_contract.tests.move_world.happenings import following
from trading_contract.tests.move_world.mutants import MUTANTS, Mutant
from trading_contract.tests.move_world.search import states_of
from trading_contract.tests.move_world.walk import LARGE, problems_of, walk
from trading_contract.tests.move_world.world import Core, Move, beginning

CHOICES = st.integers(0, 1000)
SEEDS_OF_THE_GATE = 100
SEEDS_OF_A_MUTANT = 200
ALL_PAIRS = {
    *(("ACTIVE", state) for state in ("-", "ABORTED", "PREPARED")),
    *(("SEALED", state) for state in ("ABORTED", "ACTIVE", "PREPARED")),
    *(("FOLLOWER", "ACTIVE"), ("MOVED", "ACTIVE")),
}
# Rare by chance: only the search through every state finds these for sure.
RARE = {
    "X is unsealed before Y is poisoned", "the source resumes by a clock",
    "takeover of a SEALED row", "activation of any move", "seal of any move",
    "a copy of another move is finished",
}  # fmt: skip


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


def test_no_seeded_way_breaks_a_law_and_together_they_get_everywhere() -> None:
    pairs = set()
    for seed in range(SEEDS_OF_THE_GATE):
        found = walk(LARGE, Core(), seed)
        again = f"python -m trading_contract.tests.move_world.walk --seed {seed}"
        assert not found.problem, f"{found.problem}; look at it: {again}"
        pairs |= found.row_pairs
    assert pairs == ALL_PAIRS


@pytest.mark.parametrize(
    "mutant", [each for each in MUTANTS if each.name not in RARE], ids=lambda mutant: mutant.name
)
def test_seeded_ways_catch_a_protocol_without_one_of_its_guards(mutant: Mutant) -> None:
    problems = (walk(mutant.limits, mutant.core, n).problem for n in range(SEEDS_OF_A_MUTANT))
    caught = next(filter(None, problems), "it survived")
    assert {law.split(":")[0] for law in caught.split("; ")} & set(mutant.laws), caught


def test_a_seed_is_one_way() -> None:
    first, second = (walk(LARGE, Core(), 7) for _ in range(2))
    assert first == second
    assert walk(LARGE, Core(), 8).path != first.path
