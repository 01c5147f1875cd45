"""Bad requests: each a clear error of the right code, never a 5xx, and nothing is stored."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from exchange import Exchange, Trader

GOOD: dict[str, Any] = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "0.001", "price": "50000.00",
}  # fmt: skip

BAD_ORDERS = [
    ({"price": "50000.001"}, -1013, "PRICE_FILTER"),
    ({"price": "0"}, -1013, "PRICE_FILTER"),
    ({"price": "-1"}, -1100, "price"),
    ({"price": "NaN"}, -1100, "price"),
    ({"price": "1e5"}, -1100, "price"),
    ({"price": "99999999999999999999999"}, -1100, "price"),
    ({"price": "9223372036854775807"}, -1013, ""),
    ({"price": None}, -1102, "price"),
    ({"quantity": "0"}, -1013, "LOT_SIZE"),
    ({"quantity": "0.000001"}, -1013, "LOT_SIZE"),
    ({"quantity": ""}, -1105, "quantity"),
    ({"quantity": "0.00001", "price": "1.00"}, -1013, "NOTIONAL"),
    ({"symbol": "NOSUCHUSDT"}, -1121, "symbol"),
    ({"symbol": "btc/usdt"}, -1100, "symbol"),
    ({"side": "HOLD"}, -1117, "side"),
    ({"type": "ICEBERG"}, -1116, "orderType"),
    ({"timeInForce": "GTD"}, -1115, "timeInForce"),
    ({"newClientOrderId": "x" * 37}, -1100, "newClientOrderId"),
    ({"newClientOrderId": "a b"}, -1100, "newClientOrderId"),
    ({"surprise": "1"}, -1104, "surprise"),
    ({"recvWindow": "60001"}, -1131, "recvWindow"),
    ({"timestamp": "1"}, -1021, "recvWindow"),
    ({"timestamp": str(10**13 * 2)}, -1021, "ahead"),
]


@pytest.mark.parametrize(("change", "code", "word"), BAD_ORDERS)
def test_a_bad_order_is_refused_by_name(
    trader: Trader, change: dict[str, Any], code: int, word: str
) -> None:
    fields = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    answer = trader.signed("POST", "order", **fields)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["code"] == code, answer.text
    assert word.lower() in answer.json()["msg"].lower(), answer.text


def test_a_wrong_signature_is_refused(trader: Trader) -> None:
    text = f"symbol=BTCUSDT&timestamp={time.time_ns() // 1_000_000}&signature={'0' * 64}"
    answer = trader.http.get(
        f"/api/v3/openOrders?{text}", headers={"X-MBX-APIKEY": trader.key.api_key}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, -1022)


def test_an_unknown_key_is_refused(exchange: Exchange, trader: Trader) -> None:
    answer = trader.http.get(
        "/api/v3/openOrders?timestamp=1&signature=00", headers={"X-MBX-APIKEY": "A" * 64}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, -2015)


@pytest.mark.parametrize(
    "path",
    ["depth", "depth?symbol=BTCUSDT&limit=0", "depth?symbol=BTCUSDT&limit=x", "trades?symbol=%00",
     "klines?symbol=BTCUSDT&interval=7m", "depth?symbol=BTCUSDT&symbol=ETHUSDT",
     "ticker/price?symbol=NOPE", "depth?symbol=BTCUSDT&colour=red", "nosuchroute"],
)  # fmt: skip
def test_a_bad_read_is_refused(trader: Trader, path: str) -> None:
    answer = trader.http.get(f"/api/v3/{path}")
    assert 400 <= answer.status_code < 500, (path, answer.text)
    assert answer.json()["msg"], path


@pytest.mark.parametrize("body", ["{", "[]", "[1]", '[{"symbol":1}]', "null", "[" * 5000])
def test_a_malformed_batch_is_refused(trader: Trader, body: str) -> None:
    query = f"timestamp={time.time_ns() // 1_000_000}"
    secret = trader.key.secret.encode()
    signature = hmac.new(secret, (query + body).encode(), hashlib.sha256).hexdigest()
    answer = trader.http.post(
        f"/api/v3/batchOrders?{query}&signature={signature}",
        content=body,
        headers={"X-MBX-APIKEY": trader.key.api_key, "Content-Type": "application/json"},
    )
    if answer.status_code == 200:  # understood as a list: each item is refused on its own
        assert all(item["code"] < 0 for item in answer.json()), answer.text
    else:
        assert 400 <= answer.status_code < 500, answer.text
        assert json.loads(answer.text)["code"] < 0


def test_a_body_that_is_too_large_is_refused(trader: Trader) -> None:
    answer = trader.http.post(
        "/api/v3/batchOrders", content=b"x" * (2 << 20), headers={"X-MBX-APIKEY": "A" * 64}
    )
    assert answer.status_code == 413, answer.text


def test_nothing_bad_left_a_trace(trader: Trader) -> None:
    assert trader.signed("GET", "openOrders", symbol="BTCUSDT").json() == []
