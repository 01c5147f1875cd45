"""H6: the commands of `slot_log`, run through the naive reference book, against the stored rows.

Layout of a payload: engine/sequencer/include/trading/sequencer/log_format.hpp; read here a second
time, from its description, so that one mistake cannot hide in both.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from history.rows import Dump, TradeRow
from trading_engine.core_records import Command, EventKind, Kind
from trading_engine.reference import ReferenceBook

LOG_VERSION = 3
BODY_HASH_BYTES = {2: 0, 3: 8}  # by version: of a command that places an order
HEAD_BYTES = 6
WORDS = 7
CHAIN_BYTES = 32


@dataclass(frozen=True)
class LoggedCommand:
    """One accepted command."""

    symbol: str
    client_id: str
    time_us: int
    command: Command


@dataclass
class Replayed:
    """A symbol after the replay: its book, each order's account, its trades as stored."""

    book: ReferenceBook = field(default_factory=ReferenceBook)
    accounts: dict[int, int] = field(default_factory=dict)
    trades: list[tuple[int, ...]] = field(default_factory=list)
    ended: dict[int, int] = field(default_factory=dict)  # order id -> status
    rejected: list[str] = field(default_factory=list)


def decode_payload(payload: bytes) -> Iterator[LoggedCommand]:
    """The commands of one batch; raises ValueError for what is not one."""
    body_hash_bytes = BODY_HASH_BYTES.get(payload[0] if payload else 0)
    if body_hash_bytes is None:
        raise ValueError(f"version {payload[:1].hex()} of the log is unknown")
    at, time_us = 1, 0
    while at < len(payload):
        if len(payload) - at < HEAD_BYTES:
            raise ValueError("a record is cut short")
        kind, shape, rules, flags, symbol_bytes, client_bytes = payload[at : at + HEAD_BYTES]
        at += HEAD_BYTES
        texts = payload[at : at + symbol_bytes + client_bytes]
        at += symbol_bytes + client_bytes
        words = []
        for _ in range(WORDS):
            word, at = _varint(payload, at)
            words.append(word)
        order_id, target_id, account, price, quantity, quote_quantity, step_us = words
        time_us += step_us
        if kind in (Kind.PLACE, Kind.CANCEL_REPLACE):
            at += body_hash_bytes
        if at > len(payload):
            raise ValueError("a record is cut short")
        yield LoggedCommand(
            symbol=texts[:symbol_bytes].decode(),
            client_id=texts[symbol_bytes:].decode(),
            time_us=time_us,
            command=Command(
                order_id=order_id, target_id=target_id, account=account, price=price,
                quantity=quantity, quote_quantity=quote_quantity, kind=kind, side=shape & 15,
                type=shape >> 4, time_in_force=rules & 15, self_trade=rules >> 4, flags=flags,
            ),
        )  # fmt: skip


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """A zig-zag LEB128 number, and where it ends."""
    bits = shift = 0
    while True:
        if at >= len(payload):
            raise ValueError("a record is cut short")
        byte = payload[at]
        bits |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return (bits >> 1) ^ -(bits & 1), at


def chain_faults(dump: Dump) -> list[str]:
    """Rows whose hash does not continue that of the row before."""
    chains: dict[int, bytes] = {}
    epochs: dict[int, int] = {}
    faults = []
    for row in dump.log:
        before = chains.get(row.slot_id, bytes(CHAIN_BYTES) if row.seq_lo == 1 else None)
        birth = dump.birth_before(row, epochs.get(row.slot_id, -1))
        before = before if birth is None else birth.chain
        epochs[row.slot_id] = row.epoch
        if before is not None:
            expected = hashlib.sha256(before + row.seq_hi.to_bytes(8, "big") + row.payload).digest()
            if expected != row.chain:
                faults.append(f"slot {row.slot_id}: the chain breaks at sequence {row.seq_hi}")
        chains[row.slot_id] = row.chain
    return faults


