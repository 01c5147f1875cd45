"""A sequencer without a shard: batches are applied to tables in memory, as a shard would."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field, replace
from typing import Any

from trading_contract.wire import (
    Command,
    Depth,
    FrameDecoder,
    FrameType,
    Reply,
    parse_replies,
)
from trading_engine._core import Batch, Sequencer, SlotRows

ORDER_COLUMNS = (
    "symbol", "order_id", "account", "client_id", "attributes", "price", "quantity", "executed",
    "executed_quote", "prevented", "priority", "entry_trade_id", "body_hash", "created_us", "seq",
    "updated_us",
)  # fmt: skip
STATE_COLUMNS = (
    "symbol", "order_seq", "trade_seq", "prevented_seq", "priority_seq", "update_seq", "sym_seq",
    "last_price", "halted", "seq",
)  # fmt: skip
UPDATE_COLUMNS = (
    "symbol", "order_id", "attributes", "price", "quantity", "executed", "executed_quote",
    "prevented", "priority", "seq", "updated_us",
)  # fmt: skip
ENDED_COLUMNS = ("symbol", "order_id", "account", "client_id", "body_hash", "ended_us")
TRADE_COLUMNS = (
    "symbol", "trade_id", "maker_order_id", "taker_order_id", "maker_account", "taker_account",
    "price", "quantity", "taker_side", "time_us", "seq",
)  # fmt: skip
SLOT_COLUMNS = ("slot_id", "epoch", "previous", "sequence", "chain", "payload")
PARAMETERS = (
    SLOT_COLUMNS, STATE_COLUMNS, ORDER_COLUMNS, UPDATE_COLUMNS, ("symbol", "order_id"),
    (*ORDER_COLUMNS[:-1], "ended_us"), TRADE_COLUMNS,
)  # fmt: skip
TYPES = range(90_001, 90_008)  # numbers that a shard might have given its row types
_TEXT, _INTEGERS = 25, {20: ">q", 21: ">h", 23: ">i"}
_BYTEA, _BOOL = 17, 16

Row = dict[str, Any]


def rows_of(columns: tuple[str, ...], raw: bytes, number: int) -> list[Row]:
    """An array of rows of this type in PostgreSQL's binary format."""
    dimensions, _, element = struct.unpack_from(">iiI", raw)
    assert element == number
    if dimensions == 0:
        assert len(raw) == 12
        return []
    count, lower = struct.unpack_from(">ii", raw, 12)
    assert (dimensions, lower) == (1, 1)
    at = 20
    rows: list[Row] = []
    for _ in range(count):
        size, width = struct.unpack_from(">ii", raw, at)
        assert width == len(columns)
        end = at + 4 + size
        at += 8
        row: Row = {}
        for column in columns:
            kind, size = struct.unpack_from(">Ii", raw, at)
            row[column] = _value(kind, raw[at + 8 : at + 8 + size])
            at += 8 + size
        assert at == end
        rows.append(row)
    assert at == len(raw)
    return rows


def _value(kind: int, item: bytes) -> Any:
    if kind == _TEXT:
        return item.decode()
    if kind == _BYTEA:
        return item
    if kind == _BOOL:
        return item != b"\0"
    return struct.unpack(_INTEGERS[kind], item)[0]


def copy_of(columns: tuple[str, ...], rows: list[Row]) -> bytes:
    """Rows as `COPY .. TO STDOUT (FORMAT binary)` gives them."""
    out = [b"PGCOPY\n\xff\r\n\0" + bytes(8)]
    for row in rows:
        out.append(struct.pack(">h", len(columns)))
        for column in columns:
            value = row[column]
            if isinstance(value, bool):
                raw = b"\1" if value else b"\0"
            elif isinstance(value, str):
                raw = value.encode()
            else:
                raw = struct.pack(">i" if column == "attributes" else ">q", value)
            out.append(struct.pack(">i", len(raw)) + raw)
    return b"".join(out) + struct.pack(">h", -1)


