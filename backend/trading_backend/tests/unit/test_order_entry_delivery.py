"""Between request and reply: bounds, deadlines, lost connections, new owners."""

from __future__ import annotations

import json

from trading_backend.tests.unit.fake_partition import reply_to
from trading_backend.tests.unit.order_desk import ORDER, Desk, signed
from trading_contract.wire import Code, FrameType, Reply, frame

TARGET = {"symbol": "BTCUSDT", "orderId": "12"}


def place(desk: Desk, price: str = "100.10") -> int:
    """One order under way."""
    return desk.begin("POST", "/api/v3/order", "", signed({**ORDER, "price": price}))


def code_of(desk: Desk, request: int) -> int:
    """The API code of a refusal."""
    return int(desk.answer(request)[1]["code"])


def test_a_full_outbox_refuses_what_surely_was_not_applied() -> None:
    desk = Desk(in_flight_max=3)
    for _ in range(3):
        assert place(desk) not in desk.answers
    refused = place(desk)
    assert desk.answer(refused)[0] == 503
    assert code_of(desk, refused) == -1008
    assert desk.native.in_flight(0) == 3


def test_a_batch_larger_than_the_room_fails_only_what_does_not_fit() -> None:
    desk = Desk(in_flight_max=2)
    text = json.dumps([{**ORDER, "newOrderRespType": "ACK"}] * 4)
    request = desk.begin("POST", "/api/v3/batchOrders", "", signed({"batchOrders": text}))
    commands = desk.commands()
    assert len(commands) == 2
    desk.reply([reply_to(c) for c in commands])
    status, body = desk.answer(request)
    assert (status, [item.get("code", 0) for item in body]) == (200, [0, 0, -1008, -1008])


def test_after_the_deadline_a_written_command_is_unknown_and_a_waiting_one_is_not() -> None:
    desk = Desk()
    written = place(desk)
    assert len(desk.commands()) == 1
    waiting = desk.begin("POST", "/api/v3/order", "", signed(ORDER))
    desk.native.expire(desk.now_us + 4_999_999)
    desk.collect()
    assert not desk.answers
    desk.native.expire(desk.now_us + 5_000_000)
    desk.collect()
    assert (desk.answer(written)[0], code_of(desk, written)) == (504, -1007)
    assert (desk.answer(waiting)[0], code_of(desk, waiting)) == (503, -1008)
    assert desk.commands() == []
    assert (desk.native.in_flight(0), desk.native.requests()) == (0, 0)


def test_a_reply_after_the_deadline_changes_nothing() -> None:
    desk = Desk()
    place(desk)
    (command,) = desk.commands()
    desk.native.expire(desk.now_us + 5_000_000)
    desk.collect()
    desk.reply([reply_to(command)])
    assert desk.native.in_flight(0) == 0


def test_a_lost_connection_makes_written_commands_unknown_at_once() -> None:
    desk = Desk()
    written, query = place(desk), desk.begin("GET", "/api/v3/order", signed(TARGET))
    desk.commands()
    waiting = desk.begin("POST", "/api/v3/order", "", signed(ORDER))
    desk.native.set_connected(0, False, desk.now_us)
    desk.collect()
    assert code_of(desk, written) == -1007
    assert code_of(desk, query) == -1008
    assert waiting not in desk.answers


def test_what_was_not_written_is_held_and_then_refused() -> None:
    desk = Desk()
    desk.native.set_connected(0, False, desk.now_us)
    request = place(desk)
    desk.native.expire(desk.now_us + 249_999)
    desk.collect()
    assert not desk.answers
    desk.native.expire(desk.now_us + 250_000)
    desk.collect()
    assert (desk.answer(request)[0], code_of(desk, request)) == (503, -1008)


def test_the_hold_of_what_waits_begins_when_the_connection_is_lost() -> None:
    desk = Desk()
    request = place(desk)
    desk.native.set_connected(0, False, desk.now_us + 1_000_000)
    desk.native.expire(desk.now_us + 1_249_999)
    desk.collect()
    assert not desk.answers
    desk.native.expire(desk.now_us + 1_250_000)
    desk.collect()
    assert code_of(desk, request) == -1008


def test_what_was_held_goes_out_in_its_order_after_the_reconnect() -> None:
    desk = Desk()
    desk.native.set_connected(0, False, desk.now_us)
    for price in ("10", "11", "12"):
        place(desk, price)
    desk.native.set_connected(0, True, desk.now_us + 200_000)
    desk.native.expire(desk.now_us + 400_000)
    assert [c.price for c in desk.commands()] == [1000, 1100, 1200]
    assert not desk.answers