def replayed_as_stored(dump: Dump) -> list[str]:
    """What differs between the replayed log and the stored trades and orders."""
    faults = chain_faults(dump)
    symbols: dict[str, Replayed] = defaultdict(Replayed)
    # A symbol's slots have rising epochs, whatever was split and merged.
    for row in sorted(dump.log, key=lambda each: (each.epoch, each.seq_hi)):
        try:
            commands = list(decode_payload(row.payload))
        except ValueError as error:
            faults.append(f"slot {row.slot_id}, sequence {row.seq_hi}: {error}")
            continue
        if len(commands) != row.seq_hi - row.seq_lo + 1:
            faults.append(
                f"slot {row.slot_id}: {len(commands)} commands for {row.seq_lo}..{row.seq_hi}"
            )
        for command in commands:
            _run(symbols[command.symbol], command)
    for symbol, replayed in symbols.items():
        faults += [f"{symbol}: {text}" for text in replayed.rejected]
        faults += _trade_faults(symbol, replayed, dump)
        faults += _order_faults(symbol, replayed, dump)
    unlogged = {order.symbol for order in dump.orders} - set(symbols)
    return faults + [f"{symbol} has orders, but no log" for symbol in sorted(unlogged)]


def _run(replayed: Replayed, logged: LoggedCommand) -> None:
    for event in replayed.book.apply(logged.command):
        if event.kind == EventKind.ACCEPTED:
            replayed.accounts[event.order_id] = logged.command.account
        elif event.kind == EventKind.ENDED:
            replayed.ended[event.order_id] = event.status
        elif event.kind == EventKind.REJECTED and not event.flags:
            replayed.rejected.append(f"the log has {logged.command}, the book refuses it")
        elif event.kind == EventKind.TRADE:
            accounts = replayed.accounts
            replayed.trades.append(
                (
                    event.number, event.other_id, event.order_id, accounts[event.other_id],
                    accounts[event.order_id], event.price, event.quantity, event.side,
                )
            )  # fmt: skip


def _as_tuple(trade: TradeRow) -> tuple[int, ...]:
    return (
        trade.trade_id, trade.maker_order_id, trade.taker_order_id, trade.maker_account,
        trade.taker_account, trade.price, trade.quantity, trade.taker_side,
    )  # fmt: skip


def _trade_faults(symbol: str, replayed: Replayed, dump: Dump) -> list[str]:
    stored = [_as_tuple(trade) for trade in dump.trades if trade.symbol == symbol]
    faults = []
    for wanted, actual in zip(replayed.trades, stored, strict=False):
        if wanted != actual:
            faults.append(f"{symbol}: the book trades {wanted}, stored is {actual}")
            break  # all that follows differs because of the first
    if len(stored) != len(replayed.trades):
        faults.append(
            f"{symbol}: the book makes {len(replayed.trades)} trades, stored {len(stored)}"
        )
    return faults


STATUSES = (
    "NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"
)  # fmt: skip


def _order_faults(symbol: str, replayed: Replayed, dump: Dump) -> list[str]:
    rows = {order.order_id: order for order in dump.orders if order.symbol == symbol}
    open_now = {order.order_id: order for order in replayed.book.l3()}
    faults = []
    for order_id, order in rows.items():
        book = open_now.get(order_id)
        if order.is_open != (book is not None):
            faults.append(f"{symbol} {order_id} is {order.status}, the book says otherwise")
        elif book is not None:
            left = order.quantity - order.executed - order.prevented
            if (book.price, book.remaining) != (order.price, left):
                faults.append(
                    f"{symbol} {order_id} rests with {left} at {order.price}, the book has"
                    f" {book.remaining} at {book.price}"
                )
        elif order_id not in replayed.ended or order.status != STATUSES[replayed.ended[order_id]]:
            faults.append(f"{symbol} {order_id} ended as {order.status}, in the book otherwise")
    missing = sorted((set(open_now) | set(replayed.ended)) - set(rows))
    return faults + [f"{symbol} {order_id} is in the log, but not stored" for order_id in missing]
