"""Loading what the shard knows of taken slots. Only after the takeover: then nobody writes there.

Or, while somebody else does, as of one snapshot of the shard.

All slots of a shard are read in one pass over its tables, by a few threads, as streams of parts
that go straight into the core's `SlotRows`; the event loop only takes the finished rows over, in
slices, and serves in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from psycopg import pq, sql

from trading_contract.errors import InvariantError, WorldError
from trading_contract.topology import Idempotency
from trading_engine._core import Sequencer, SlotRows
from trading_engine.complaints import first_line
from trading_engine.spares import SPARES, Connection
from trading_engine.taking import TakenSlot

PART_BYTES = 1 << 20
# Of slots that another partition serves meanwhile: nobody waits for the load, but orders on the
# slots that are served here for Python's lock and the processor. Parts of some 2 ms, then a rest.
PART_BYTES_BESIDE = 1 << 16
SHARE_BESIDE = 0.3  # of the time
STREAMS_MAX = 4  # connections that read the open orders of a slot
PAGES_PER_STREAM_MIN = 2000
PAGE_MAX = (1 << 32) - 2  # beyond all
SLICE_ORDERS = 2_000  # about 2 ms of the event loop
_ORDER_COLUMNS = (
    "symbol, order_id, account, client_id, attributes, price, quantity, executed, executed_quote, "
    "prevented, priority, entry_trade_id, body_hash, created_us, seq, updated_us"
)
_ENDED_COLUMNS = "symbol, order_id, account, client_id, body_hash, ended_us"
_STATE_COLUMNS = (
    "symbol, order_seq, trade_seq, prevented_seq, priority_seq, update_seq, sym_seq, last_price, "
    "halted, seq"
)


def fetch_slots(
    conninfo: str,
    slots: Sequence[TakenSlot],
    remember: Idempotency,
    now_us: int,
    snapshot: str = "",
) -> SlotRows:
    """Read the slots' books, counters and recent client ids.

    As of now, or of an exported snapshot: slowly then, as another one serves them.

    Raises `WorldError` when the shard is away, `InvariantError` when its rows cannot be read.
    """
    try:
        return _fetch(conninfo, slots, remember, now_us, snapshot)
    except psycopg.Error as problem:
        raise WorldError(f"cannot load slots: {first_line(problem)}") from problem


def _fetch(
    conninfo: str, slots: Sequence[TakenSlot], remember: Idempotency, now_us: int, snapshot: str
) -> SlotRows:
    bounds = _bounds(slots)
    where = " OR ".join(["symbol >= %s AND symbol < %s"] * (len(bounds) // 2)) or "false"
    ended = (
        f"SELECT {_ENDED_COLUMNS} FROM closed_orders WHERE ({where}) "
        "AND ended_us >= %s ORDER BY ended_us DESC LIMIT %s"
    )
    since_us = now_us - remember.window_seconds * 1_000_000
    copy = partial(_copy, beside=bool(snapshot))

    def read_rest(connection: Connection) -> SlotRows:
        rows = SlotRows()
        states = f"SELECT {_STATE_COLUMNS} FROM symbol_state WHERE {where}"
        copy(connection, states, bounds, rows.add_states)
        copy(connection, ended, (*bounds, since_us, remember.entries_max), rows.add_closed_orders)
        return rows

    def read_open(connection: Connection, pages: tuple[int, int]) -> SlotRows:
        rows = SlotRows()
        within = tuple(f"({page},0)" for page in pages)
        query = (
            f"SELECT {_ORDER_COLUMNS} FROM open_orders WHERE ({where}) AND ctid >= %s AND ctid < %s"
        )
        copy(connection, query, (*bounds, *within), rows.add_open_orders)
        return rows

    def read_part(pages: tuple[int, int]) -> SlotRows:
        with _reader(conninfo, snapshot) as connection:
            return read_open(connection, pages)

    with (
        _reader(conninfo, snapshot) as connection,
        ThreadPoolExecutor(STREAMS_MAX, "load") as threads,
    ):
        ranges = _page_ranges(connection)
        # A connection costs its partition some milliseconds: a few rows are no reason for more.
        few = len(ranges) == 1
        parts = [] if few else [threads.submit(read_part, pages) for pages in ranges]
        rows = read_rest(connection)
        read = [read_open(connection, ranges[0])] if few else [part.result() for part in parts]
        if not all(rows.merge(part) for part in read) or not rows.finish():
            raise InvariantError(f"slots {[slot.id for slot in slots]}: their rows have no end")
    return rows


def _bounds(slots: Sequence[TakenSlot]) -> tuple[str, ...]:
    """First and past of each range, neighbours as one."""
    bounds: list[str] = []
    for slot in sorted(slots, key=lambda slot: slot.first.encode()):
        if bounds and bounds[-1] == slot.first:
            bounds[-1] = slot.past
        else:
            bounds += (slot.first, slot.past)
    return tuple(bounds)


@contextmanager
def _reader(conninfo: str, snapshot: str) -> Iterator[Connection]:
    with SPARES.borrow(conninfo) as connection:
        if snapshot:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
        yield connection


def _page_ranges(connection: Connection) -> list[tuple[int, int]]:
    """The pages of open_orders, cut for several readers; the last one reads what comes, too."""
    row = connection.execute(
        "SELECT pg_relation_size('open_orders') / current_setting('block_size')::int"
    ).fetchone()
    pages = int(row[0]) if row is not None else 0
    streams = max(1, min(STREAMS_MAX, pages // PAGES_PER_STREAM_MIN))
    cuts = [pages * n // streams for n in range(streams)]
    return list(zip(cuts, [*cuts[1:], PAGE_MAX], strict=True))


def fetch_followed(
    conninfo: str, ids: Sequence[int], remember: Idempotency, now_us: int
) -> tuple[list[TakenSlot], SlotRows]:
    """Slots as their owner has committed them, all as of one moment; absent ones are left out.

    Raises as `fetch_slots` does.
    """
    try:
        with SPARES.borrow(conninfo) as keeper:
            keeper.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            exported = keeper.execute("SELECT pg_export_snapshot()").fetchone()
            assert exported is not None
            rows = keeper.execute(
                "SELECT slot_id, first_sym, past_sym, epoch, last_seq, chain FROM slot_owner"
                " WHERE slot_id = ANY (%s) AND state = 'ACTIVE' ORDER BY slot_id", (list(ids),)
            ).fetchall()  # fmt: skip
            slots = [TakenSlot(*row) for row in rows]  # psycopg gives bytes
            return slots, fetch_slots(conninfo, slots, remember, now_us, exported[0])
    except psycopg.Error as problem:
        raise WorldError(f"cannot load slots: {first_line(problem)}") from problem


async def adopt(sequencer: Sequencer, rows: SlotRows) -> None:
    """Rebuild slots in memory. Raises `InvariantError` when the rows make no book."""
    left = 1
    while left:
        left = sequencer.adopt(rows, SLICE_ORDERS)
        if left < 0:
            raise InvariantError("open_orders make no book")
        await asyncio.sleep(0)


def _copy(
    connection: Connection,
    query: str,
    values: tuple[Any, ...],
    add: Callable[[bytearray], bool],
    *,
    beside: bool,
) -> None:
    """All of a COPY, by libpq's own calls: a million rows are a million small messages."""
    text = psycopg.ClientCursor(connection).mogrify(query, values)
    libpq = connection.pgconn
    begun = libpq.exec_(f"COPY ({text}) TO STDOUT (FORMAT binary)".encode())
    good = True
    if begun.status == pq.ExecStatus.COPY_OUT:
        part = bytearray()
        size_max = PART_BYTES_BESIDE if beside else PART_BYTES
        part_begun = time.monotonic()
        receive = libpq.get_copy_data
        while True:
            size, message = receive(0)
            if size < 0:
                break
            part += message
            if len(part) > size_max:
                good = good and add(part)
                part = bytearray()
                if beside:
                    time.sleep((time.monotonic() - part_begun) * (1 / SHARE_BESIDE - 1))
                    part_begun = time.monotonic()
        good = good and add(part)
    ended = libpq.get_result() if begun.status == pq.ExecStatus.COPY_OUT else begun
    while libpq.get_result() is not None:
        pass
    if ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
        problem = ended.get_error_message() if ended is not None else "no answer"
        raise psycopg.OperationalError(f"COPY failed: {problem}")
    if not good:
        raise InvariantError(f"rows of the shard cannot be read: {query}")
