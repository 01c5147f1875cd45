"""What order entry counts of its own work: requests, kinds of failure, latencies by class."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from trading_backend import _native
from trading_backend.tests.unit.fake_partition import reply_to
from trading_backend.tests.unit.order_desk import ORDER, Desk, signed
from trading_contract.durations import BOUNDS_MICROSECONDS, CLASSES
from trading_contract.wire import Code


class Told(NamedTuple):
    """The answer of `load`, by name."""

    streamed: int
    orders: int
    busy: int
    unknown: int
    refused: int
    waiting: int
    in_flight: int
    microseconds: int
    latencies: list[int]


def told(desk: Desk) -> Told:
    """What it counted so far."""
    return Told(*desk.native.load())


def place(desk: Desk, **changes: Any) -> int:
    """One order under way."""
    return desk.begin("POST", "/api/v3/order", "", signed({**ORDER, **changes}))


def test_both_sides_count_in_the_same_classes() -> None:
    assert tuple(_native.LATENCY_BOUNDS_MICROSECONDS) == BOUNDS_MICROSECONDS
    assert len(told(Desk()).latencies) == CLASSES


def test_the_latency_of_an_order_is_from_submission_to_its_answer() -> None:
    desk = Desk()
    place(desk)
    assert (told(desk).waiting, told(desk).in_flight) == (1, 1)
    (command,) = desk.commands()
    assert (told(desk).waiting, told(desk).in_flight) == (0, 1)
    desk.now_us += 1_700
    desk.reply([reply_to(command)])
    after = told(desk)
    assert (after.orders, after.in_flight, after.microseconds) == (1, 0, 1_700)
    assert after.latencies[BOUNDS_MICROSECONDS.index(2_000)] == sum(after.latencies) == 1


def test_every_command_of_a_batch_counts_and_so_do_those_that_fail() -> None:
    desk = Desk(in_flight_max=3)
    text = json.dumps([{**ORDER, "newOrderRespType": "ACK"}] * 4)
    desk.begin("POST", "/api/v3/batchOrders", "", signed({"batchOrders": text}))
    commands = desk.commands()
    desk.now_us += 100
    refused = reply_to(commands[0], code=Code.PRICE_BAND)
    desk.reply([refused, *(reply_to(c) for c in commands[1:])])
    after = told(desk)
    assert (after.orders, after.microseconds) == (4, 400)
    assert (after.busy, after.unknown, after.refused) == (1, 0, 1)


def test_kinds_of_failure_are_told_apart() -> None:
    desk = Desk()
    place(desk, price="0")  # the client's own fault, known at once
    assert told(desk)[1:5] == (0, 0, 0, 1)
    place(desk)
    assert len(desk.commands()) == 1
    place(desk)
    desk.now_us += 5_000_000
    desk.native.expire(desk.now_us)
    desk.collect()
    after = told(desk)
    assert (after.orders, after.busy, after.unknown, after.refused) == (2, 1, 1, 1)
    assert after.latencies[BOUNDS_MICROSECONDS.index(5_000_000)] == 2


def test_who_is_limited_is_busy_and_has_no_latency() -> None:
    desk = Desk()
    request, _account, _orders = desk.native.begin(
        "POST", "/api/v3/order", b"", signed(ORDER).encode(),
        b"application/x-www-form-urlencoded", b"K" * 64, False, desk.now_us,
    )  # fmt: skip
    desk.native.refuse(request, True, 1, 1, 1, 7)
    after = told(desk)
    assert (after.orders, after.busy, sum(after.latencies)) == (0, 1, 0)
