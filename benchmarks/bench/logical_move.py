"""The same slot brought to another database by PostgreSQL's logical replication, with a row filter.

As a careful script would do it: publication with a filter, subscription, wait until every table is
in sync, stop the writers at the resource, wait until all that was written is applied, compare the
open orders and counters of both sides, end the subscription, open the target. The comparison lies
in the pause: while orders flow there is no common number at which both sides could be read.
What the same cut-over takes for a script that trusts and does not compare is told beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.processes import BenchError
from trading_engine.moving.verifying import HOT

SLOT, FIRST, PAST = 2, "M", "~"
WRITES_PER_SECOND = 200  # of each writer
WRITERS = 2
TABLES = ("open_orders", "closed_orders", "trades", "symbol_state")
MARKER = "MARKER"  # a symbol of the range
SYNC_SECONDS_MAX = 3600.0
POLL_SECONDS = 0.001

Connect = Callable[[], "psycopg.Connection[Any]"]


@dataclass
class Writers:
    """Plain writers of orders, one transaction each; they go where they are told."""

    connects: tuple[Connect, Connect]  # to source and target
    at: int = 0
    acknowledged: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    _going: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _busy: list[threading.Lock] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to write."""
        self._going.set()
        for number in range(WRITERS):
            self._busy.append(threading.Lock())
            thread = threading.Thread(target=self._write, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def hold(self) -> None:
        """Returns once nothing is under way any more."""
        self._going.clear()
        for lock in self._busy:
            with lock:
                pass

    def go(self, at: int) -> None:
        """Write to the source (0) or to the target (1)."""
        self.at = at
        self._going.set()

    def end(self) -> int:
        """Stop; how many were acknowledged."""
        self._ended.set()
        self._going.set()
        for thread in self._threads:
            thread.join(30)
        return len(self.acknowledged)

    def _write(self, number: int) -> None:
        connections = [connect() for connect in self.connects]
        count, next_at = 0, time.monotonic()
        while not self._ended.is_set():
            self._going.wait()
            count += 1
            with self._busy[number]:
                if not self._going.is_set():
                    continue
                begun = time.monotonic()
                self._one(connections[self.at], number, count)
                done = time.monotonic()
            self.acknowledged.append(done)
            self.latencies.append(done - begun)
            next_at = max(next_at + 1 / WRITES_PER_SECOND, done)
            time.sleep(max(0.0, next_at - time.monotonic()))

    @staticmethod
    def _one(connection: psycopg.Connection[Any], number: int, count: int) -> None:
        with connection.transaction():
            connection.execute(
                "INSERT INTO open_orders SELECT %s, %s, 7, %s, 0, 10, 1, 0, 0, 0, %s, 0, 0, 0, 0",
                (f"MW{number}", count, f"w{number}-{count}", count),
            )
            connection.execute(
                "INSERT INTO symbol_state VALUES (%s, %s, 0, 0, 0, 0, 0, 0, false, 0)"
                " ON CONFLICT (symbol) DO UPDATE SET order_seq = excluded.order_seq",
                (f"MW{number}", count),
            )


@dataclass(frozen=True)
class LogicalMove:
    """What it took."""

    seconds: float  # from the publication to the last table in sync
    pause_milliseconds: float  # from the last acknowledgement before to the first one after
    pause_unverified_milliseconds: float  # the same without the time in which both were compared
    latency_p99_before: float
    latency_p99_during: float  # milliseconds, of the writers


def move_by_logical_replication(source: Connect, target: Connect, dsn: str) -> LogicalMove:
    """Move the slot. `dsn`: how the target's server reaches the source. Raises BenchError."""
    with source() as here, target() as there:
        writers = Writers((source, target))
        writers.start()
        try:
            time.sleep(10)
            before = _p99(writers.latencies)
            writers.latencies.clear()
            begun = time.monotonic()
            _replicate(here, there, dsn)
            seconds = time.monotonic() - begun
            during = _p99(writers.latencies)
            time.sleep(3)
            pause, verifying = _cut_over(here, there, writers)
            time.sleep(2)
        finally:
            count = writers.end()
        stored = there.execute("SELECT count(*) FROM open_orders WHERE symbol LIKE 'MW%'")
        row = stored.fetchone()
        if row is None or row[0] != count:
            raise BenchError(f"logical replication: {count} were acknowledged, {row} are there")
    return LogicalMove(seconds, pause, pause - verifying, before, during)


def _replicate(
    here: psycopg.Connection[Any], there: psycopg.Connection[Any], dsn: str
) -> None:  # fmt: skip
    rows = f"WHERE (symbol >= '{FIRST}' AND symbol < '{PAST}')"
    tables = ", ".join(f"TABLE {table} {rows}" for table in TABLES)
    here.execute(f"CREATE PUBLICATION slot_moves FOR {tables}")
    there.execute(
        f"CREATE SUBSCRIPTION slot_moves CONNECTION '{dsn}' PUBLICATION slot_moves"
        " WITH (binary = true)"
    )
    deadline = time.monotonic() + SYNC_SECONDS_MAX
    while there.execute(
        "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'"
    ).fetchone() != (0,):
        if time.monotonic() > deadline:
            raise BenchError("logical replication does not come in sync")
        time.sleep(0.05)


def _cut_over(
    here: psycopg.Connection[Any], there: psycopg.Connection[Any], writers: Writers
) -> tuple[float, float]:
    """The pause, and how much of it both sides were compared, in milliseconds."""
    seal = "UPDATE slot_owner SET state = 'SEALED' WHERE slot_id = %s"
    writers.hold()
    last = max(writers.acknowledged)
    here.execute(seal, (SLOT,))  # whoever does not hear of it cannot write any more
    _wait_until_applied(here, there)
    begun = time.monotonic()
    with ThreadPoolExecutor(2) as both:
        sides = list(both.map(_hot_state, (here, there)))
    verifying = time.monotonic() - begun
    if sides[0] != sides[1]:
        raise BenchError(f"logical replication: both sides are not equal: {sides}")
    there.execute("ALTER SUBSCRIPTION slot_moves DISABLE")
    there.execute("UPDATE slot_owner SET state = 'ACTIVE' WHERE slot_id = %s", (SLOT,))
    known = len(writers.acknowledged)
    writers.go(1)
    while len(writers.acknowledged) == known:
        time.sleep(POLL_SECONDS)
    return (writers.acknowledged[known] - last) * 1000, verifying * 1000


def _wait_until_applied(
    here: psycopg.Connection[Any], there: psycopg.Connection[Any]
) -> None:  # fmt: skip
    """Until the target has all of the source: its position, and a marker that was written last."""
    mark = "INSERT INTO symbol_state VALUES (%s, 1, 0, 0, 0, 0, 0, 0, false, 0)"
    here.execute(mark, (MARKER,))
    position = here.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    assert position is not None
    applied = (
        "SELECT replay_lsn >= %s::pg_lsn FROM pg_stat_replication"
        " WHERE application_name = 'slot_moves'"
    )
    while here.execute(applied, position).fetchone() != (True,):
        time.sleep(POLL_SECONDS)
    if not there.execute("SELECT 1 FROM symbol_state WHERE symbol = %s", (MARKER,)).fetchone():
        raise BenchError("logical replication: applied, they say, but what was last is not there")


def _hot_state(side: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Counts and digests of open orders and counters, as our moves compare them."""
    return side.execute(HOT, {"first": FIRST, "past": PAST}).fetchall()


def end_replication(source: Connect, target: Connect) -> None:
    """Nothing of it is left on the servers."""
    with target() as there:
        there.execute("DROP SUBSCRIPTION IF EXISTS slot_moves")
    with source() as here:
        here.execute("DROP PUBLICATION IF EXISTS slot_moves")


def _p99(seconds: list[float]) -> float:
    values = sorted(seconds)
    return round(values[int(len(values) * 0.99)] * 1000, 2) if values else 0.0