@dataclass
class Tables:
    """What a shard would hold."""

    slots: list[Row] = field(default_factory=list)
    states: dict[str, Row] = field(default_factory=dict)
    open_orders: dict[tuple[str, int], Row] = field(default_factory=dict)
    closed_orders: dict[tuple[str, int], Row] = field(default_factory=dict)
    trades: dict[tuple[str, int], Row] = field(default_factory=dict)

    def commit(self, batch: Batch) -> None:
        """Apply a batch; asserts what the shard's keys would refuse."""
        slots, states, opened, updated, deleted, closed, trades = (
            rows_of(columns, raw, number)
            for columns, raw, number in zip(PARAMETERS, batch.parameters(TYPES), TYPES, strict=True)
        )
        self.slots += slots
        for row in states:
            self.states[row["symbol"]] = row
        for row in deleted:
            del self.open_orders[row["symbol"], row["order_id"]]
        for row in updated:
            self.open_orders[row["symbol"], row["order_id"]].update(row)
        for row in opened:
            key = (row["symbol"], row["order_id"])
            assert key not in self.open_orders
            self.open_orders[key] = row
        for row in closed:
            key = (row["symbol"], row["order_id"])
            assert key not in self.closed_orders and key not in self.open_orders
            self.closed_orders[key] = row
        for row in trades:
            key = (row["symbol"], row["trade_id"])
            assert key not in self.trades
            self.trades[key] = row


class Harness:
    """One sequencer with its tables and a clock that stands until moved."""

    def __init__(self, *symbols: str, ended_max: int = 1000, window_us: int = 10**12) -> None:
        self.symbols = symbols or ("BTC",)
        self.tables = Tables()
        self.now_us = 1_000_000
        self.ended_max, self.window_us = ended_max, window_us
        self.frames: list[tuple[int, FrameType, bytes]] = []
        self._numbers = itertools.count(1)
        self.sequencer = self._fresh(1, 0, bytes(32))

    def _fresh(self, epoch: int, sequence: int, chain: bytes) -> Sequencer:
        sequencer = Sequencer(self.ended_max, self.window_us)
        for name in self.symbols:
            sequencer.set_symbol(name)
        sequencer.set_slot(1, "", "~", 0, epoch, sequence, chain)
        return sequencer

    def recovered(self) -> Sequencer:
        """A new sequencer that knows only what is in the tables."""
        last = self.tables.slots[-1] if self.tables.slots else None
        epoch = self.sequencer.slots()[0][4] + 1
        sequencer = self._fresh(
            epoch, last["sequence"] if last else 0, last["chain"] if last else bytes(32)
        )
        self.load(sequencer)
        return sequencer

    def load(self, sequencer: Sequencer) -> None:
        """Give a sequencer what is in the tables."""
        states = list(self.tables.states.values())
        opened = list(self.tables.open_orders.values())[::-1]  # a table has no order
        closed = list(self.tables.closed_orders.values())
        rows = SlotRows()
        assert rows.add_states(copy_of(STATE_COLUMNS, states))
        assert rows.add_open_orders(copy_of(ORDER_COLUMNS, opened))
        assert rows.add_closed_orders(copy_of(ENDED_COLUMNS, closed))
        assert rows.finish() and rows.open_orders == len(opened)
        left = len(opened) + len(closed)
        while left:  # in slices that cut both kinds
            left, before = sequencer.adopt(rows, 3), left
            assert left == max(0, before - 3)
        assert sequencer.adopt(rows, 3) == 0

    def restart(self) -> None:
        """Forget everything and recover."""
        self.sequencer = self.recovered()

    def ask(self, *commands: Command, connection: int = 7) -> list[list[Reply]]:
        """One batch of these commands, committed; the replies to each."""
        numbered = [replace(c, request_id=next(self._numbers)) for c in commands]
        raw = b"".join(c.pack() for c in numbered)
        assert self.sequencer.enqueue(connection, raw)
        batch = self.sequencer.sequence(0, self.now_us, len(numbered))
        assert batch.commands == len(numbered)
        self.tables.commit(batch)
        return self.replies(batch, [c.request_id for c in numbered])

    def replies(self, batch: Batch, numbers: list[int]) -> list[list[Reply]]:
        """Replies of a batch by request; other frames are kept in `frames`."""
        found: dict[int, list[Reply]] = {number: [] for number in numbers}
        for connection, data in batch.outboxes:
            decoder = FrameDecoder()
            for kind, payload in decoder.feed(data):
                if kind is FrameType.REPLIES:
                    for reply in parse_replies(payload):
                        found[reply.request_id].append(reply)
                else:
                    self.frames.append((connection, kind, payload))
            assert decoder.held_bytes == 0
        return [found[number] for number in numbers]

    def one(self, command: Command) -> Reply:
        """The last reply to one command in a batch of its own."""
        return self.ask(command)[0][-1]

    def depth(self, command: Command) -> Depth:
        """The answer to a depth query."""
        self.ask(command)
        return Depth.unpack(self.frames.pop()[2])
