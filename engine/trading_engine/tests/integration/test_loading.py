"""Loading slots over several connections gives the book that one connection gives."""

from __future__ import annotations

import time

import pytest

from trading_contract.errors import WorldError
from trading_contract.wire import Command, Kind
from trading_engine import recovery
from trading_engine._core import Sequencer
from trading_engine.conninfo import LOAD_OPTIONS, shard_conninfo
from trading_engine.recovery import fetch_slots
from trading_engine.taking import TakenSlot
from trading_engine.tests.integration.partition_process import PASSWORDS, Site

ORDERS = 5000
SLOT = TakenSlot(1, "", "M", 1, 0, bytes(32))  # half of the symbols


def fill(site: Site) -> None:
    """Orders of two symbols, one of them outside of the slot, in a wild order of pages."""
    site.rows(
        "INSERT INTO open_orders SELECT (ARRAY['AAPL', 'ZZZ'])[1 + n % 2], n, n % 7, 'c' || n,"
        " (n / 2) % 2, CASE WHEN (n / 2) % 2 = 0 THEN 100 - n % 50 ELSE 101 + n % 50 END, 10, 0, 0,"
        f" 0, {ORDERS + 1} - n, 0, n, 1000, n FROM generate_series(1::bigint, {ORDERS}) n"
    )
    site.rows("UPDATE open_orders SET seq = seq + 1 WHERE order_id % 3 = 0")
    site.rows(
        "INSERT INTO symbol_state SELECT s, 5000, 0, 0, 5000, 9, 9, 0, false, 0"
        " FROM unnest(ARRAY['AAPL', 'ZZZ']) s"
    )


def loading_info(site: Site) -> str:
    """As a partition connects that loads."""
    shard = site.topology.shards[0]
    return shard_conninfo(shard, "tc_engine", PASSWORDS["tc_engine"], "test", LOAD_OPTIONS)


def loaded(site: Site) -> tuple[int, list[tuple[int, bytes]]]:
    """How many orders, and the answers about all accounts."""
    info = loading_info(site)
    rows = fetch_slots(info, [SLOT], site.topology.idempotency, time.time_ns() // 1000)
    sequencer = Sequencer(1000, 10**12)
    assert sequencer.adopt(rows, 1 << 20) == 0
    sequencer.set_slot(1, "", "M", 0, 1, 0, bytes(32))
    asked = [Command(n, Kind.QUERY_OPEN, "AAPL", account=n) for n in range(7)]
    assert sequencer.enqueue(1, b"".join(command.pack() for command in asked))
    return sequencer.open_orders, sequencer.sequence(0, 1, 100).outboxes


def test_several_readers_find_each_row_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site)
    alone = loaded(site)
    assert alone[0] == ORDERS // 2
    monkeypatch.setattr(recovery, "PAGES_PER_STREAM_MIN", 5)
    for streams in (2, 3, 4):
        monkeypatch.setattr(recovery, "STREAMS_MAX", streams)
        assert loaded(site) == alone


def test_slots_are_read_together_without_what_lies_between_them(site: Site) -> None:
    fill(site)
    info, now_us = loading_info(site), time.time_ns() // 1000

    def count(*ranges: tuple[str, str]) -> int:
        slots = [TakenSlot(n, *each, 1, 0, bytes(32)) for n, each in enumerate(ranges)]
        return fetch_slots(info, slots, site.topology.idempotency, now_us).open_orders

    assert count(("Z", "~"), ("AB", "B"), ("", "AB")) == ORDERS
    assert count(("ZZZZ", "~"), ("", "AB")) == ORDERS // 2
    assert count(("B", "ZZZ"), ("ZZZZ", "~")) == 0
    assert count() == 0


def test_a_shard_that_is_away_is_the_worlds_problem(site: Site) -> None:
    shard = site.topology.shards[0].model_copy(update={"hosts": ("127.0.0.1:1",)})
    info = shard_conninfo(shard, "tc_engine", "x", "test")
    with pytest.raises(WorldError, match="cannot load slots"):
        fetch_slots(info, [SLOT], site.topology.idempotency, 0)
