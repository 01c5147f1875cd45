"""Slots move between two real shards under one real partition while orders flow."""

from __future__ import annotations

import re

from trading_contract.wire import Code, Side
from trading_engine.tests.integration.moving_load import Load
from trading_engine.tests.integration.moving_site import wait_for
from trading_engine.tests.integration.real_time import (
    REAL_TIME,
    USUAL,
    needs_real_time,
    scheduled,
)
from trading_engine.tests.integration.shard_site import SLOT, Shards, X, Y, check_orders
from trading_engine.tests.integration.wire_client import place

BUY, SELL = Side.BUY, Side.SELL


def test_a_slot_moves_to_another_shard_with_all_it_has(shards: Shards) -> None:
    with shards.client() as client:
        kept = client.one(place("MSFT", BUY, 100, 5, client_id="kept"))
        client.one(place("MSFT", BUY, 101, 1, client_id="gone"))
        client.one(place("MSFT", SELL, 101, 1, account=2))
        client.one(place("AAPL", BUY, 7, 1))
        before = shards.content(X)
        told = shards.move(Y)
        assert told["verified"] and told["pause_milliseconds"] is not None
        assert re.search(r"copying 0\.\d MB with \d+\.\d\d s of rest", shards.process.log)
        assert shards.content(Y) == before
        wait_for(lambda: shards.states() == ("FOLLOWER 2", "ACTIVE 2"))
        assert shards.states(1) == ("ACTIVE 1", "")
        taker = client.one(place("MSFT", SELL, 100, 5, account=2))
        assert taker.fills[0].maker_order_id == kept.order_id
        again = client.one(place("MSFT", BUY, 101, 1, client_id="gone"))
        assert again.code is Code.DUPLICATE_SAME
    wait_for(lambda: shards.content(X) == shards.content(Y))
    shards.restart()
    with shards.client() as client:
        assert client.one(place("MSFT", BUY, 50, 1, client_id="later")).order_id == 5
    assert shards.states()[1] == "ACTIVE 3"


@needs_real_time
def test_orders_come_at_once_while_anybodys_slots_are_copied_and_not_while_they_soak(
    shards: Shards,
) -> None:
    with shards.client() as client:
        client.one(place("MSFT", BUY, 100, 5))
        ((committing,),) = shards.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = 'tc_engine' AND query LIKE '%commit_changes%'", X,
        )  # fmt: skip
        pids = shards.process.process.pid, committing

        def all_are(scheduling: int) -> bool:
            return [scheduled(pid) for pid in pids] == [scheduling, scheduling]

        assert all_are(USUAL)
        shards.order(Y, partition="p1")  # whose copy is not ours to make
        wait_for(lambda: all_are(REAL_TIME), 60)  # this machine is idle then
        assert client.one(place("MSFT", SELL, 100, 5, account=2)).fills
        slots = tuple(
            each.model_copy(update={"shard": Y} if each.id == SLOT else {})
            for each in shards.site.topology.slots
        )
        shards.site.write(slots=slots)  # it is done; the order stays
        wait_for(lambda: all_are(USUAL))
    assert "orders come at once" in shards.process.log


def test_slots_move_back_and_forth_while_their_symbols_are_traded(shards: Shards) -> None:
    with Load(shards, ("MSFT", "ZZZ", "AAPL")) as load:  # type: ignore[arg-type]
        for number in range(8):
            goal = load.count() + 60
            told = shards.move(X if number % 2 else Y)
            assert told["verified"]
            wait_for(lambda goal=goal: load.count() >= goal)  # type: ignore[misc]
    check_orders(load, shards)
    assert load.redirects == 0
    assert "in doubt" not in shards.process.log
    assert shards.serving() == X
    wait_for(lambda: shards.content(X) == shards.content(Y))


def test_what_was_left_is_cleaned_up_when_the_order_goes_and_harms_no_later_start(
    shards: Shards,
) -> None:
    with shards.client() as client:
        kept = client.one(place("MSFT", BUY, 100, 5, client_id="kept"))
        shards.move(Y)
        wait_for(lambda: shards.states() == ("FOLLOWER 2", "ACTIVE 2"))
        assert any(shards.content(X).values())
        shards.site.write(moves=())
        wait_for(lambda: shards.states() == ("MOVED 2", "ACTIVE 2"))
        wait_for(lambda: not any(shards.content(X).values()))
    shards.restart()
    with shards.client() as client:
        taker = client.one(place("MSFT", SELL, 100, 5, account=2))
        assert taker.fills[0].maker_order_id == kept.order_id
    assert shards.states() == ("MOVED 2", "ACTIVE 3")
