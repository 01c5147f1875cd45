"""The seeded simulation of moves: the same protocol code as the search of small worlds."""

from __future__ import annotations

import pytest

from trading_contract.tests.move_world.mutants import MUTANTS, Mutant
from trading_contract.tests.move_world.simulation import FAULTS, main, walk
from trading_contract.tests.property.test_move_small_world import ALL_PAIRS

SEEDS = 150
SEEDS_FOR_A_MUTANT = 3000
# Chance takes long to find these; the last one only the search of every state finds.
RARE = {
    "takeover of a SEALED row", "a copy of another move is finished", "seal of any move",
    "activation at any sequence", "a lag from before the stop decides",
}  # fmt: skip
TOO_RARE = {"activation of any move"}
SOON = [mutant for mutant in MUTANTS if mutant.name not in RARE | TOO_RARE]


def test_no_seed_breaks_a_law_and_every_move_ends() -> None:
    walks = [walk(seed) for seed in range(SEEDS)]
    for each in walks:
        assert not each.problem, "\n".join([each.problem, *each.path, each.command])
    assert set().union(*(each.states for each in walks)) >= ALL_PAIRS
    assert set().union(*(each.faults for each in walks)) == set(FAULTS)


def test_a_seed_always_goes_the_same_way() -> None:
    assert [walk(7).path, walk(8).path] == [walk(7).path, walk(8).path]
    assert walk(7).path != walk(8).path


def is_caught(mutant: Mutant) -> bool:
    """By whatever law breaks first on a long way."""
    return any(walk(seed, mutant.core).problem for seed in range(SEEDS_FOR_A_MUTANT))


@pytest.mark.parametrize("mutant", SOON, ids=lambda mutant: mutant.name)
def test_a_protocol_without_one_of_its_guards_is_caught_by_some_seed(mutant: Mutant) -> None:
    assert is_caught(mutant)


@pytest.mark.long
@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name in RARE], ids=lambda m: m.name)
def test_rare_ways_are_found_by_some_seed(mutant: Mutant) -> None:
    assert is_caught(mutant)


def test_one_command_shows_a_seed_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "7"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[: len(walk(7).path)] == walk(7).path
    assert told[-1] == "all laws hold"
