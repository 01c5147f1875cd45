"""Long ways through a larger world, each by a seed; a failing one is one command.

    python -m trading_contract.tests.move_world.simulation --seed 4711

Each seed chooses how large the world is, which kinds of faults it has and how often they come.
Then the faults are over, nothing new begins, and every move must end (L1).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from trading_contract.tests.move_world.happenings import following
from trading_contract.tests.move_world.properties import (
    is_repeatable,
    is_settled,
    problems_of,
)
from trading_contract.tests.move_world.search import states_of
from trading_contract.tests.move_world.world import (
    INCARNATIONS,
    MOVES,
    Core,
    Limits,
    Move,
    World,
    beginning,
)

STEPS = 120
STEPS_TO_REST_MAX = 3000
# By how what happens is called.
FAULTS = {
    "death": (" dies",),
    "lost connection": (" is cut off", " loses its copy's connection"),
    "lost message": (": never arrived",),
    "failover": (" fails over", " restarts and shows a commit", " warns"),
}


@dataclass
class Walk:
    """What one seed saw. `problem`: the law that broke, "" = none; `path`: how it came to that."""

    seed: int
    limits: Limits
    faults: tuple[str, ...]
    problem: str = ""
    path: list[str] = field(default_factory=list)
    states: set[tuple[str, str]] = field(default_factory=set)  # pairs of states of the two rows

    @property
    def command(self) -> str:
        """What shows it again."""
        return f"python -m trading_contract.tests.move_world.simulation --seed {self.seed}"


def walk(seed: int, core: Core | None = None, steps: int = STEPS) -> Walk:
    """The way of this seed; equal seeds, equal ways."""
    chance = Random(seed)
    core = core or Core()
    kinds = tuple(kind for kind in FAULTS if chance.random() < 0.5)
    limits = _limits(chance, kinds)
    seen = Walk(seed, limits, kinds)
    share = chance.choice((0.02, 0.1, 0.3))  # of the steps that are faults
    world = beginning(limits)
    for _ in range(steps):
        world = _step(world, seen, core, chance, share)
        if seen.problem:
            return seen
    seen.path.append("- the faults are over -")
    world = world._replace(left=world.left._replace(moves=0, failovers=0))
    for _ in range(STEPS_TO_REST_MAX):
        if is_settled(world):
            return seen
        world = _step(world, seen, core, chance, 0.0)
        if seen.problem:
            return seen
    seen.problem = f"L1: a move does not end in {STEPS_TO_REST_MAX} steps without faults"
    return seen


def _limits(chance: Random, kinds: Sequence[str]) -> Limits:
    return Limits(
        commands=chance.randint(1, 8),
        incarnations=chance.randint(0, len(INCARNATIONS) - 1),
        moves=chance.randint(1, len(MOVES)),
        failovers=chance.randint(1, 3) if "failover" in kinds else 0,
        strangers=chance.randint(1, 4),
        engine_moves=chance.random() < 0.5,
        locks_apart=chance.random() < 0.5,
    )


def _step(world: World, seen: Walk, core: Core, chance: Random, share: float) -> World:
    """One thing happens; what it breaks is told in `seen`."""
    faults: list[Move] = []
    others: list[Move] = []
    for move in following(world, seen.limits, core):
        (others if _kind(move.what) is None else faults).append(move)
    faults = [move for move in faults if _kind(move.what) in seen.faults]
    wanted = faults if faults and (chance.random() < share or not others) else others
    if not wanted:  # all engines are dead, and none is left to start
        return world
    what, after = chance.choice(wanted)
    seen.path.append(what)
    problems = problems_of(world, after, core)
    if not problems and not is_repeatable(after, core):
        problems = ["S18: an action of the table is not idempotent"]
    seen.problem = problems[0] if problems else ""
    seen.states.add(states_of(after))
    return after


def _kind(what: str) -> str | None:
    return next((kind for kind, ends in FAULTS.items() if what.endswith(ends)), None)


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 when a law broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, help="show the way of this one")
    parser.add_argument("--seeds", type=int, default=1000, help="how many others (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        shown = walk(chosen.seed)
        print(*shown.path, f"{shown.limits}, faults: {shown.faults}", sep="\n")
        print(shown.problem or "all laws hold")
        return 1 if shown.problem else 0
    begun = time.monotonic()
    states: set[tuple[str, str]] = set()
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        one = walk(seed)
        states |= one.states
        if one.problem:
            print(f"{one.problem}\n{one.command}")
            return 1
    seconds = time.monotonic() - begun
    print(f"{chosen.seeds} seeds in {seconds:.0f} s: all laws hold, {len(states)} pairs of states")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
