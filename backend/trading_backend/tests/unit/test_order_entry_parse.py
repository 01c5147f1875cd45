"""Every bad input gets its own code and names the field; a good one becomes one exact command."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from trading_backend.tests.unit.fake_partition import reply_to
from trading_backend.tests.unit.order_desk import (
    ACCOUNT,
    NOW_US,
    ORDER,
    READ_KEY,
    READ_SECRET,
    Desk,
    sign,
    signed,
)
from trading_contract.wire import Kind, OrderType, SelfTrade, Side, TimeInForce

MARKET = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET"}

BAD_ORDERS: list[tuple[dict[str, str | None], int, str]] = [
    ({"symbol": None}, -1102, "'symbol'"),
    ({"side": None}, -1102, "'side'"),
    ({"type": None}, -1102, "'type'"),
    ({"timeInForce": None}, -1102, "'timeInForce'"),
    ({"quantity": None}, -1102, "'quantity'"),
    ({"price": None}, -1102, "'price'"),
    ({"symbol": ""}, -1105, "'symbol'"),
    ({"price": ""}, -1105, "'price'"),
    ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ({"symbol": "btcusdt"}, -1100, "'symbol'"),
    ({"symbol": "B"}, -1100, "'symbol'"),
    ({"symbol": "A" * 17}, -1100, "'symbol'"),
    ({"symbol": "BTC/USDT"}, -1100, "'symbol'"),
    ({"side": "buy"}, -1117, "Invalid side."),
    ({"type": "STOP_LOSS"}, -1116, "Invalid orderType."),
    ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
    ({"quantity": "0"}, -1013, "LOT_SIZE"),
    ({"quantity": "-1"}, -1100, "'quantity'"),
    ({"quantity": "+1"}, -1100, "'quantity'"),
    ({"quantity": "NaN"}, -1100, "'quantity'"),
    ({"quantity": "Infinity"}, -1100, "'quantity'"),
    ({"quantity": "1e3"}, -1100, "'quantity'"),
    ({"quantity": "1."}, -1100, "'quantity'"),
    ({"quantity": ".5"}, -1100, "'quantity'"),
    ({"quantity": "1.2.3"}, -1100, "'quantity'"),
    ({"quantity": "0x10"}, -1100, "'quantity'"),
    ({"quantity": "\u0661"}, -1100, "'quantity'"),
    ({"quantity": "0.000001"}, -1013, "LOT_SIZE"),
    ({"quantity": "0.0000000001"}, -1111, "'quantity'"),
    ({"quantity": "9000.00001"}, -1013, "LOT_SIZE"),
    ({"quantity": "1" * 20}, -1013, "LOT_SIZE"),
    ({"quantity": "1" * 21}, -1100, "'quantity'"),
    ({"price": "0"}, -1013, "PRICE_FILTER"),
    ({"price": "0.00"}, -1013, "PRICE_FILTER"),
    ({"price": "100.105"}, -1013, "PRICE_FILTER"),
    ({"price": "1000000.01"}, -1013, "PRICE_FILTER"),
    ({"price": "99999999999999999999"}, -1013, "PRICE_FILTER"),
    ({"price": "100.123456789"}, -1111, "'price'"),
    ({"price": "nan"}, -1100, "'price'"),
    ({"price": "1", "quantity": "0.00001"}, -1013, "NOTIONAL"),
    ({"quoteOrderQty": "10"}, -1106, "'quoteOrderQty'"),
    ({"stopPrice": "10"}, -1106, "'stopPrice'"),
    ({"icebergQty": "10"}, -1106, "'icebergQty'"),
    ({"trailingDelta": "10"}, -1106, "'trailingDelta'"),
    ({"newClientOrderId": "a" * 37}, -1100, "'newClientOrderId'"),
    ({"newClientOrderId": "a b"}, -1100, "'newClientOrderId'"),
    ({"newClientOrderId": "a.b"}, -1100, "'newClientOrderId'"),
    ({"newClientOrderId": ""}, -1105, "'newClientOrderId'"),
    ({"newOrderRespType": "SHORT"}, -1130, "'newOrderRespType'"),
    ({"selfTradePreventionMode": "TRANSFER"}, -1130, "'selfTradePreventionMode'"),
    ({"foo": "1"}, -1104, "'foo'"),
    ({"orderId": "1"}, -1104, "'orderId'"),
    ({"recvWindow": "60001"}, -1131, "recvWindow"),
    ({"recvWindow": "abc"}, -1100, "'recvWindow'"),
    ({"recvWindow": "-1"}, -1100, "'recvWindow'"),
]


@pytest.mark.parametrize(("change", "code", "text"), BAD_ORDERS, ids=str)
def test_a_bad_order_is_refused_by_name(
    change: dict[str, str | None], code: int, text: str
) -> None:
    params = {k: v for k, v in {**ORDER, **change}.items() if v is not None}
    desk = Desk()
    status, body = desk.ask("POST", "/api/v3/order", params)
    assert (status, body["code"]) == (400, code), body
    assert text in body["msg"]
    assert desk.commands() == []
    assert desk.native.requests() == 0


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({**MARKET}, -1102, "'quantity'"),
        ({**MARKET, "quantity": "1", "price": "1"}, -1106, "'price'"),
        ({**MARKET, "quantity": "1", "timeInForce": "GTC"}, -1106, "'timeInForce'"),
        ({**MARKET, "quantity": "1", "quoteOrderQty": "50"}, -1106, "'quantity'"),
        ({**MARKET, "quoteOrderQty": "4.99"}, -1013, "NOTIONAL"),
        ({**MARKET, "quoteOrderQty": "0"}, -1013, "NOTIONAL"),
        ({**ORDER, "type": "LIMIT_MAKER"}, -1106, "'timeInForce'"),
    ],
    ids=str,
)
def test_each_order_type_takes_only_its_own_parameters(
    params: dict[str, str], code: int, text: str
) -> None:
    status, body = Desk().ask("POST", "/api/v3/order", params)
    assert (status, body["code"]) == (400, code), body
    assert text in body["msg"]


TARGET = {"symbol": "BTCUSDT", "orderId": "12"}


@pytest.mark.parametrize(
    ("method", "path", "params", "code", "text"),
    [
        ("DELETE", "/api/v3/order", {"symbol": "BTCUSDT"}, -1102, "'orderId'"),
        ("DELETE", "/api/v3/order", {**TARGET, "orderId": "x"}, -1100, "'orderId'"),
        ("DELETE", "/api/v3/order", {**TARGET, "orderId": "0"}, -1100, "'orderId'"),
        ("DELETE", "/api/v3/order", {**TARGET, "orderId": "9" * 19}, -1100, "'orderId'"),
        ("DELETE", "/api/v3/order", {**TARGET, "price": "1"}, -1104, "'price'"),
        ("DELETE", "/api/v3/order", {**TARGET, "newClientOrderId": "ä"}, -1100, "'newClientO"),
        ("GET", "/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "%"}, -1100, "'origC"),
        ("GET", "/api/v3/order", {"orderId": "1"}, -1102, "'symbol'"),
        ("DELETE", "/api/v3/openOrders", {}, -1102, "'symbol'"),
        ("GET", "/api/v3/openOrders", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ("PUT", "/api/v3/order/amend/keepPriority", TARGET, -1102, "'newQty'"),
        ("PUT", "/api/v3/order/amend/keepPriority", {**TARGET, "newQty": "0"}, -1013, "LOT_SIZE"),
        ("POST", "/api/v3/order/cancelReplace", ORDER, -1102, "'cancelReplaceMode'"),
        (
            "POST", "/api/v3/order/cancelReplace",
            {**ORDER, "cancelReplaceMode": "STOP_ON_FAILURE"}, -1102, "'cancelOrderId'",
        ),
        (
            "POST", "/api/v3/order/cancelReplace",
            {**ORDER, "cancelReplaceMode": "MAYBE", "cancelOrderId": "1"}, -1130, "'cancelReplac",
        ),
        ("POST", "/api/v3/order/test", {**ORDER, "price": "0.001"}, -1013, "PRICE_FILTER"),
        ("POST", "/api/v3/batchOrders", {}, -1102, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "[]"}, -1105, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "{}"}, -1135, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "[{]"}, -1135, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "[{}] x"}, -1135, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "[{},]"}, -1135, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "[1]"}, -1135, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "[" * 99}, -1135, "'batchOrders'"),
        ("POST", "/api/v3/batchOrders", {"batchOrders": "[{}]", "symbol": "X"}, -1104, "'symbol'"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_requests_of_other_routes_are_refused_by_name(
    method: str, path: str, params: dict[str, str], code: int, text: str
) -> None:
    desk = Desk()
    status, body = desk.ask(method, path, params)
    assert (status, body["code"]) == (400, code), body
    assert text in body["msg"]
    assert desk.native.requests() == 0


def test_a_parameter_sent_twice_is_refused() -> None:
    desk = Desk()
    request = desk.begin("POST", "/api/v3/order", "side=SELL", signed(ORDER))
    status, body = desk.answer(request)
    assert (status, body["code"]) == (400, -1101)
    assert "'side'" in body["msg"]


def test_a_limit_order_becomes_an_exact_command() -> None:
    order = {**ORDER, "newClientOrderId": "my-id_1", "selfTradePreventionMode": "DECREMENT"}
    command = Desk().command("POST", "/api/v3/order", order)
    assert (command.kind, command.symbol, command.account) == (Kind.PLACE, "BTCUSDT", ACCOUNT)
    assert (command.price, command.quantity, command.quote_quantity) == (10010, 50_000, 0)
    assert (command.side, command.type, command.time_in_force) == (
        Side.BUY, OrderType.LIMIT, TimeInForce.GTC,
    )  # fmt: skip
    assert (command.client_id, command.self_trade) == ("my-id_1", SelfTrade.DECREMENT)
    assert command.expires_us == NOW_US + 5_000_000
    assert command.request_id > 0


def test_client_ids_are_made_when_missing_and_never_twice() -> None:
    desk = Desk()
    ids = [desk.command("POST", "/api/v3/order", ORDER).client_id for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(len(i) > 12 and i.isalnum() for i in ids)
    assert ids[0][:12] != Desk().command("POST", "/api/v3/order", ORDER).client_id[:12]


@pytest.mark.parametrize(
    ("symbol", "price", "quantity", "ticks", "lots"),
    [
        ("BTCUSDT", "100.1", "0.00005", 10010, 5),
        ("BTCUSDT", "100.1000000000000", "1.0000000000000000000", 10010, 100_000),
        ("BTCUSDT", "00100.10", "01", 10010, 100_000),
        ("BTCUSDT", "1000000", "9000", 100_000_000, 900_000_000),
        ("AAAUSDT", "0.05", "10", 1, 1),
        ("AAAUSDT", "1.15", "120", 23, 12),
        ("ZZZUSDT", "7", "3", 7, 3),
    ],
)
def test_decimals_become_whole_steps(
    symbol: str, price: str, quantity: str, ticks: int, lots: int
) -> None:
    order = {**ORDER, "symbol": symbol, "price": price, "quantity": quantity}
    if symbol == "BTCUSDT" and lots == 5:
        order["price"], ticks = "100100", 10_010_000
    command = Desk().command("POST", "/api/v3/order", order)
    assert (command.price, command.quantity) == (ticks, lots)


@pytest.mark.parametrize(
    ("price", "quantity", "text"),
    [("0.06", "10", "PRICE_FILTER"), ("0.05", "15", "LOT_SIZE"), ("0.05", "9", "LOT_SIZE")],
)
def test_steps_that_are_no_power_of_ten_have_a_grid_too(
    price: str, quantity: str, text: str
) -> None:
    order = {**ORDER, "symbol": "AAAUSDT", "price": price, "quantity": quantity}
    status, body = Desk().ask("POST", "/api/v3/order", order)
    assert (status, body["code"], body["msg"]) == (400, -1013, f"Filter failure: {text}")


def test_what_does_not_fit_into_64_bits_is_refused_and_does_not_wrap_around() -> None:
    for text in (str((1 << 64) + 7), str(1 << 63), str((1 << 63) + 7)):
        order = {**ORDER, "symbol": "ZZZUSDT", "price": "7", "quantity": text}
        assert Desk().ask("POST", "/api/v3/order", order)[1]["msg"] == "Filter failure: LOT_SIZE"


def test_the_largest_price_and_quantity_whose_product_overflows_are_refused() -> None:
    order = {**ORDER, "symbol": "ZZZUSDT", "price": "9" * 18, "quantity": "9" * 18}
    status, body = Desk().ask("POST", "/api/v3/order", order)
    assert (status, body["msg"]) == (400, "Filter failure: NOTIONAL")
    fits = {**order, "price": "3037000499", "quantity": "3037000499"}
    assert Desk().command("POST", "/api/v3/order", fits).price == 3037000499


def test_a_market_order_by_budget_counts_in_ticks_times_lots() -> None:
    command = Desk().command("POST", "/api/v3/order", {**MARKET, "quoteOrderQty": "100.5"})
    assert (command.quantity, command.quote_quantity) == (0, 1_005_000_000)
    assert (command.type, command.side) == (OrderType.MARKET, Side.SELL)


def test_cancel_amend_and_query_name_their_target() -> None:
    desk = Desk()
    by_id = desk.command("DELETE", "/api/v3/order", TARGET)
    assert (by_id.kind, by_id.order_id, by_id.target_client_id) == (Kind.CANCEL, 12, "")
    by_name = {"symbol": "BTCUSDT", "origClientOrderId": "abc"}
    named = desk.command("DELETE", "/api/v3/order", by_name)
    assert (named.order_id, named.target_client_id, named.client_id) == (0, "abc", "")
    both = desk.command("DELETE", "/api/v3/order", {**by_name, "orderId": "12"})
    assert (both.order_id, both.target_client_id) == (12, "abc")
    amend = {**by_name, "newQty": "0.4"}
    reduced = desk.command("PUT", "/api/v3/order/amend/keepPriority", amend)
    assert (reduced.kind, reduced.quantity) == (Kind.AMEND, 40_000)
    assert desk.command("GET", "/api/v3/order", by_name).kind is Kind.QUERY_ORDER


def test_cancel_replace_carries_target_mode_and_new_order() -> None:
    params = {**ORDER, "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrigClientOrderId": "old"}
    command = Desk().command("POST", "/api/v3/order/cancelReplace", params)
    assert (command.kind, command.flags, command.target_client_id) == (
        Kind.CANCEL_REPLACE, 1, "old",
    )  # fmt: skip
    assert (command.price, command.quantity) == (10010, 50_000)


def test_open_orders_without_a_symbol_asks_for_every_symbol() -> None:
    desk = Desk()
    desk.begin("GET", "/api/v3/openOrders", signed({}))
    commands = desk.commands()
    assert {c.symbol for c in commands} == {"BTCUSDT", "AAAUSDT", "ZZZUSDT"}
    assert {c.kind for c in commands} == {Kind.QUERY_OPEN}


def test_nothing_of_an_earlier_request_shows_in_a_later_one() -> None:
    desk = Desk()
    target = {"symbol": "BTCUSDT", "orderId": "12"}
    for name in ("a-long-name-of-a-cancel", "b"):
        params = {**target, "newClientOrderId": name}
        request = desk.begin("DELETE", "/api/v3/order", signed(params))
        desk.reply([reply_to(c) for c in desk.commands()])
        assert desk.answer(request)[1]["clientOrderId"] == name
    desk.begin("GET", "/api/v3/openOrders", signed({}))
    assert len(desk.commands()) == 3


ITEM: dict[str, Any] = {**ORDER, "newOrderRespType": "ACK"}


@pytest.mark.parametrize("form", ["form", "query", "json", "ndjson"])
def test_a_batch_is_understood_in_all_its_forms(form: str) -> None:
    desk = Desk()
    items = [{**ITEM, "price": price} for price in ("100", "101", "102")]
    text = json.dumps(items)
    path = "/api/v3/batchOrders"
    if form == "form":
        desk.begin("POST", path, "", signed({"batchOrders": text}))
    elif form == "query":
        desk.begin("POST", path, signed({"batchOrders": text}))
    else:
        body = text if form == "json" else "\n".join(json.dumps(i) for i in items) + "\n"
        query = f"timestamp={NOW_US // 1000}"
        query += f"&signature={sign(query + body)}"
        kind = "application/json" if form == "json" else "application/x-ndjson"
        desk.begin("POST", path, query, body, content_type=kind)
    assert [c.price for c in desk.commands()] == [10000, 10100, 10200]


def test_json_numbers_are_read_from_their_text() -> None:
    desk = Desk()
    body = '[{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":0.3,'
    body += '"price":1000000.00}]'
    desk.begin("POST", "/api/v3/batchOrders", "", signed({"batchOrders": body}))
    (command,) = desk.commands()
    assert (command.price, command.quantity) == (100_000_000, 30_000)


def test_escapes_in_json_strings_are_read() -> None:
    body = json.dumps([ITEM]).replace("BTCUSDT", "\\u0042TC\\u0055SDT")
    desk = Desk()
    desk.begin("POST", "/api/v3/batchOrders", "", signed({"batchOrders": body}))
    assert desk.commands()[0].symbol == "BTCUSDT"


def test_a_bad_item_fails_alone_and_keeps_its_place() -> None:
    desk = Desk()
    items = [ITEM, {**ITEM, "price": "0"}, {**ITEM, "x": 1}, {**ITEM, "price": None}, ITEM]
    items += [{**ITEM, "price": [1]}, {**ITEM, "quantity": 1e-7}, {}]
    request = desk.begin(
        "POST", "/api/v3/batchOrders", "", signed({"batchOrders": json.dumps(items)})
    )
    assert len(desk.commands()) == 2
    desk.native.set_connected(0, False, desk.now_us)
    desk.collect()
    status, body = desk.answer(request)
    assert status == 200
    codes = [item["code"] for item in body]
    assert codes == [-1007, -1013, -1104, -1105, -1007, -1130, -1100, -1102]


def test_more_orders_than_the_limit_are_refused_as_a_whole() -> None:
    desk = Desk(batch_orders_max=3)
    status, body = desk.ask("POST", "/api/v3/batchOrders", {"batchOrders": json.dumps([ITEM] * 4)})
    assert (status, body["code"]) == (400, -1130)
    assert desk.commands() == []
    assert desk.native.requests() == 0
    desk.begin("POST", "/api/v3/batchOrders", "", signed({"batchOrders": json.dumps([ITEM] * 3)}))
    assert len(desk.commands()) == 3


def test_a_json_body_for_a_single_order_is_refused_by_name() -> None:
    desk = Desk()
    request = desk.begin(
        "POST", "/api/v3/order", signed({}), json.dumps(ORDER), content_type="application/json"
    )
    status, body = desk.answer(request)
    assert (status, body["code"]) == (400, -1130)
    assert "'content-type'" in body["msg"]


def test_percent_encoding_is_decoded_and_bad_encoding_refused() -> None:
    desk = Desk()
    text = f"symbol={quote('BTCUSDT')}&side=%42UY&type=LIMIT&timeInForce=GTC&quantity=1&price=10"
    text += f"&timestamp={NOW_US // 1000}"
    desk.begin("POST", "/api/v3/order", "", f"{text}&signature={sign(text)}")
    assert desk.commands()[0].side is Side.BUY
    bad = text.replace("%42", "%4")
    request = desk.begin("POST", "/api/v3/order", "", f"{bad}&signature={sign(bad)}")
    assert desk.answer(request)[1]["code"] == -1130


def test_a_read_key_may_ask_but_not_trade() -> None:
    desk = Desk()
    body = signed(ORDER, secret=READ_SECRET)
    request = desk.begin("POST", "/api/v3/order", "", body, key=READ_KEY)
    assert desk.answer(request) == (
        401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
    )  # fmt: skip
    query = signed({"symbol": "BTCUSDT", "orderId": "1"}, secret=READ_SECRET)
    desk.begin("GET", "/api/v3/order", query, key=READ_KEY)
    assert desk.commands()[0].account == 8
