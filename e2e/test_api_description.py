"""The API description tells the truth: each documented answer is what a running exchange says."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import httpx
import pytest

from exchange import Exchange, Trader

BID: dict[str, Any] = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "0.00200", "price": "9000.00",
}  # fmt: skip
WORDS = {"object": dict, "array": list, "boolean": bool, "integer": int, "string": str}


def misfit(schema: dict[str, Any], value: Any, at: str = "answer") -> str:
    """Where a value leaves its schema, or mentions what the schema does not; empty: it fits."""
    for choices in ("oneOf", "anyOf"):
        if choices in schema:
            found = [misfit(each, value, at) for each in schema[choices]]
            return "" if "" in found else "; ".join(found)
    if "type" not in schema:
        return ""
    if type(value) is not WORDS[schema["type"]]:
        return f"{at}: {value!r} is no {schema['type']}"
    if isinstance(value, dict):
        return _object_misfit(schema, value, at)
    if isinstance(value, list):
        found = [misfit(schema.get("items", {}), each, f"{at}[]") for each in value]
        return next((each for each in found if each), "")
    return ""


def _object_misfit(schema: dict[str, Any], value: dict[str, Any], at: str) -> str:
    known = schema.get("properties", {})
    if missing := set(schema.get("required", ())) - set(value):
        return f"{at}: {sorted(missing)} are missing"
    if at.endswith("filters[]"):
        return ""  # each filter has fields of its own
    if known and (strange := set(value) - set(known)):
        return f"{at}: {sorted(strange)} are not documented"
    found = [misfit(known.get(name, {}), each, f"{at}.{name}") for name, each in value.items()]
    return next((each for each in found if each), "")


@pytest.fixture
def operations(trader: Trader) -> dict[tuple[str, str], dict[str, Any]]:
    """What is documented below /api/v3, by method and path."""
    paths = trader.http.get("/openapi.json").json()["paths"]
    return {
        (method, path.removeprefix("/api/v3/")): operation
        for path, methods in paths.items() if path.startswith("/api/v3/")
        for method, operation in methods.items()
    }  # fmt: skip


def test_every_operation_has_words_schema_and_example(
    operations: dict[tuple[str, str], dict[str, Any]],
) -> None:
    assert len(operations) > 20
    for name, operation in operations.items():
        assert operation["summary"], name
        assert all(each["description"] for each in operation.get("parameters", [])
                   if each["in"] == "query"), name  # fmt: skip
        for status, response in operation["responses"].items():
            said = response["content"]["application/json"]
            assert misfit(said["schema"], said["example"]) == "", (name, status)


def answers_of(trader: Trader, other: Trader) -> dict[tuple[str, str], httpx.Response]:
    """One good answer of every operation; what was placed is gone at the end."""

    def signed(method: str, path: str, **given: object) -> httpx.Response:
        return trader.signed(method.upper(), path, **given)

    placed = signed("post", "order", **BID)
    number = placed.json()["orderId"]
    other.place("BTCUSDT", "SELL", "0.00100", "9000.00")
    both = json.dumps([BID, {**BID, "price": "9000.001"}])
    of_symbol = partial(dict[str, object], symbol="BTCUSDT")
    told = {
        ("post", "order"): placed,
        ("get", "order"): signed("get", "order", **of_symbol(orderId=number)),
        ("put", "order/amend/keepPriority"): signed(
            "put", "order/amend/keepPriority", **of_symbol(orderId=number, newQty="0.00190")
        ),
        ("post", "order/test"): signed("post", "order/test", **BID),
        ("get", "openOrders"): signed("get", "openOrders", symbol="BTCUSDT"),
        ("post", "order/cancelReplace"): signed(
            "post", "order/cancelReplace", **BID, cancelReplaceMode="STOP_ON_FAILURE",
            cancelOrderId=number,
        ),
        ("post", "batchOrders"): signed("post", "batchOrders", batchOrders=both),
    }  # fmt: skip
    last = told["post", "batchOrders"].json()[0]["orderId"]
    told["delete", "order"] = signed("delete", "order", **of_symbol(orderId=last))
    told["delete", "openOrders"] = signed("delete", "openOrders", symbol="BTCUSDT")
    for path in ("allOrders", "myTrades", "account/commission"):
        told["get", path] = signed("get", path, symbol="BTCUSDT")
    for path in ("account", "rateLimit/order"):
        told["get", path] = signed("get", path)
    for path in ("ping", "time", "exchangeInfo", "ticker/price", "ticker/bookTicker",
                 "ticker/24hr"):  # fmt: skip
        told["get", path] = trader.http.get(f"/api/v3/{path}")
    for path in ("depth", "trades", "historicalTrades", "aggTrades"):
        told["get", path] = trader.http.get(f"/api/v3/{path}?symbol=BTCUSDT")
    told["get", "klines"] = trader.http.get("/api/v3/klines?symbol=BTCUSDT&interval=1m")
    return told


def test_every_answer_is_as_documented(
    operations: dict[tuple[str, str], dict[str, Any]], trader: Trader, other_trader: Trader
) -> None:
    told = answers_of(trader, other_trader)
    assert set(told) == set(operations)
    for name, answer in told.items():
        assert answer.status_code == 200, (name, answer.text)
        assert "x-mbx-used-weight-1m" in answer.headers, name
        schema = operations[name]["responses"]["200"]["content"]["application/json"]["schema"]
        assert misfit(schema, answer.json()) == "", (name, answer.text)


def test_an_order_reads_the_same_alone_and_in_the_list(exchange: Exchange, trader: Trader) -> None:
    open_one = trader.place("BTCUSDT", "BUY", "0.00100", "9000.00")
    ended = trader.signed("POST", "order", **{**BID, "timeInForce": "IOC"}).json()
    assert ended["status"] == "EXPIRED"
    prevented = trader.place("BTCUSDT", "SELL", "0.00100", "9000.00")
    assert prevented["status"] == "EXPIRED_IN_MATCH"
    listed = {each["orderId"]: each for each in trader.signed(
        "GET", "allOrders", symbol="BTCUSDT").json()}  # fmt: skip
    for order in (open_one, ended, prevented):
        alone = trader.signed("GET", "order", symbol="BTCUSDT", orderId=order["orderId"]).json()
        assert listed[order["orderId"]] == alone
    trader.signed("DELETE", "openOrders", symbol="BTCUSDT")
