"""A SymbolMove says what it means, or which field does not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trading_contract.crd_move import COLUMNS
from trading_contract.model import ResourceModel
from trading_contract.symbolmove import (
    FINISHED,
    MoveReason,
    MoveState,
    SymbolMove,
    SymbolMoveSpec,
    SymbolMoveStatus,
    split_symbols,
)

GOOD: dict[str, Any] = {"cluster": "demo", "symbols": ["BTCUSDT"], "toPartition": "partition-1"}


@pytest.mark.parametrize(
    "symbols", [["BTCUSDT"], ["A..H"], ["..H"], ["P.."], [".."], ["A..H", "XRPUSDT"]]
)
def test_symbols_and_ranges_are_taken(symbols: list[str]) -> None:
    assert SymbolMoveSpec.model_validate({**GOOD, "symbols": symbols}).target == "partition-1"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": ["btcusdt"]}, "symbols"),
        ({"symbols": ["H..A"]}, "symbols.0"),
        ({"symbols": ["A..A"]}, "symbols.0"),
        ({"toPartition": None}, "toPartition"),
        ({"toShard": "shard-1"}, "toPartition"),
        ({"toPartition": "engine-1"}, "toPartition"),
        ({"toPartition": "partition-01"}, "toPartition"),
        ({"cluster": None}, "cluster"),
        ({"approval": "Perhaps"}, "approval"),
        ({"cancel": "yes"}, "cancel"),
        ({"maxPauseMilliseconds": 5}, "maxPauseMilliseconds"),
        ({"colour": "red"}, "colour"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        SymbolMoveSpec.model_validate({**GOOD, **change})


def test_every_column_exists_in_the_models() -> None:
    parts: dict[str, type[ResourceModel]] = {"spec": SymbolMoveSpec, "status": SymbolMoveStatus}
    for name, _, path, _ in COLUMNS:
        first, field = path.split(".")[1:3]
        if first == "metadata":
            continue
        aliases = {each.alias for each in parts[first].model_fields.values()}
        assert field in aliases, name


def test_finished_states_are_known_and_a_new_move_is_pending() -> None:
    move = SymbolMove.model_validate({
        "apiVersion": "hft.trading/v1alpha1", "kind": "SymbolMove", "metadata": {"name": "m"},
        "spec": GOOD,
    })  # fmt: skip
    assert not move.is_planned
    assert SymbolMoveStatus().state is MoveState.PENDING
    assert MoveState.PENDING not in FINISHED
    assert SymbolMoveStatus(state=MoveState.DONE).is_finished


def test_words_are_camel_case() -> None:
    for word in (*MoveState, *MoveReason):
        assert word[0].isupper()
        assert word.isalpha()


def test_a_line_of_symbols_is_split() -> None:
    assert split_symbols(" A..H, BTCUSDT  XRPUSDT,") == ("A..H", "BTCUSDT", "XRPUSDT")
