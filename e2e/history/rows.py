"""What the shards hold, read once the cluster is quiet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

T = TypeVar("T")
Row = TypeVar("Row", "OrderRow", "TradeRow")
ORDERS = """
SELECT symbol, order_id, account, client_id, side, type, time_in_force, status, end_reason, price,
       quantity, executed, executed_quote, prevented, seq, ended_us IS NULL AS is_open
  FROM orders ORDER BY symbol, order_id
"""
TRADES = """
SELECT symbol, trade_id, maker_order_id, taker_order_id, maker_account, taker_account, price,
       quantity, taker_side, seq
  FROM trades ORDER BY symbol, trade_id
"""
LOG = """
SELECT slot_id, seq_lo, seq_hi, epoch, payload, chain FROM slot_log ORDER BY slot_id, seq_hi
"""
OWNERS = """
SELECT slot_id, first_sym AS first, past_sym AS past, epoch, state FROM slot_owner ORDER BY slot_id
"""
BIRTHS = "SELECT slot_id, epoch, born_seq, chain FROM slot_birth ORDER BY slot_id, epoch"


@dataclass(frozen=True)
class OrderRow:
    """One order, open or ended. Ticks and lots."""

    symbol: str
    order_id: int
    account: int
    client_id: str
    side: str
    price: int
    quantity: int
    executed: int = 0
    executed_quote: int = 0
    prevented: int = 0
    type: str = "LIMIT"
    time_in_force: str = "GTC"
    status: str = "NEW"
    end_reason: str = "NONE"
    seq: int = 0
    is_open: bool = True


@dataclass(frozen=True)
class TradeRow:
    """One trade. Ticks and lots; taker_side: 0 = the taker buys."""

    symbol: str
    trade_id: int
    maker_order_id: int
    taker_order_id: int
    maker_account: int
    taker_account: int
    price: int
    quantity: int
    taker_side: int
    seq: int = 0


@dataclass(frozen=True)
class LogRow:
    """One batch of a slot: sequences seq_lo to seq_hi."""

    slot_id: int
    seq_lo: int
    seq_hi: int
    epoch: int
    payload: bytes
    chain: bytes


@dataclass(frozen=True)
class BirthRow:
    """From this epoch on, a slot that was split off or merged goes on from here."""

    slot_id: int
    epoch: int
    born_seq: int
    chain: bytes


@dataclass(frozen=True)
class OwnerRow:
    """What one shard says of a slot; shards are numbered as they were read."""

    slot_id: int
    first: str
    past: str
    epoch: int
    state: str
    shard: int = 0


@dataclass(frozen=True)
class Grid:
    """A symbol's steps."""

    tick: Decimal
    lot: Decimal


@dataclass(frozen=True)
class Dump:
    """The rows of all shards together; of copies that moves keep warm, or left, only the owner's.

    A log goes on where a move brought it, so it is what all shards have of it, each row once.
    """

    orders: tuple[OrderRow, ...] = ()
    trades: tuple[TradeRow, ...] = ()
    log: tuple[LogRow, ...] = ()
    grids: dict[str, Grid] = field(default_factory=dict)
    births: tuple[BirthRow, ...] = ()
    owners: tuple[OwnerRow, ...] = ()

    def birth_before(self, row: LogRow, epoch: int) -> BirthRow | None:
        """How the row's slot began anew after that epoch and not after the row."""
        found = [
            b for b in self.births if b.slot_id == row.slot_id and epoch < b.epoch <= row.epoch
        ]
        return max(found, key=lambda birth: birth.epoch, default=None)


def read_shards(conninfos: Iterable[str], grids: dict[str, Grid]) -> Dump:
    """Read every shard, each in one transaction of its own. The cluster must be quiet."""
    orders: list[OrderRow] = []
    trades: list[TradeRow] = []
    log: list[LogRow] = []
    births: list[BirthRow] = []
    owners: list[OwnerRow] = []
    for shard, conninfo in enumerate(conninfos):
        with psycopg.connect(conninfo) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            here = [replace(row, shard=shard) for row in _all(connection, OWNERS, OwnerRow)]
            active = [row for row in here if row.state == "ACTIVE"]
            orders += _served(active, _all(connection, ORDERS, OrderRow))
            trades += _served(active, _all(connection, TRADES, TradeRow))
            log += _all(connection, LOG, LogRow)
            births += _all(connection, BIRTHS, BirthRow)
            owners += here
    log = sorted(dict.fromkeys(log), key=lambda row: (row.slot_id, row.seq_hi))
    births = sorted(dict.fromkeys(births), key=lambda row: (row.slot_id, row.epoch))
    return Dump(tuple(orders), tuple(trades), tuple(log), grids, tuple(births), tuple(owners))


def _served(owners: Iterable[OwnerRow], rows: Iterable[Row]) -> Iterator[Row]:
    """Those of symbols that are served from here; every copy elsewhere is left out."""
    ranges = [(each.first, each.past) for each in owners]
    served: dict[str, bool] = {}
    for row in rows:
        symbol = row.symbol
        if symbol not in served:
            served[symbol] = any(first <= symbol < past for first, past in ranges)
        if served[symbol]:
            yield row


def _all(connection: psycopg.Connection[Any], query: str, row: type[T]) -> list[T]:
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(query).fetchall()
