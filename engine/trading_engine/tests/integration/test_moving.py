"""Slots move between two real partitions of one real shard while orders flow."""

from __future__ import annotations

from trading_contract.wire import Code, Side
from trading_engine.tests.integration.moving_site import Pair
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
