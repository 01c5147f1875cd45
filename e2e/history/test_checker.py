"""The checker finds nothing wrong with a true history, and each law catches its own lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from history.laws import LAWS, Violation, check, describe
from history.records import Call, HistoryError, OrderKey, Recorder, pair, read_history
from history.replay import CHAIN_BYTES, LOG_VERSION, STATUSES, decode_payload
from history.rows import Dump, Grid, LogRow, OrderRow, TradeRow
from trading_contract.wire import Kind
from trading_engine.core_records import Command, EventKind
from trading_engine.reference import ReferenceBook

SYMBOL, GRID = "BTCUSDT", Grid(Decimal("0.01"), Decimal("0.001"))
SIDES = ("BUY", "SELL")


def varint(value: int) -> bytes:
    bits, out = value << 1 if value >= 0 else (-value << 1) - 1, b""
    while bits >= 128:
        out, bits = out + bytes([bits & 127 | 128]), bits >> 7
    return out + bytes([bits])


def encoded(c: Command, symbol: str, client_id: str) -> bytes:
    head = (
        LOG_VERSION, c.kind, c.side | c.type << 4, c.time_in_force | c.self_trade << 4, c.flags,
        len(symbol), len(client_id),
    )  # fmt: skip
    words = (c.order_id, c.target_id, c.account, c.price, c.quantity, c.quote_quantity, 0)
    body_hash = bytes(8) if c.kind in (Kind.PLACE, Kind.CANCEL_REPLACE) else b""
    return bytes(head) + (symbol + client_id).encode() + b"".join(map(varint, words)) + body_hash


class World:
    """A true exchange of one symbol: what it tells its clients is what it stores."""

    def __init__(self) -> None:
        self.book = ReferenceBook()
        self.now = 100.0
        self.calls: list[Call] = []
        self.orders: dict[int, OrderRow] = {}
        self.trades: list[TradeRow] = []
        self.log: list[LogRow] = []

    def tick(self) -> float:
        self.now += 0.001
        return self.now

    def call(self, operation: str, account: int, client_id: str, **fields: object) -> None:
        key = OrderKey(account, SYMBOL, client_id)
        known = {"invoked_at": self.tick(), "outcome": "ok", "returned_at": self.tick(), **fields}
        self.calls.append(Call(operation=operation, key=key, **known))  # type: ignore[arg-type]

    def place(self, account: int, side: int, price: int, quantity: int, **fields: object) -> int:
        order_id = len(self.orders) + 1
        client_id = f"c-{order_id}"
        self.orders[order_id] = OrderRow(
            SYMBOL, order_id, account, client_id, SIDES[side], price, quantity
        )
        command = Command(
            order_id=order_id, account=account, side=side, price=price, quantity=quantity
        )
        self.run(command, client_id)
        told = {
            "side": SIDES[side], "price": str(price * GRID.tick),
            "quantity": str(quantity * GRID.lot), "order_id": order_id, **fields,
        }  # fmt: skip
        self.call("place", account, client_id, **told)
        return order_id

    def cancel(self, order_id: int) -> None:
        order = self.orders[order_id]
        self.run(Command(order_id=order_id, account=order.account, kind=Kind.CANCEL), "")
        self.call("cancel", order.account, order.client_id, order_id=order_id)

    def run(self, command: Command, client_id: str) -> None:
        for event in self.book.apply(command):
            if event.kind == EventKind.TRADE:
                self.trade(event.order_id, event.other_id, event.price, event.quantity)
            elif event.kind == EventKind.ENDED:
                order = self.orders[event.order_id]
                status = STATUSES[event.status]
                self.orders[event.order_id] = replace(order, status=status, is_open=False)
        self.append_log(command, client_id)

    def trade(self, taker: int, maker: int, price: int, quantity: int) -> None:
        for order_id in (taker, maker):
            order = self.orders[order_id]
            self.orders[order_id] = replace(
                order, executed=order.executed + quantity, status="PARTIALLY_FILLED",
                executed_quote=order.executed_quote + quantity * price,
            )  # fmt: skip
        self.trades.append(
            TradeRow(
                SYMBOL,
                len(self.trades) + 1,
                maker,
                taker,
                self.orders[maker].account,
                self.orders[taker].account,
                price,
                quantity,
                SIDES.index(self.orders[taker].side),
            )
        )

    def append_log(self, c: Command, client_id: str) -> None:
        payload = encoded(c, SYMBOL, client_id)
        before = self.log[-1].chain if self.log else bytes(CHAIN_BYTES)
        number = len(self.log) + 1
        chain = hashlib.sha256(before + number.to_bytes(8, "big") + payload).digest()
        self.log.append(LogRow(0, number, number, 1, payload, chain))

    def dump(self) -> Dump:
        return Dump(
            tuple(self.orders.values()), tuple(self.trades), tuple(self.log), {SYMBOL: GRID}
        )


def busy_world(seed: int = 7, orders: int = 120) -> World:
    """Two accounts trade, cancel, and see some answers lost."""
    chance, world = Random(seed), World()
    for _ in range(orders):
        side = chance.randrange(2)
        price = 10_000 + chance.randint(-8, 4) * (1 - 2 * side)
        lost = {"outcome": "unknown", "order_id": None} if chance.random() < 0.1 else {}
        world.place(1 + chance.randrange(2), side, price, chance.randint(1, 50), **lost)
        resting = [order.order_id for order in world.orders.values() if order.is_open]
        if resting and chance.random() < 0.3:
            world.cancel(chance.choice(resting))
    world.call("place", 1, "refused", outcome="fail", code="-1013")
    world.call("place", 2, "never-arrived", outcome="unknown")
    world.call("place", 1, world.orders[1].client_id, outcome="fail", code="-1008")
    return world


def broken_laws(calls: list[Call], dump: Dump) -> set[str]:
    return {violation.law for violation in check(calls, dump)}


def test_a_true_history_breaks_no_law() -> None:
    for seed in range(20):
        world = busy_world(seed)
        violations = check(world.calls, world.dump())
        assert violations == [], describe(violations)
    assert len(world.trades) > 10
    assert any(order.is_open for order in world.orders.values())


def first(world: World, status: str) -> OrderRow:
    acknowledged = {call.key.client_order_id for call in world.calls if call.order_id is not None}
    return next(
        order for order in world.orders.values()
        if order.status == status and order.client_id in acknowledged
    )  # fmt: skip


def lose_an_order(world: World) -> None:
    del world.orders[first(world, "NEW").order_id]


def store_another_price(world: World) -> None:
    order = first(world, "NEW")
    world.orders[order.order_id] = replace(order, price=order.price + 1)


def forget_a_cancel(world: World) -> None:
    order = first(world, "CANCELED")
    world.orders[order.order_id] = replace(order, status="EXPIRED")


def store_an_order_twice(world: World) -> None:
    order = first(world, "NEW")
    number = len(world.orders) + 1
    world.orders[number] = replace(order, order_id=number)


def answer_a_resend_with_another_id(world: World) -> None:
    order = first(world, "NEW")
    world.call(
        "place", order.account, order.client_id, order_id=order.order_id + 1, side=order.side,
        price=str(order.price * GRID.tick), quantity=str(order.quantity * GRID.lot),
    )  # fmt: skip


def store_what_was_refused(world: World) -> None:
    world.orders[len(world.orders) + 1] = OrderRow(
        SYMBOL, len(world.orders) + 1, 1, "refused", "BUY", 1, 1
    )


def store_what_nobody_sent(world: World) -> None:
    world.orders[len(world.orders) + 1] = OrderRow(
        SYMBOL, len(world.orders) + 1, 1, "surprise", "BUY", 1, 1
    )


def sequence_a_later_order_first(world: World) -> None:
    places = [i for i, c in enumerate(world.calls) if c.operation == "place" and c.order_id]
    one, other = places[0], places[-1]
    first_call, last_call = world.calls[one], world.calls[other]
    for place, call, donor in ((one, first_call, last_call), (other, last_call, first_call)):
        world.calls[place] = replace(
            call, invoked_at=donor.invoked_at, returned_at=donor.returned_at
        )


def leave_a_gap_in_the_order_ids(world: World) -> None:
    order = world.orders.pop(len(world.orders))
    world.orders[order.order_id + 1] = replace(order, order_id=order.order_id + 1)


def leave_a_gap_in_the_trade_ids(world: World) -> None:
    world.trades[-1] = replace(world.trades[-1], trade_id=len(world.trades) + 1)


def skip_a_sequence(world: World) -> None:
    del world.log[5]


def fall_back_an_epoch(world: World) -> None:
    world.log[3] = replace(world.log[3], epoch=2)


def trade_at_the_takers_price(world: World) -> None:
    orders = world.orders
    index, trade = next(
        (i, t) for i, t in enumerate(world.trades)
        if orders[t.taker_order_id].price != t.price
    )  # fmt: skip
    price = orders[trade.taker_order_id].price
    world.trades[index] = replace(trade, price=price)
    for order_id in (trade.maker_order_id, trade.taker_order_id):
        more = trade.quantity * (price - trade.price)
        row = orders[order_id]
        orders[order_id] = replace(row, executed_quote=row.executed_quote + more)


def change_the_log(world: World) -> None:
    row = world.log[4]
    world.log[4] = replace(row, payload=row.payload[:-1] + b"\1")


def lose_a_leg(world: World) -> None:
    order = first(world, "FILLED")
    world.orders[order.order_id] = replace(order, executed=order.executed - 1)


def fill_an_order_that_is_still_open(world: World) -> None:
    order = first(world, "NEW")
    world.orders[order.order_id] = replace(order, status="FILLED", is_open=False)


LIES: list[tuple[str, Callable[[World], None]]] = [
    ("H1", lose_an_order),
    ("H1", store_another_price),
    ("H1", forget_a_cancel),
    ("H2", store_an_order_twice),
    ("H2", answer_a_resend_with_another_id),
    ("H3", store_what_was_refused),
    ("H3", store_what_nobody_sent),
    ("H4", sequence_a_later_order_first),
    ("H5", leave_a_gap_in_the_order_ids),
    ("H5", leave_a_gap_in_the_trade_ids),
    ("H5", skip_a_sequence),
    ("H5", fall_back_an_epoch),
    ("H6", trade_at_the_takers_price),
    ("H6", change_the_log),
    ("H7", lose_a_leg),
    ("H7", fill_an_order_that_is_still_open),
]


@pytest.mark.parametrize(("law", "lie"), LIES, ids=lambda value: getattr(value, "__name__", value))
def test_each_law_catches_its_own_lie(law: str, lie: Callable[[World], None]) -> None:
    world = busy_world()
    lie(world)
    assert law in broken_laws(world.calls, world.dump())


def test_only_h6_sees_a_book_that_serves_the_younger_order_first() -> None:
    world = World()
    older = world.place(1, 1, 10_000, 5)
    younger = world.place(2, 1, 10_000, 5)
    world.place(1, 0, 10_000, 5)
    world.trades[0] = replace(world.trades[0], maker_order_id=younger, maker_account=2)
    done = {"executed": 5, "executed_quote": 50_000, "status": "FILLED", "is_open": False}
    world.orders[younger] = replace(world.orders[younger], **done)  # type: ignore[arg-type]
    world.orders[older] = replace(
        world.orders[older], executed=0, executed_quote=0, status="NEW", is_open=True
    )
    assert broken_laws(world.calls, world.dump()) == {"H6"}


def test_every_law_has_a_lie_that_it_catches() -> None:
    assert {law for law, _ in LIES} == set(LAWS)


def test_an_unknown_order_may_be_there_or_not() -> None:
    world = World()
    world.place(1, 0, 10_000, 5, outcome="unknown", order_id=None)
    assert check(world.calls, world.dump()) == []
    world.calls[0] = replace(world.calls[0], key=OrderKey(1, SYMBOL, "another"))
    assert broken_laws(world.calls, world.dump()) == {"H3"}
    world.call("place", 1, "c-1", outcome="unknown")
    assert check(world.calls, world.dump()) == []


def test_calls_that_overlap_may_be_sequenced_either_way() -> None:
    world = World()
    world.place(1, 0, 10_000, 5, invoked_at=50.0, returned_at=60.0)
    world.place(1, 0, 10_000, 5, invoked_at=40.0, returned_at=51.0)
    assert check(world.calls, world.dump()) == []
    world.calls[1] = replace(world.calls[1], returned_at=49.0)
    assert broken_laws(world.calls, world.dump()) == {"H4"}


def test_a_recorded_history_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    recorder = Recorder(path)
    recorder.invoke("place", "KEY", SYMBOL, "a", side="BUY", price="100.00", quantity="1")
    recorder.finish("unknown", "place", "KEY", SYMBOL, "a")
    recorder.invoke("place", "KEY", SYMBOL, "a", side="BUY", price="100.00", quantity="1")
    recorder.finish("ok", "place", "KEY", SYMBOL, "a", order_id=9)
    recorder.invoke("cancel", "KEY", SYMBOL, "a")
    recorder.close()
    with path.open("a") as file:
        file.write('{"event": "ok", "oper')
    calls = read_history([path], {"KEY": 5})
    assert [(c.operation, c.outcome, c.order_id) for c in calls] == [
        ("place", "unknown", None),
        ("place", "ok", 9),
        ("cancel", "unknown", None),
    ]
    assert calls[0].key == OrderKey(5, SYMBOL, "a")
    assert calls[0].returned_at <= calls[1].invoked_at
    assert calls[2].returned_at == float("inf")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"event": "ok"}, "no invoke"),
        ({"event": "maybe"}, "unknown"),
        ({"event": "invoke", "account": "OTHER"}, "OTHER"),
    ],
)
def test_a_line_that_is_no_history_is_refused(line: dict[str, str], why: str) -> None:
    full = {
        "operation": "place", "time": 1.0, "account": "KEY", "symbol": SYMBOL,
        "client_order_id": "a", **line,
    }  # fmt: skip
    with pytest.raises(HistoryError, match=why):
        pair([full], {"KEY": 5})


def test_a_torn_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"event": "inv\n' + json.dumps({"event": "ok"}) + "\n")
    with pytest.raises(HistoryError, match=r"c\.jsonl:1"):
        read_history([path], {})


def test_a_payload_reads_back_and_a_short_one_is_refused() -> None:
    command = Command(order_id=300, account=7, side=1, price=2**40, quantity=5, time_in_force=1)
    payload = encoded(command, SYMBOL, "c-1")
    (logged,) = decode_payload(payload)
    assert (logged.symbol, logged.client_id, logged.command) == (SYMBOL, "c-1", command)
    for cut in range(2, len(payload)):
        with pytest.raises(ValueError, match="cut short"):
            list(decode_payload(payload[:cut]))
    with pytest.raises(ValueError, match="version"):
        list(decode_payload(b"\x07" + payload[1:]))
    (older,) = decode_payload(b"\x02" + payload[1:-8])
    assert older == logged


def test_a_description_counts_by_law() -> None:
    text = describe([Violation("H1", "a"), Violation("H1", "b"), Violation("H7", "c")])
    assert "3 violations {'H1': 2, 'H7': 1}" in text
    assert "H7: c" in text
