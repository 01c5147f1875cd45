"""Slots move between two real partitions of one real shard while orders flow."""

from __future__ import annotations

from trading_contract.wire import Code, Side
from trading_engine.tests.integration.moving_load import (
    Load,
    check,
    recovered_digest,
    replayed_digest,
)
from trading_engine.tests.integration.moving_site import Pair, wait_for
from trading_engine.tests.integration.wire_client import place

BUY, SELL = Side.BUY, Side.SELL


def test_a_slot_moves_with_all_it_has(pair: Pair) -> None:
    with pair.client("p0") as client:
        kept = client.one(place("MSFT", BUY, 100, 5, client_id="kept"))
        client.one(place("MSFT", BUY, 101, 1, client_id="gone"))
        client.one(place("MSFT", SELL, 101, 1, account=2))
        stays = client.one(place("AAPL", BUY, 7, 1))
        told = pair.move(2, "p1")
        assert told["pause_milliseconds"] is not None and told["verified"]
        assert client.one(place("MSFT", BUY, 90, 1)).code is Code.WRONG_OWNER
        assert client.one(place("AAPL", SELL, 7, 1, account=2)).fills[0].maker_order_id == (
            stays.order_id
        )
        assert [slot["id"] for slot in client.welcome["slots"]] == [1]
    with pair.client("p1") as client:
        assert client.depth("MSFT").bids == ((100, 5),)
        for name, price, quantity in (("kept", 100, 5), ("gone", 101, 1)):
            again = client.one(place("MSFT", BUY, price, quantity, client_id=name))
            assert again.code is Code.DUPLICATE_SAME, name
        taker = client.one(place("MSFT", SELL, 100, 5, account=2))
        assert (taker.order_id, taker.fills[0].maker_order_id) == (4, kept.order_id)
        assert taker.fills[0].trade_id == 2
    assert pair.rows("SELECT slot_id, epoch, partition FROM slot_owner ORDER BY 1") == [
        (1, 1, "p0"), (2, 2, "p1"),
    ]  # fmt: skip


def test_slots_move_back_and_forth_while_their_symbols_are_traded(pair: Pair) -> None:
    with Load(pair, ("MSFT", "ZZZ", "AAPL")) as load:
        for number in range(16):
            goal = load.count() + 60
            told = pair.move(2, "p1" if number % 2 == 0 else "p0")
            assert told["verified"]
            wait_for(lambda goal=goal: load.count() >= goal)  # type: ignore[misc]
    check(load)
    assert load.redirects > 0
    assert pair.rows("SELECT epoch FROM slot_owner WHERE slot_id = 2") == [(17,)]
    assert "in doubt" not in pair.processes["p0"].log + pair.processes["p1"].log
    # The books of memory are those of the rows, and of the whole log.
    with pair.client("p0") as client:
        for symbol in ("MSFT", "ZZZ"):
            resting = client.depth(symbol)
            levels = pair.rows(
                "SELECT price, sum(quantity - executed - prevented), attributes & 1 FROM"
                f" open_orders WHERE symbol = '{symbol}' GROUP BY 1, 3 ORDER BY 1"
            )
            asks = tuple((price, int(left)) for price, left, side in levels if side == 1)
            bids = tuple((price, int(left)) for price, left, side in levels[::-1] if side == 0)
            assert (resting.bids, resting.asks) == (bids, asks)
    assert replayed_digest(pair, 2) == recovered_digest(pair, 2)


def test_a_slot_is_split_its_right_part_moves_and_comes_back_to_be_merged(pair: Pair) -> None:
    with Load(pair, ("MSFT", "ZZZ")) as load:
        wait_for(lambda: load.count() > 50)
        pair.change("split", (2,), split_at="N", new_slot=7)
        wait_for(lambda: load.count() > 100)
        assert pair.rows("SELECT slot_id, epoch, born_seq = last_seq FROM slot_owner"
                         " WHERE slot_id IN (2, 7) ORDER BY 1")[1][:2] == (7, 2)  # fmt: skip
        pair.move(7, "p1")
        wait_for(lambda: load.count() > 200)
        assert {slot["id"] for slot in pair.status("p0")["slots"]} == {1, 2}
        assert {slot["id"] for slot in pair.status("p1")["slots"]} == {7}
        pair.move(7, "p0")
        pair.change("merge", (2, 7))
        wait_for(lambda: load.count() > 400)
        pair.move(2, "p1")
        wait_for(lambda: load.count() > 500)
    check(load, sequences=False)  # they begin anew where slots are born
    states = "SELECT slot_id, state, first_sym, past_sym FROM slot_owner ORDER BY 1"
    assert pair.rows(states) == [
        (1, "ACTIVE", "", "M"), (2, "ACTIVE", "M", "~"), (7, "MOVED", "N", "~"),
    ]  # fmt: skip
    # Prepared again, restarted: all is as it was.
    pair.site.prepare()
    pair.processes["p1"].kill()
    pair.start("p1")
    assert {slot["id"] for slot in pair.status("p1")["slots"]} == {2}
    with pair.client("p1") as client:
        name, order_id = load.placed["ZZZ"][0]
        again = client.one(place("ZZZ", BUY, 100 - 1, 1, account=11, client_id=name))
        assert (again.code, again.order_id) == (Code.DUPLICATE_SAME, order_id)


def test_a_split_that_is_not_possible_is_told_and_changes_nothing(pair: Pair) -> None:
    move = pair.order("split", (2,), "p0", split_at="A", new_slot=7)
    wait_for(lambda: pair.told("p0", move).get("state") == "Failed")
    assert "does not lie inside" in pair.told("p0", move)["problem"]
    pair.cancel(move)
    used = pair.order("split", (2,), "p0", split_at="N", new_slot=1)
    wait_for(lambda: pair.told("p0", used).get("state") == "Failed")
    assert "refuses" in pair.told("p0", used)["problem"]
    with pair.client("p0") as client:
        assert client.one(place("ZZZ", BUY, 1, 1)).code is Code.OK
    assert pair.rows("SELECT slot_id, epoch FROM slot_owner ORDER BY 1") == [(1, 1), (2, 1)]
