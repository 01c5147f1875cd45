"""Ranges split and merge without losing a symbol."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_contract.routing import Route, RoutingTable
from trading_contract.slots import SymbolRange, check_tiles
from trading_contract.symbols import HIGHEST, LOWEST

SYMBOL = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=16)


@given(bounds=st.sets(SYMBOL, max_size=20), symbol=SYMBOL)
def test_exactly_one_slot_holds_a_symbol_and_the_table_finds_it(
    bounds: set[str], symbol: str
) -> None:
    edges = [LOWEST, *sorted(bounds), HIGHEST]
    ranges = [SymbolRange(a, b) for a, b in pairwise(edges)]
    check_tiles(ranges)
    (holder,) = [r for r in ranges if r.contains(symbol)]
    table = RoutingTable(1, [Route(i, r, "p", "s", 0) for i, r in enumerate(ranges)])
    assert table.locate(symbol).range == holder


@given(bounds=st.lists(SYMBOL, min_size=3, max_size=3, unique=True), symbol=SYMBOL)
def test_merge_undoes_split(bounds: list[str], symbol: str) -> None:
    first, middle, past = sorted(bounds)
    whole = SymbolRange(first, past)
    left, right = whole.split(middle)
    assert left.merge(right) == whole
    assert whole.contains(symbol) == (left.contains(symbol) or right.contains(symbol))
    with pytest.raises(ValueError, match="not neighbours"):
        right.merge(left)


@given(SYMBOL)
def test_an_empty_range_is_refused(symbol: str) -> None:
    with pytest.raises(ValueError, match="empty symbol range"):
        SymbolRange(symbol, symbol)
