"""Every state of small worlds, with the same protocol code."""

from __future__ import annotations

import pytest

from trading_contract.tests.move_world.mutants import MUTANTS, Mutant
from trading_contract.tests.move_world.search import Found, search
from trading_contract.tests.move_world.world import Core, Limits

ALL_PAIRS = {
    *(("ACTIVE", state) for state in ("-", "ABORTED", "PREPARED")),
    *(("SEALED", state) for state in ("ABORTED", "ACTIVE", "PREPARED")),
    *(("FOLLOWER", "ACTIVE"), ("MOVED", "ACTIVE")),
}
GATE = {
    "a takeover and its zombie": Limits(commands=2, shard_moves=False),
    "engine moves": Limits(commands=2, shard_moves=False, engine_moves=True),
    "a takeover, locks seen by others": Limits(commands=1, shard_moves=False, locks_apart=True),
    "a failover that loses commits": Limits(commands=2, shard_moves=False, failovers=1),
    "a shard move and a failover": Limits(commands=1, incarnations=0, failovers=1),
    "two shard moves": Limits(commands=1, incarnations=0, moves=2),
    "two shard moves, two operators": Limits(commands=0, incarnations=0, moves=2, strangers=2),
}
LONG = {
    "engine moves, three incarnations": Limits(
        commands=1, incarnations=2, shard_moves=False, engine_moves=True
    ),
    "a shard move, a takeover, a zombie": Limits(commands=1, incarnations=1),
    "the same, two operators": Limits(commands=0, incarnations=1, strangers=2),
    "two commands": Limits(commands=2, incarnations=0, moves=2),
}


def judge(found: Found) -> None:
    """Nothing broke; what the search saw is said with `-rP`."""
    assert not found.problem, "\n".join([found.problem, *found.path])
    print(f"{found.states} states, {found.changes} changes, {len(found.row_pairs)} pairs of states")


@pytest.mark.parametrize("name", GATE)
def test_no_state_of_a_small_world_breaks_a_law(name: str) -> None:
    found = search(GATE[name], Core())
    judge(found)
    if "two shard moves" in name:
        assert found.row_pairs >= ALL_PAIRS
    fenced = any("TC001" in what or "TC002" in what for what in found.happened)
    assert fenced or not GATE[name].incarnations  # zombies were seen trying


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_no_state_of_a_larger_world_breaks_a_law(name: str) -> None:
    judge(search(LONG[name], Core()))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_protocol_without_one_of_its_guards_is_caught(mutant: Mutant) -> None:
    found = search(mutant.limits, mutant.core)
    assert found.problem.split(":")[0] in mutant.laws, found.problem or "it survived"
