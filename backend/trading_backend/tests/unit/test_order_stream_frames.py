"""The WebSocket API below its sockets: frames cut anywhere, and every request answered once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trading_backend.tests.unit.fake_partition import reply_to
from trading_backend.tests.unit.order_desk import (
    ACCOUNT,
    KEY,
    NOW_US,
    ORDER,
    READ_KEY,
    READ_SECRET,
    SECRET,
    Desk,
    sign,
)
from trading_backend.tests.unit.stream_frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    close_code,
    frames,
    masked,
    messages,
    request,
)
from trading_contract.wire import Code, Kind

BRIEF = {**ORDER, "newOrderRespType": "ACK"}


def sealed(params: dict[str, Any], secret: str = SECRET, key: str = KEY) -> dict[str, Any]:
    """Parameters with key, time and the signature over the sorted ones."""
    full = {**params, "apiKey": key, "timestamp": NOW_US // 1000}
    text = {k: json.dumps(v) if isinstance(v, bool) else v for k, v in full.items()}
    payload = "&".join(f"{k}={text[k]}" for k in sorted(text))
    return {**full, "signature": sign(payload, secret)}


class Client:
    """A stream on a desk."""

    def __init__(self, *, logged_on: bool = True, rate_limits: bool = False) -> None:
        self.desk = Desk()
        self.native = self.desk.native
        self.stream = self.native.stream_open(rate_limits, NOW_US)
        self.events: list[Any] = []
        if logged_on:
            (answer,) = self.say(request("session.logon", sealed({})))
            assert answer["status"] == 200, answer

    def send(self, data: bytes) -> bytes:
        """Send bytes, let everything through, give back what comes at once."""
        runs, events, self.closing = self.native.stream_receive(self.stream, data, NOW_US)
        self.events += events
        self.runs = runs
        for _account, requests, _orders in runs:
            self.native.stream_submit(self.stream, requests, -1, -1, -1, NOW_US)
        return self.native.stream_output(self.stream)

    def say(self, data: bytes) -> list[Any]:
        """Send bytes; the messages that come at once."""
        return messages(self.send(data))

    def settle(self, **changes: Any) -> list[Any]:
        """Let the partition answer all commands; the messages that follow."""
        replies = [reply_to(c, **changes) for c in self.desk.commands()]
        data = b"".join(r.pack() for r in replies)
        head = (8 + len(data)).to_bytes(4, "little") + bytes([4, 0, 0, 0])
        assert self.native.feed(0, head + data, NOW_US)
        done = self.native.drain()
        return messages(b"".join(out for _, out in done[1])) if done else []


def test_an_order_is_placed_and_answered_with_its_id() -> None:
    client = Client()
    assert client.say(request("order.place", BRIEF, "abc-1")) == []
    (answer,) = client.settle()
    assert (answer["id"], answer["status"]) == ("abc-1", 200)
    assert answer["result"]["orderId"] == 1
    assert "rateLimits" not in answer
    assert client.native.stream_in_flight(client.stream) == 0


@pytest.mark.parametrize("ident", [0, 7, -1, "x", "", None])
def test_ids_come_back_as_they_were_sent(ident: Any) -> None:
    assert Client().say(request("ping", ident=ident))[0]["id"] == ident


@pytest.mark.parametrize("ident", [1.5, [1], {}, True, "a" * 80, 'a"b', "é"])
def test_an_id_that_cannot_be_echoed_is_refused(ident: Any) -> None:
    (answer,) = Client().say(request("ping", ident=ident))
    assert (answer["id"], answer["status"], answer["error"]["code"]) == (None, 400, -1130)


def test_bytes_cut_anywhere_give_the_same_answers() -> None:
    data = b"".join(request("order.place", BRIEF, i) for i in range(4)) + request("ping", None, 9)
    for cut in range(1, len(data), 13):
        client = Client()
        pongs = client.say(data[:cut]) + client.say(data[cut:])
        assert [m["id"] for m in pongs] == [9]
        assert [m["id"] for m in client.settle()] == [0, 1, 2, 3]


def test_one_byte_at_a_time_is_enough() -> None:
    client = Client()
    for byte in request("order.place", BRIEF, 5):
        client.send(bytes([byte]))
    assert [m["id"] for m in client.settle()] == [5]


def test_fragments_make_one_message_and_control_frames_may_come_between() -> None:
    text = json.dumps({"id": 3, "method": "order.place", "params": BRIEF}).encode()
    client = Client()
    assert client.send(masked(text[:10], final=False)) == b""
    assert frames(client.send(masked(b"hi", PING))) == [(PONG, b"hi")]
    client.send(masked(text[10:50], 0, final=False))
    client.send(masked(text[50:], 0))
    assert [m["id"] for m in client.settle()] == [3]
    assert [m["id"] for m in client.say(request("ping", None, 4))] == [4]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),
        (masked(b"{}", rsv=4), 1002),
        (masked(b"{}", 3), 1002),
        (masked(b"{}", 11), 1002),
        (masked(b"{}", 0), 1002),
        (masked(b"{", final=False) + masked(b"}"), 1002),
        (masked(b"x" * 126, PING), 1002),
        (masked(b"", PING, final=False), 1002),
        (masked(b"x", CLOSE), 1002),
        (masked(b"{}", BINARY), 1003),
        (masked(b'"\xff"'), 1007),
        (masked(b'"\xc0\xaf"'), 1007),
        (masked(b'"\xed\xa0\x80"'), 1007),
        (b"\x81\xff" + (1 << 30).to_bytes(8, "big") + bytes(4), 1009),
        (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1009),
        (masked(b"", CLOSE), 1000),
        (masked(b"\x03\xe8bye", CLOSE), 1000),
    ],
)
def test_what_is_not_a_clients_frame_closes_the_stream_with_its_code(
    data: bytes, code: int
) -> None:
    client = Client()
    out = client.send(data + request("ping"))
    assert client.closing
    assert close_code(out) == code
    assert messages(out) == []


def test_fragments_beyond_the_limit_close_the_stream() -> None:
    client = Client()
    part = b"x" * 600_000
    assert client.send(masked(part, final=False)) == b""
    assert close_code(client.send(masked(part, 0, final=False))) == 1009


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", -1135),
        ("{", -1135),
        ("[]", -1135),
        ('{"id":1}}', -1135),
        ('{"id":1,"method":"ping",}', -1135),
        ('{"id":1,"method":"ping"', -1135),
        ("{'id':1}", -1135),
        ('{"id":01}', -1135),
        ('{"id":1,"method":"ping","params":' + "[" * 50 + "}", -1135),
    ],
)
def test_malformed_json_is_answered_with_id_null(text: str, code: int) -> None:
    (answer,) = Client().say(masked(text.encode()))
    assert (answer["id"], answer["status"], answer["error"]["code"]) == (None, 400, code)


@pytest.mark.parametrize(
    ("message", "code", "word"),
    [
        ({"id": 1}, -1102, "'method'"),
        ({"id": 1, "method": "nope"}, -1020, "not supported"),
        ({"id": 1, "method": 5}, -1130, "'method'"),
        ({"id": 1, "method": "ping", "params": []}, -1130, "'params'"),
        ({"id": 1, "method": "ping", "extra": 1}, -1104, "'extra'"),
        ({"id": 1, "method": "order.place", "params": {**BRIEF, "price": "0"}}, -1013, "PRICE"),
        ({"id": 1, "method": "order.place", "params": {**BRIEF, "foo": 1}}, -1104, "'foo'"),
        ({"id": 1, "method": "order.place", "params": {**BRIEF, "price": {}}}, -1130, "'price'"),
        ({"id": 1, "method": "order.place", "params": {**BRIEF, "price": None}}, -1105, "'price'"),
        ({"id": 1, "method": "orders.place", "params": {}}, -1102, "'orders'"),
        ({"id": 1, "method": "orders.place", "params": {"orders": []}}, -1105, "'batchOrders'"),
        ({"id": 1, "method": "order.cancel", "params": {"symbol": "BTCUSDT"}}, -1102, "'orderId'"),
        ({"id": 1, "method": "session.dance"}, -1020, "not supported"),
    ],
)
def test_what_is_not_understood_is_answered_with_the_id(
    message: dict[str, Any], code: int, word: str
) -> None:
    (answer,) = Client().say(masked(json.dumps(message).encode()))
    assert (answer["id"], answer["status"], answer["error"]["code"]) == (1, 400, code), answer
    assert word in answer["error"]["msg"]


def test_a_request_without_logon_needs_its_own_signature() -> None:
    client = Client(logged_on=False)
    (answer,) = client.say(request("order.place", BRIEF))
    assert (answer["status"], answer["error"]["code"]) == (401, -2015)
    assert client.say(request("order.place", sealed(BRIEF))) == []
    assert client.settle()[0]["status"] == 200
    params = {**BRIEF, "returnRateLimits": False}
    assert client.say(request("order.place", sealed(params))) == []
    wrong = {**sealed(BRIEF), "price": "100.11"}
    assert client.say(request("order.place", wrong))[0]["error"]["code"] == -1022
    stale = sealed({**BRIEF, "recvWindow": 0})
    client.native.stream_receive(client.stream, request("order.place", stale), NOW_US + 1001)
    assert messages(client.native.stream_output(client.stream))[0]["error"]["code"] == -1021


def test_logon_status_and_logout() -> None:
    client = Client(logged_on=False)
    bad = request("session.logon", {**sealed({}), "signature": "0" * 64})
    assert client.say(bad)[0]["error"]["code"] == -1022
    assert client.say(request("session.status"))[0]["result"]["apiKey"] is None
    logged = client.say(request("session.logon", sealed({})))[0]["result"]
    assert (logged["apiKey"], logged["authorizedSince"]) == (KEY, NOW_US // 1000)
    assert client.say(request("session.logout"))[0]["result"]["apiKey"] is None
    assert client.say(request("order.place", BRIEF))[0]["status"] == 401


def test_a_read_key_may_log_on_and_ask_but_not_trade() -> None:
    client = Client(logged_on=False)
    logon = sealed({}, READ_SECRET, READ_KEY)
    assert client.say(request("session.logon", logon))[0]["status"] == 200
    assert client.say(request("order.place", BRIEF))[0]["status"] == 401
    assert client.say(request("order.status", {"symbol": "BTCUSDT", "orderId": 1})) == []


def test_revoking_the_key_ends_the_sessions_rights() -> None:
    client = Client()
    client.native.set_keys([])
    assert client.say(request("order.place", BRIEF))[0]["error"]["code"] == -2015


def test_every_method_becomes_its_command() -> None:
    client = Client()
    target = {"symbol": "BTCUSDT", "orderId": 12}
    replace = {**BRIEF, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": 12}
    calls: list[tuple[str, dict[str, Any], Kind]] = [
        ("order.place", BRIEF, Kind.PLACE),
        ("order.cancel", target, Kind.CANCEL),
        ("order.cancelReplace", replace, Kind.CANCEL_REPLACE),
        ("order.amend.keepPriority", {**target, "newQty": "0.1"}, Kind.AMEND),
        ("order.status", target, Kind.QUERY_ORDER),
        ("openOrders.status", {"symbol": "BTCUSDT"}, Kind.QUERY_OPEN),
        ("openOrders.cancelAll", {"symbol": "BTCUSDT"}, Kind.CANCEL_ALL),
    ]
    for method, params, kind in calls:
        assert client.say(request(method, params)) == []
        (command,) = client.desk.commands()
        assert (command.kind, command.account) == (kind, ACCOUNT)
    assert client.say(request("order.test", BRIEF))[0]["result"] == {}


def test_many_orders_in_one_request_have_results_in_their_order() -> None:
    client = Client()
    orders = [BRIEF, {**BRIEF, "side": "X"}, BRIEF]
    assert client.say(request("orders.place", {"orders": orders}, 4)) == []
    assert client.runs == [(ACCOUNT, 1, 2)]
    (answer,) = client.settle()
    assert answer["id"] == 4
    assert [item.get("code", 0) for item in answer["result"]] == [0, -1117, 0]


def test_refusals_of_the_partition_carry_http_status_and_code() -> None:
    client = Client()
    client.say(request("order.place", BRIEF))
    (answer,) = client.settle(code=Code.DUPLICATE_OTHER)
    assert (answer["status"], answer["error"]["code"]) == (409, -2010)


def test_a_lost_partition_answers_every_open_request_once() -> None:
    client = Client()
    client.say(b"".join(request("order.place", BRIEF, i) for i in range(3)))
    client.desk.commands()
    client.native.set_connected(0, False, NOW_US)
    done = client.native.drain()
    assert done is not None
    found = messages(done[1][0][1])
    assert [(m["id"], m["status"], m["error"]["code"]) for m in found] == [
        (i, 504, -1007) for i in range(3)
    ]
    assert client.native.stream_in_flight(client.stream) == 0


def test_a_client_that_left_gets_nothing_and_leaves_nothing() -> None:
    client = Client()
    client.say(b"".join(request("order.place", BRIEF, i) for i in range(3)))
    commands = client.desk.commands()
    client.native.stream_receive(client.stream, request("order.place", BRIEF), NOW_US)
    client.native.stream_close(client.stream)
    client.desk.reply([reply_to(c) for c in commands])
    assert client.native.requests() == 0
    assert client.native.in_flight(0) == 0


def test_rate_limits_are_shown_unless_declined() -> None:
    client = Client(logged_on=False, rate_limits=True)
    client.native.set_rate_limits(50, 1000, 0)
    client.native.stream_receive(client.stream, request("order.place", sealed(BRIEF)), NOW_US)
    client.native.stream_submit(client.stream, 1, 3, 12, 34, NOW_US)
    (answer,) = client.settle()
    assert answer["rateLimits"] == [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50,
         "count": 12},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 1000,
         "count": 34},
    ]  # fmt: skip


def test_private_stream_requests_are_handed_over_with_their_account() -> None:
    client = Client(logged_on=False)
    client.send(request("userDataStream.subscribe.signature", sealed({}), "u"))
    ((method, ident, account, _params),) = client.events
    assert (method, ident, account) == ("userDataStream.subscribe.signature", b'"u"', ACCOUNT)
    answer = client.say(request("userDataStream.subscribe"))[0]
    assert answer["error"]["code"] == -2015


def test_messages_beyond_the_limit_of_a_second_are_refused_and_the_next_second_is_free() -> None:
    client = Client()
    client.native.set_stream_limit(5)
    answers = client.say(b"".join(request("ping", None, n) for n in range(6)))
    assert [answer["status"] for answer in answers] == [200] * 5 + [429]
    refused = client.say(request("order.place", BRIEF, 7) + masked(b"", PING))
    assert [(a["id"], a["error"]["code"]) for a in refused] == [(7, -1003)]
    assert client.desk.commands() == [] and not client.closing
    later = NOW_US + 1_000_000
    client.native.stream_receive(client.stream, request("ping", None, 8), later)
    assert messages(client.native.stream_output(client.stream))[0]["status"] == 200


def test_who_does_not_care_about_the_limit_is_closed() -> None:
    client = Client(logged_on=False)
    client.native.set_stream_limit(5)
    data = client.send(b"".join(masked(b"", PING) for _ in range(20)))
    assert close_code(data) == 1008
    assert client.closing
    assert sum(opcode == PONG for opcode, _ in frames(data)) == 5
