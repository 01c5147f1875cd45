"""What a trader was promised, on a real cluster."""

from __future__ import annotations

import time
from decimal import Decimal
from uuid import uuid4

from exchange import Trader


def test_an_order_is_acknowledged_and_found_again(trader: Trader) -> None:
    placed = trader.place("BTCUSDT", "BUY", "0.001", "50000.00")
    assert placed["status"] == "NEW"
    found = trader.signed("GET", "order", symbol="BTCUSDT", orderId=placed["orderId"]).json()
    assert found["clientOrderId"] == placed["clientOrderId"]
    assert Decimal(found["price"]) == Decimal("50000")
    gone = trader.signed("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"]).json()
    assert gone["status"] == "CANCELED"


def test_two_traders_meet_at_the_makers_price(trader: Trader, other_trader: Trader) -> None:
    maker = trader.place("ETHUSDT", "SELL", "0.5", "3000.00")
    taker = other_trader.place("ETHUSDT", "BUY", "0.2", "3010.00", newOrderRespType="FULL")
    assert taker["status"] == "FILLED"
    assert [Decimal(f["price"]) for f in taker["fills"]] == [Decimal("3000")]
    rest = trader.signed("GET", "order", symbol="ETHUSDT", orderId=maker["orderId"]).json()
    assert rest["status"] == "PARTIALLY_FILLED"
    assert Decimal(rest["executedQty"]) == Decimal("0.2")
    mine = trader.signed("GET", "myTrades", symbol="ETHUSDT").json()
    theirs = other_trader.signed("GET", "myTrades", symbol="ETHUSDT").json()
    assert {t["id"] for t in mine} & {t["id"] for t in theirs}
    trader.signed("DELETE", "openOrders", symbol="ETHUSDT")


def test_the_same_client_id_gives_the_first_answer_again(trader: Trader) -> None:
    client_id = uuid4().hex
    order = {"symbol": "SOLUSDT", "side": "BUY", "quantity": "1.000", "price": "20.00"}
    first = trader.place(**order, newClientOrderId=client_id)
    again = trader.place(**order, newClientOrderId=client_id)
    assert again["orderId"] == first["orderId"]
    other = trader.signed(
        "POST",
        "order",
        symbol="SOLUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="2.000",
        price="20.00",
        newClientOrderId=client_id,
    )
    assert other.status_code == 409
    assert other.json()["code"] == -2010
    trader.signed("DELETE", "openOrders", symbol="SOLUSDT")


def test_the_book_shows_what_rests(trader: Trader) -> None:
    trader.place("XRPUSDT", "BUY", "100.0", "0.5000")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        book = trader.http.get("/api/v3/depth", params={"symbol": "XRPUSDT"}).json()
        if [[Decimal(p), Decimal(q)] for p, q in book["bids"]] == [
            [Decimal("0.5"), Decimal("100")]
        ]:
            break
        time.sleep(0.05)
    else:
        raise AssertionError(book)
    trader.signed("DELETE", "openOrders", symbol="XRPUSDT")


def test_a_batch_answers_item_by_item(trader: Trader) -> None:
    import json

    good = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.001",
        "price": "40000.00",
    }
    bad = {**good, "price": "40000.001"}
    answer = trader.signed("POST", "batchOrders", batchOrders=json.dumps([good, bad, good]))
    assert answer.status_code == 200, answer.text
    first, second, third = answer.json()
    assert first["status"] == third["status"] == "NEW"
    assert second["code"] == -1013
    cancelled = trader.signed("DELETE", "openOrders", symbol="BTCUSDT").json()
    assert {first["orderId"], third["orderId"]} <= {o["orderId"] for o in cancelled}
