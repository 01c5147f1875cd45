"""Replies of the partition become the answers that clients of this API expect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trading_backend.tests.unit.fake_partition import TIME_US, reply_to
from trading_backend.tests.unit.order_desk import ORDER, Desk, signed
from trading_contract.wire import (
    FLAG_CANCELLED_PART,
    FLAG_MORE,
    Code,
    EndReason,
    Fill,
    OrderStatus,
    SelfTrade,
)

TIME_MS = TIME_US // 1000
ID = {"newClientOrderId": "mine"}
TARGET = {"symbol": "BTCUSDT", "orderId": "12"}
REPLACE = {**ORDER, **ID, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": "12"}


def answer(
    method: str, path: str, params: dict[str, Any], *changes: dict[str, Any], **options: Any
) -> tuple[int, Any]:
    """The answer when the partition replies once for each set of changes."""
    desk = Desk()
    request = desk.begin(method, path, "", signed(params), **options)
    (command,) = desk.commands()
    desk.reply([reply_to(command, **change) for change in changes])
    assert desk.native.requests() == 0
    assert desk.native.in_flight(0) == 0
    return desk.answer(request)


def test_an_acknowledgement_is_short() -> None:
    params = {**ORDER, **ID, "newOrderRespType": "ACK"}
    status, body = answer("POST", "/api/v3/order", params, {"order_id": 28})
    assert status == 200
    assert body == {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": TIME_MS + 1,
    }


def test_a_result_tells_the_orders_state() -> None:
    params = {**ORDER, **ID, "newOrderRespType": "RESULT"}
    status, body = answer("POST", "/api/v3/order", params, {"order_id": 28})
    assert status == 200
    assert body == {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": TIME_MS + 1,
        "price": "100.10",
        "origQty": "0.50000",
        "executedQty": "0.00000",
        "origQuoteOrderQty": "0.0000000",
        "cummulativeQuoteQty": "0.0000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": TIME_MS,
        "selfTradePreventionMode": "EXPIRE_TAKER",
    }


def test_a_full_answer_has_the_fills() -> None:
    market = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quoteOrderQty": "100", **ID}
    fills = (Fill(56, 400_000, 100_000, 3), Fill(57, 399_900, 900_000, 4))
    change = {
        "fills": fills, "status": OrderStatus.FILLED, "quantity": 1_000_000,
        "executed": 1_000_000, "executed_quote": 400_000 * 100_000 + 399_900 * 900_000,
    }  # fmt: skip
    status, body = answer("POST", "/api/v3/order", market, change)
    assert status == 200
    assert (body["status"], body["executedQty"]) == ("FILLED", "10.00000")
    assert body["cummulativeQuoteQty"] == "39991.0000000"
    assert body["origQuoteOrderQty"] == "100.0000000"
    assert body["fills"] == [
        {"price": "4000.00", "qty": "1.00000", "commission": "0", "commissionAsset": "USDT",
         "tradeId": 56},
        {"price": "3999.00", "qty": "9.00000", "commission": "0", "commissionAsset": "USDT",
         "tradeId": 57},
    ]  # fmt: skip


def test_the_buyers_fee_is_in_the_base_asset() -> None:
    _, body = answer("POST", "/api/v3/order", ORDER, {"fills": (Fill(1, 1, 1, 1),)})
    assert body["fills"][0]["commissionAsset"] == "BTC"


def test_what_was_prevented_and_why_it_expired_is_told() -> None:
    change = {
        "status": OrderStatus.EXPIRED_IN_MATCH, "prevented": 3, "end_reason": EndReason.SELF_TRADE,
        "self_trade": SelfTrade.EXPIRE_BOTH,
    }  # fmt: skip
    _, body = answer("POST", "/api/v3/order", ORDER, change)
    assert (body["status"], body["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "0.00003")
    assert body["selfTradePreventionMode"] == "EXPIRE_BOTH"
    assert "expiryReason" not in body
    expired = {"status": OrderStatus.EXPIRED, "end_reason": EndReason.IOC_UNFILLED}
    _, body = answer("POST", "/api/v3/order", ORDER, expired)
    assert body["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"


def test_times_are_in_microseconds_when_asked_for() -> None:
    _, body = answer("POST", "/api/v3/order", ORDER, {}, microseconds=True)
    assert (body["transactTime"], body["workingTime"]) == (TIME_US + 1000, TIME_US)


def test_a_cancel_names_the_order_and_itself() -> None:
    change = {"status": OrderStatus.CANCELED, "client_id": "theirs", "price": 5, "quantity": 9}
    status, body = answer("DELETE", "/api/v3/order", {**TARGET, "newClientOrderId": "c"}, change)
    assert status == 200
    assert (body["origClientOrderId"], body["clientOrderId"]) == ("theirs", "c")
    assert (body["orderId"], body["status"], body["price"]) == (12, "CANCELED", "0.05")


def test_open_orders_are_a_list_and_may_be_empty() -> None:
    end = {"code": Code.END}
    one = {"client_id": "a", "flags": FLAG_MORE, "price": 1, "quantity": 2}
    symbol = {"symbol": "BTCUSDT"}
    status, body = answer("GET", "/api/v3/openOrders", symbol, one, {**one, "client_id": "b"}, end)
    assert status == 200
    assert [o["clientOrderId"] for o in body] == ["a", "b"]
    assert body[0]["isWorking"] is True
    assert answer("GET", "/api/v3/openOrders", symbol, end) == (200, [])
    status, body = answer("DELETE", "/api/v3/openOrders", symbol, one, end)
    assert (status, len(body)) == (200, 1)
    unknown = {"code": -2011, "msg": "Unknown order sent."}
    assert answer("DELETE", "/api/v3/openOrders", symbol, end) == (400, unknown)


def test_an_amended_order_is_told_inside_its_event() -> None:
    params = {**TARGET, "newQty": "0.4"}
    path = "/api/v3/order/amend/keepPriority"
    status, body = answer("PUT", path, params, {"client_id": "mine", "price": 10010})
    assert status == 200
    assert body["executionId"] == 7
    order = body["amendedOrder"]
    assert (order["qty"], order["price"], order["clientOrderId"]) == ("0.40000", "100.10", "mine")


CANCELLED = {
    "status": OrderStatus.CANCELED,
    "flags": FLAG_MORE | FLAG_CANCELLED_PART,
    "client_id": "old",
}
PATH = "/api/v3/order/cancelReplace"


def test_cancel_replace_tells_both_halves() -> None:
    status, body = answer("POST", PATH, REPLACE, CANCELLED, {"order_id": 13})
    assert status == 200
    assert (body["cancelResult"], body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert body["cancelResponse"]["origClientOrderId"] == "old"
    assert (body["newOrderResponse"]["orderId"], body["newOrderResponse"]["fills"]) == (13, [])


@pytest.mark.parametrize(
    ("cancel", "place", "http", "code", "results"),
    [
        (Code.ORDER_NOT_ACTIVE, None, 400, -2022, ("FAILURE", "NOT_ATTEMPTED")),
        (Code.ORDER_NOT_ACTIVE, Code.INVALID_REPLACEMENT, 400, -2022, ("FAILURE", "NOT_ATTEMPTED")),
        (
            Code.INVALID_REPLACEMENT,
            Code.INVALID_ORDER,
            400,
            -2022,
            ("NOT_ATTEMPTED", "FAILURE"),
        ),
        (Code.OK, Code.POST_ONLY_WOULD_TAKE, 409, -2021, ("SUCCESS", "FAILURE")),
        (Code.ORDER_NOT_ACTIVE, Code.OK, 409, -2021, ("FAILURE", "SUCCESS")),
        (Code.ORDER_NOT_ACTIVE, Code.SYMBOL_HALTED, 400, -2022, ("FAILURE", "FAILURE")),
    ],
)
def test_half_done_cancel_replace_tells_which_half(
    cancel: Code, place: Code | None, http: int, code: int, results: tuple[str, str]
) -> None:
    first = {**CANCELLED, "code": cancel}
    if place is None:
        first["flags"] = FLAG_CANCELLED_PART
        status, body = answer("POST", PATH, REPLACE, first)
    else:
        status, body = answer("POST", PATH, REPLACE, first, {"code": place})
    assert (status, body["code"]) == (http, code)
    assert (body["data"]["cancelResult"], body["data"]["newOrderResult"]) == results
    assert (body["data"]["newOrderResponse"] is None) == (results[1] == "NOT_ATTEMPTED")
    if cancel is Code.INVALID_REPLACEMENT:
        assert body["data"]["cancelResponse"] is None
    elif cancel is not Code.OK:
        assert body["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}


def test_a_cancel_replace_that_is_refused_as_a_whole_is_one_error() -> None:
    assert answer("POST", PATH, REPLACE, {"code": Code.DUPLICATE_OTHER})[1]["code"] == -2010
    assert answer("POST", PATH, REPLACE, {"code": Code.BUSY})[0] == 503


@pytest.mark.parametrize(
    ("code", "http", "api", "text"),
    [
        (Code.DUPLICATE_OTHER, 409, -2010, "Duplicate order sent."),
        (Code.POST_ONLY_WOULD_TAKE, 400, -2010, "Order would immediately match and take."),
        (Code.SYMBOL_HALTED, 400, -2010, "Market is closed."),
        (Code.ACCOUNT_HALTED, 400, -2010, "This action is disabled on this account."),
        (Code.REQUEST_EXPIRED, 400, -1021, "outside of the recvWindow"),
        (Code.BUSY, 503, -1008, "overloaded"),
        (Code.UNKNOWN_OUTCOME, 504, -1007, "execution status unknown"),
        (Code.PRICE_BAND, 400, -1013, "PERCENT_PRICE_BY_SIDE"),
        (Code.TOO_MANY_OPEN_ORDERS, 400, -1013, "MAX_NUM_ORDERS"),
        (Code.UNKNOWN_SYMBOL, 400, -1121, "Invalid symbol."),
    ],
)
def test_refusals_of_the_partition_have_their_fixed_texts(
    code: Code, http: int, api: int, text: str
) -> None:
    status, body = answer("POST", "/api/v3/order", ORDER, {"code": code})
    assert (status, body["code"]) == (http, api)
    assert text in body["msg"]


def test_an_unknown_order_has_another_code_for_amend_than_for_cancel() -> None:
    gone = {"code": Code.ORDER_NOT_ACTIVE}
    assert answer("DELETE", "/api/v3/order", TARGET, gone)[1]["code"] == -2011
    amend = {**TARGET, "newQty": "1"}
    assert answer("PUT", "/api/v3/order/amend/keepPriority", amend, gone)[1]["code"] == -2038


def test_busy_says_when_to_come_back() -> None:
    desk = Desk()
    request = desk.begin("POST", "/api/v3/order", "", signed(ORDER))
    desk.reply([reply_to(desk.commands()[0], code=Code.BUSY)])
    assert (b"retry-after", b"1") in desk.answers[request].headers


def test_a_batch_keeps_the_order_of_its_items_whatever_the_order_of_replies() -> None:
    desk = Desk()
    items = [{**ORDER, "newClientOrderId": f"c{i}", "newOrderRespType": "ACK"} for i in range(5)]
    items[2]["price"] = "0"
    text = json.dumps(items)
    request = desk.begin("POST", "/api/v3/batchOrders", "", signed({"batchOrders": text}))
    commands = desk.commands()
    desk.reply([reply_to(command) for command in reversed(commands[1:])])
    assert request not in desk.answers
    desk.reply([reply_to(commands[0], code=Code.SYMBOL_HALTED)])
    status, body = desk.answer(request)
    assert status == 200
    assert body[0]["code"] == -2010
    assert body[2]["code"] == -1013
    assert [body[i]["clientOrderId"] for i in (1, 3, 4)] == ["c1", "c3", "c4"]


def test_replies_cut_anywhere_are_put_together_again() -> None:
    for cut in range(1, 300, 7):
        desk = Desk()
        request = desk.begin("POST", "/api/v3/order", "", signed(ORDER))
        record = reply_to(desk.commands()[0], fills=(Fill(1, 2, 3, 4),)).pack()
        data = (8 + len(record)).to_bytes(4, "little") + bytes([4, 0, 0, 0]) + record
        for part in (data[:cut], data[cut : cut + 5], data[cut + 5 :], b""):
            assert desk.native.feed(0, part, desk.now_us)
        desk.collect()
        assert desk.answer(request)[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        (7).to_bytes(4, "little") + bytes(4),
        (5 << 20).to_bytes(4, "little") + bytes(4),
        (208).to_bytes(4, "little") + bytes([4, 0, 0, 0]) + bytes(196) + b"\1\0\0\0",
        (108).to_bytes(4, "little") + bytes([4, 0, 0, 0]) + bytes(100),
    ],
    ids=["short", "long", "fills beyond the end", "half a record"],
)
def test_bytes_that_are_not_our_wire_are_refused(data: bytes) -> None:
    assert not Desk().native.feed(0, data, 0)


def test_a_late_or_foreign_reply_is_passed_over() -> None:
    desk = Desk()
    request = desk.begin("POST", "/api/v3/order", "", signed(ORDER))
    (command,) = desk.commands()
    desk.reply([reply_to(command, request_id=999), reply_to(command), reply_to(command)])
    assert desk.answer(request)[0] == 200


def test_a_duplicate_is_answered_with_what_the_shard_says() -> None:
    desk = Desk()
    request = desk.begin("POST", "/api/v3/order", "", signed({**ORDER, **ID}))
    (command,) = desk.commands()
    first = reply_to(command, code=Code.DUPLICATE_SAME, order_id=44)
    assert desk.native.feed(0, _frame(first.pack()), desk.now_us)
    (lookup,) = desk.collect()
    assert lookup[1:6] == (True, "BTCUSDT", 7, 44, "")
    stored = reply_to(command, order_id=44, executed=9, fills=(Fill(5, 6, 7, 8),))
    desk.native.resolve(lookup[0], stored.pack(), b"")
    desk.collect()
    status, body = desk.answer(request)
    assert (status, body["orderId"], body["fills"][0]["tradeId"]) == (200, 44, 5)
    assert desk.native.requests() == 0


def test_a_duplicate_that_cannot_be_read_is_unknown_and_an_absent_order_is_not_found() -> None:
    desk = Desk()
    request = desk.begin("POST", "/api/v3/order", "", signed({**ORDER, **ID}))
    query = desk.begin("GET", "/api/v3/order", signed(TARGET))
    placed, asked = desk.commands()
    for reply in (
        reply_to(placed, code=Code.DUPLICATE_SAME),
        reply_to(asked, code=Code.NO_SUCH_ORDER),
    ):
        assert desk.native.feed(0, _frame(reply.pack()), desk.now_us)
    for lookup in desk.collect():
        desk.native.resolve(lookup[0], b"", b"")
    desk.collect()
    assert desk.answer(request)[1]["code"] == -1007
    assert desk.answer(query)[1]["code"] == -2013


def test_an_order_asked_for_by_id_and_name_must_have_both() -> None:
    for name, code in (("mine", 0), ("other", -2013)):
        desk = Desk()
        params = {**TARGET, "origClientOrderId": name}
        request = desk.begin("GET", "/api/v3/order", signed(params))
        (command,) = desk.commands()
        desk.native.feed(0, _frame(reply_to(command, code=Code.NO_SUCH_ORDER).pack()), 0)
        (lookup,) = desk.collect()
        desk.native.resolve(lookup[0], reply_to(command, client_id="mine").pack(), b"")
        desk.collect()
        assert desk.answer(request)[1].get("code", 0) == code


def test_a_duplicate_cancel_replace_reads_both_orders() -> None:
    desk = Desk()
    request = desk.begin("POST", PATH, "", signed(REPLACE))
    (command,) = desk.commands()
    assert desk.native.feed(
        0, _frame(reply_to(command, code=Code.DUPLICATE_SAME, order_id=13).pack()), desk.now_us
    )
    (lookup,) = desk.collect()
    assert lookup[6:] == (12, "")
    cancelled = reply_to(command, order_id=12, status=OrderStatus.CANCELED, client_id="old")
    desk.native.resolve(lookup[0], reply_to(command, order_id=13).pack(), cancelled.pack())
    desk.collect()
    status, body = desk.answer(request)
    assert (status, body["cancelResponse"]["orderId"]) == (200, 12)
    assert body["newOrderResponse"]["orderId"] == 13


def _frame(record: bytes) -> bytes:
    return (8 + len(record)).to_bytes(4, "little") + bytes([4, 0, 0, 0]) + record
