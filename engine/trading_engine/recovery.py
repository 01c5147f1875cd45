"""Taking slots over, and loading what the shard knows of them.

The takeover comes first: it waits behind a commit that a dead predecessor still has in flight, and
shuts that predecessor out. Only then are the rows read, so nothing can change behind the reader.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq

from trading_contract.errors import InvariantError, WorldError
from trading_contract.topology import Idempotency, SlotPlacement
from trading_engine._core import Sequencer

logger = logging.getLogger(__name__)

TAKE_TRIES_MAX = 5
_ORDER_COLUMNS = (
    "symbol, order_id, account, client_id, attributes, price, quantity, executed, executed_quote, "
    "prevented, priority, entry_trade_id, body_hash, created_us, seq"
)
_ENDED_COLUMNS = "symbol, order_id, account, client_id, body_hash, ended_us"
_STATE_COLUMNS = (
    "symbol, order_seq, trade_seq, prevented_seq, priority_seq, update_seq, sym_seq, last_price, "
    "halted, seq"
)


@dataclass(frozen=True)
class TakenSlot:
    """A slot as its new owner found it."""

    id: int
    first: str
    past: str
    epoch: int
    sequence: int
    chain: bytes


def take_slots(
    conninfo: str, wanted: Sequence[SlotPlacement], incarnation: uuid.UUID
) -> list[TakenSlot]:
    """Own the slots: epoch + 1 each. Blocks on commits in flight.

    Raises `WorldError` when the shard is away, not yet prepared, or another taker keeps winning.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return [_take(connection, slot, incarnation) for slot in wanted]
    except psycopg.Error as problem:
        raise WorldError(f"cannot take slots: {_first_line(problem)}") from problem


def _take(
    connection: psycopg.Connection[Any], slot: SlotPlacement, incarnation: uuid.UUID
) -> TakenSlot:
    for _ in range(TAKE_TRIES_MAX):
        row = connection.execute(
            "SELECT epoch, state, first_sym, past_sym FROM slot_owner WHERE slot_id = %s",
            (slot.id,),
        ).fetchone()
        if row is None:
            raise WorldError(f"slot {slot.id} is not on {slot.shard} yet")
        epoch, state, first, past = row
        if state != "ACTIVE":
            raise WorldError(f"slot {slot.id} is {state} on {slot.shard}")
        taken = connection.execute(
            "SELECT epoch, last_seq, chain FROM take_slot(%s, %s, %s)",
            (slot.id, epoch, incarnation),
        ).fetchone()
        if taken is not None:
            return TakenSlot(slot.id, first, past, taken[0], taken[1], bytes(taken[2]))
    raise WorldError(f"slot {slot.id}: somebody else keeps taking it")


@dataclass(frozen=True)
class SlotRows:
    """What the shard knows of a slot, as COPY .. (FORMAT binary) gives it."""

    slot: TakenSlot
    states: bytearray
    open_orders: bytearray
    closed_orders: bytearray


def fetch_slots(
    conninfo: str, taken: Sequence[TakenSlot], remember: Idempotency, now_us: int
) -> list[SlotRows]:
    """Read books, counters and recent client ids of taken slots. Raises `WorldError`."""
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return [_fetch(connection, slot, remember, now_us) for slot in taken]
    except psycopg.Error as problem:
        raise WorldError(f"cannot load slots: {_first_line(problem)}") from problem


def _fetch(
    connection: psycopg.Connection[Any], slot: TakenSlot, remember: Idempotency, now_us: int
) -> SlotRows:
    where = "symbol >= %s AND symbol < %s"
    bounds: tuple[Any, ...] = (slot.first, slot.past)
    since_us = now_us - remember.window_seconds * 1_000_000
    return SlotRows(
        slot,
        _copy(connection, f"SELECT {_STATE_COLUMNS} FROM symbol_state WHERE {where}", bounds),
        _copy(
            connection,
            f"SELECT {_ORDER_COLUMNS} FROM open_orders WHERE {where}",
            bounds,
        ),
        _copy(
            connection,
            f"SELECT {_ENDED_COLUMNS} FROM closed_orders WHERE {where} "
            "AND ended_us >= %s ORDER BY ended_us DESC LIMIT %s",
            (*bounds, since_us, remember.entries_max),
        ),
    )


def feed(sequencer: Sequencer, rows: SlotRows) -> int:
    """Rebuild a slot in memory; returns its open orders.

    Raises `InvariantError` when the rows make no book.
    """
    if sequencer.load_symbol_state(rows.states) < 0:
        raise InvariantError(f"slot {rows.slot.id}: symbol_state cannot be read")
    opened = sequencer.load_open_orders(rows.open_orders)
    if opened < 0:
        raise InvariantError(f"slot {rows.slot.id}: open_orders make no book")
    if sequencer.load_closed_orders(rows.closed_orders) < 0:
        raise InvariantError(f"slot {rows.slot.id}: closed_orders cannot be read")
    return opened


def _copy(connection: psycopg.Connection[Any], query: str, values: tuple[Any, ...]) -> bytearray:
    """All of a COPY, by libpq's own calls: a million rows are a million small messages."""
    text = psycopg.ClientCursor(connection).mogrify(query, values)
    libpq = connection.pgconn
    begun = libpq.exec_(f"COPY ({text}) TO STDOUT (FORMAT binary)".encode())
    data = bytearray()
    if begun.status == pq.ExecStatus.COPY_OUT:
        while True:
            size, message = libpq.get_copy_data(0)
            if size < 0:
                break
            data += message
    ended = libpq.get_result() if begun.status == pq.ExecStatus.COPY_OUT else begun
    while libpq.get_result() is not None:
        pass
    if ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
        problem = ended.get_error_message() if ended is not None else "no answer"
        raise psycopg.OperationalError(f"COPY failed: {problem}")
    return data


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
