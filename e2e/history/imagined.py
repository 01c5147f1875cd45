"""A true exchange of one symbol, and a busy day on it: what the checker is tried on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from random import Random

from history.records import Call, OrderKey
from history.replay import CHAIN_BYTES, LOG_VERSION, STATUSES
from history.rows import Dump, Grid, LogRow, OrderRow, OwnerRow, TradeRow
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
        self.owners = [
            OwnerRow(0, "", "M", 1, "ACTIVE"),
            OwnerRow(1, "M", "~", 1, "MOVED"),  # it was moved to the other shard
            OwnerRow(1, "M", "~", 2, "ACTIVE", shard=1),
        ]

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
            tuple(self.orders.values()), tuple(self.trades), tuple(self.log), {SYMBOL: GRID},
            owners=tuple(self.owners),
        )  # fmt: skip


def busy_world(seed: int = 7, orders: int = 120, make: type[World] = World) -> World:
    """Two accounts trade, cancel, and see some answers lost."""
    chance, world = Random(seed), make()
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
