"""Every symbol has exactly one place, and what is known only moves forward."""

from __future__ import annotations

import pytest

from trading_contract.errors import InvariantError
from trading_contract.routing import Route, RoutingTable
from trading_contract.slots import SymbolRange


def table(revision: int = 1, epoch: int = 1) -> RoutingTable:
    """Two slots."""
    return RoutingTable(
        revision,
        [
            Route(1, SymbolRange("H", "~"), "partition-1", "shard-0", epoch),
            Route(0, SymbolRange("", "H"), "partition-0", "shard-0", epoch),
        ],
    )


@pytest.mark.parametrize(
    ("symbol", "partition"),
    [("0X", "partition-0"), ("GZZZ", "partition-0"), ("H", "partition-1"), ("ZZ", "partition-1")],
)
def test_a_symbol_lies_in_the_slot_that_begins_at_or_before_it(symbol: str, partition: str) -> None:
    assert table().locate(symbol).partition == partition


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ([("", "H")], "end at 'H'"),
        ([("A", "~")], "leave a gap"),
        ([("", "H"), ("G", "~")], "overlap"),
        ([("", "H"), ("I", "~")], "leave a gap"),
        ([], "end at ''"),
    ],
)
def test_a_table_that_does_not_tile_is_refused(ranges: list[tuple[str, str]], told: str) -> None:
    routes = [Route(i, SymbolRange(*r), "p", "s", 1) for i, r in enumerate(ranges)]
    with pytest.raises(InvariantError, match=told):
        RoutingTable(1, routes)


def test_an_older_table_changes_nothing() -> None:
    new = table(revision=2)
    assert new.updated(table(revision=1)) is new
    assert new.updated(table(revision=2)) is new


def test_a_newer_table_never_lowers_an_epoch() -> None:
    updated = table(1, epoch=7).updated(table(2, epoch=3))
    assert updated.revision == 2
    assert [route.epoch for route in updated.routes] == [7, 7]
