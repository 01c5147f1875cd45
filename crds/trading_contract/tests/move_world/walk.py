"""Seeded ways through a world too large to search, with the same protocol code.

    python -m trading_contract.tests.move_world.walk --seed 7
    python -m trading_contract.tests.move_world.walk --seeds 0..5000

The first tells each thing that happens, so that a seed that fails is looked at by one command; the
second names the seeds that fail. Every seed draws how often each kind of happening comes (swarm
testing: Groce et al., ISSTA 2012), as what all chances together rarely bring, few alone may.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from random import Random

from trading_contract.tests.move_world.happenings import following
from trading_contract.tests.move_world.properties import wrong, wrong_change, wrong_of_engines
from trading_contract.tests.move_world.search import Found, states_of
from trading_contract.tests.move_world.world import Core, Limits, Move, World, beginning

LARGE = Limits(
    commands=3, incarnations=3, moves=3, failovers=0, strangers=4, engine_moves=True,
    locks_apart=True,
)  # fmt: skip
STEPS_MAX = 400
CHANCES = (0.02, 0.2, 1.0)  # of a kind; each seed draws its own
DEATH = 0.02  # times its chance: else few ways would get far


def kind_of(what: str) -> str:
    """Who does what: without the number of the engine, the name of the shard, the values."""
    plain = re.sub(r"\b(\d+|[XY])\b|[-\[\](){}]|\bb'.*", "", re.sub(r"^[XY], [^:]*", "shard", what))
    return " ".join(plain.split()[:3])


def problems_of(before: World, after: World, core: Core) -> list[str]:
    """The laws that this step broke."""
    return [*wrong_change(before, after), *wrong(after, core), *wrong_of_engines(after)]


def walk(limits: Limits, core: Core, seed: int, steps_max: int = STEPS_MAX) -> Found:
    """One way: the same for the same seed. It ends at a broken law, or where nothing can happen."""
    random = Random(seed)
    chances: dict[str, float] = defaultdict(lambda: random.choice(CHANCES))
    found = Found(states=1)
    world = beginning(limits)
    while found.changes < steps_max and not found.problem:
        chosen = _chosen(world, limits, core, random, chances)
        if chosen is None:
            break
        found.path.append(chosen.what)
        found.happened.add(kind_of(chosen.what))
        found.changes += 1
        found.problem = "; ".join(problems_of(world, chosen.after, core))
        found.states += chosen.after != world
        world = chosen.after
        found.row_pairs.add(states_of(world))
    return found


def _chosen(
    world: World, limits: Limits, core: Core, random: Random, chances: dict[str, float]
) -> Move | None:
    kinds: dict[str, list[Move]] = defaultdict(list)
    for move in following(world, limits, core):
        kinds[kind_of(move.what)].append(move)
    if not kinds:  # all engines are dead, and none is left to start
        return None
    kind = random.choices(list(kinds), [_chance(each, chances) for each in kinds])[0]
    return random.choice(kinds[kind])


def _chance(kind: str, chances: dict[str, float]) -> float:
    ends = kind.endswith(("dies", "is cut"))
    return chances[kind] * (DEATH if ends else 1)


def main() -> int:
    """Exit status 1 when a law broke."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="one seed, told step by step")
    which.add_argument("--seeds", metavar="FROM..TO", help="many; those that fail are named")
    parser.add_argument("--steps", type=int, default=STEPS_MAX, help="of each way, at most")
    chosen = parser.parse_args()
    core = Core()
    if chosen.seed is not None:
        found = walk(LARGE, core, chosen.seed, chosen.steps)
        print(*found.path, found.problem or f"no law broke in {found.changes} steps", sep="\n")
        return 1 if found.problem else 0
    if not (bounds := re.fullmatch(r"(\d+)\.\.(\d+)", chosen.seeds)):
        parser.error("--seeds: two numbers, such as 0..5000")
    first, past = int(bounds[1]), int(bounds[2])
    failed = [seed for seed in range(first, past) if walk(LARGE, core, seed, chosen.steps).problem]
    print(f"{past - first} seeds, {len(failed)} failed", *failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