def send(desk: Desk, partition: int, *replies: Reply) -> None:
    """Replies of one of two partitions."""
    data = frame(FrameType.REPLIES, b"".join(r.pack() for r in replies))
    assert desk.native.feed(partition, data, desk.now_us)
    desk.collect()


def two_partitions() -> Desk:
    """A desk whose second partition owns nothing yet."""
    desk = Desk()
    desk.native.set_routes(2, [("", "~", 0)], desk.now_us)
    desk.native.set_connected(1, True, desk.now_us)
    return desk


def test_a_wrong_owner_is_asked_no_more_once_the_route_is_known() -> None:
    desk = two_partitions()
    for price in ("10", "11"):
        place(desk, price)
    send(desk, 0, *(reply_to(c, code=Code.WRONG_OWNER) for c in desk.commands()))
    assert not desk.answers
    assert desk.native.waiting(1) == 0
    desk.native.set_routes(2, [("", "~", 1)], desk.now_us)
    assert desk.native.waiting(1) == 2
    assert desk.native.in_flight(0) == 0
    data = desk.native.take(1, 10, desk.now_us)
    assert len(data) == 8 + 2 * 184


def test_a_reply_that_comes_twice_counts_once() -> None:
    desk = two_partitions()
    place(desk)
    (command,) = desk.commands()
    refusal = reply_to(command, code=Code.WRONG_OWNER)
    send(desk, 0, refusal, refusal, reply_to(command))
    assert not desk.answers
    desk.native.set_routes(2, [("", "~", 1)], desk.now_us)
    assert desk.native.waiting(1) == 1


def test_a_wrong_owner_without_a_new_route_is_busy_after_the_hold() -> None:
    desk = two_partitions()
    request = place(desk)
    send(desk, 0, *(reply_to(c, code=Code.WRONG_OWNER) for c in desk.commands()))
    desk.native.expire(desk.now_us + 249_999)
    desk.collect()
    assert not desk.answers
    desk.native.expire(desk.now_us + 250_000)
    desk.collect()
    assert code_of(desk, request) == -1008
    assert desk.native.in_flight(0) == 0


def test_after_each_change_of_routes_a_wrong_owner_is_asked_again_until_the_hold_ends() -> None:
    """In a hand-over the former owner tells that it gave the slot up before the next has it."""
    desk = two_partitions()
    request = place(desk)
    (command,) = desk.commands()
    began_us = desk.now_us
    for _ in range(3):
        send(desk, 0, reply_to(command, code=Code.WRONG_OWNER))
        assert desk.native.waiting(0) == 0
        desk.now_us += 50_000
        desk.native.set_routes(2, [("", "~", 0)], desk.now_us)
        assert len(desk.native.take(0, 10, desk.now_us)) > 0
    desk.native.set_routes(2, [("", "~", 1)], desk.now_us)
    send(desk, 0, reply_to(command, code=Code.WRONG_OWNER))
    assert len(desk.native.take(1, 10, desk.now_us)) > 0
    assert (desk.native.in_flight(0), desk.native.in_flight(1)) == (0, 1)
    assert not desk.answers
    desk.now_us = began_us + 250_000
    send(desk, 1, reply_to(command, code=Code.WRONG_OWNER))
    assert code_of(desk, request) == -1008
    assert (desk.native.in_flight(0), desk.native.in_flight(1)) == (0, 0)


def test_what_waits_again_for_an_owner_is_refused_when_its_own_hold_ends() -> None:
    desk = two_partitions()
    elder = place(desk)
    send(desk, 0, *(reply_to(c, code=Code.WRONG_OWNER) for c in desk.commands()))
    desk.now_us += 200_000
    desk.native.set_routes(2, [("", "~", 0)], desk.now_us)
    again = desk.commands()
    younger = place(desk, "11")
    send(desk, 0, *(reply_to(c, code=Code.WRONG_OWNER) for c in desk.commands()))
    send(desk, 0, *(reply_to(c, code=Code.WRONG_OWNER) for c in again))
    desk.now_us += 50_000
    desk.native.expire(desk.now_us)
    desk.collect()
    assert code_of(desk, elder) == -1008
    assert younger not in desk.answers


def test_a_symbol_without_a_slot_is_busy_not_lost() -> None:
    desk = Desk()
    desk.native.set_routes(1, [("C", "~", 0)], desk.now_us)
    assert code_of(desk, place(desk)) == -1008


def test_a_delisted_symbol_is_unknown_for_new_orders_and_old_ones_are_still_answered() -> None:
    desk = Desk()
    request = place(desk)
    (command,) = desk.commands()
    desk.native.set_symbols([])
    refused = desk.begin("POST", "/api/v3/order", "", signed(ORDER))
    assert code_of(desk, refused) == -1121
    desk.reply([reply_to(command)])
    assert desk.answer(request)[1]["price"] == "100.10"
