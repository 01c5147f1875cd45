"""Copies slots from one shard to another, beside the trading: a child process of the partition.

The hot state (open orders, counters) as of one snapshot, then what never changes (ended orders,
trades, the log) in bites by key up to that snapshot's sequence, each compared on both sides. What
is committed later comes by the mirror (`shadow.py`). While a snapshot is open the source keeps each
version of the rows that every commit changes, and commits grow slower by the second: so the hot
state is read at once into a file, and written from there. It lives no longer than its parent, which
tells it on stdin how fast it may go.

What it imports, it loads for each move anew: as little as possible.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TextIO

import psycopg
from psycopg import sql

from trading_engine.complaints import first_line
from trading_engine.moving.bites import COLD, HOT, Key, Table
from trading_engine.moving.row_streams import Connection, Spool, read_rows, write_rows
from trading_engine.scheduling import step_back

# In one transaction of the target, between two rests. Both servers and the copier work at once
# then; a commit of somebody else may have to bring the log of all of it to the disk.
BITE_ROWS = 1_000
SLEEP_SECONDS_MAX = 2.0
# Of rows `t`: how many, and a number that does not depend on their order. The hash of a record
# costs half of what its text's does; once more, as it is a mere sum of the columns' hashes.
SUMS = "count(*), bit_xor(hashint8extended(hash_record_extended(t, 0), 0))"


@dataclass(frozen=True)
class CopyJob:
    """What to copy; the first line on stdin."""

    source: str  # connection strings
    target: str
    move: str
    slots: tuple[tuple[int, str, str], ...]  # (id, first, past)

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, line: str) -> CopyJob:
        """From that line."""
        told = json.loads(line)
        return cls(**{**told, "slots": tuple(tuple(slot) for slot in told["slots"])})


class Bite(NamedTuple):
    """Some rows of a slot, to be written in one transaction of the target."""

    slot: int
    table: Table
    condition: sql.Composed
    sums: tuple[Any, ...] | None = None  # of the source, for what is in the spool
    size: int = 0  # there, in bytes


class DifferenceError(Exception):
    """Both sides do not have the same rows."""


class Pace:
    """How much of its time the copier may work; ends the process with its parent."""

    def __init__(self, source: TextIO) -> None:
        self._share = 1.0
        self.rested_seconds = 0.0
        self._source = source
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._source:
            self._share = max(0.01, min(1.0, float(line)))
        os._exit(1)

    def rest_after(self, seconds: float) -> None:
        """Sleep in proportion."""
        rest_seconds = min(SLEEP_SECONDS_MAX, seconds * (1 / self._share - 1))
        time.sleep(rest_seconds)
        self.rested_seconds += rest_seconds


class Copier:
    """One job."""

    def __init__(self, job: CopyJob, source: Connection, target: Connection, pace: Pace) -> None:
        self._job, self._source, self._target, self._pace = job, source, target, pace
        self._bytes = 0
        self._parts = len(job.slots) * len(COLD)

    def run(self) -> None:
        """All of it; tells how far it is."""
        ends = self._hot()
        tell(event="hot", at={str(id_): end for id_, end in ends.items()}, bytes=self._bytes)
        done = 0
        for slot in self._job.slots:
            self._births(slot[0])
            for table in COLD:
                self._cold(slot, table, ends[slot[0]])
                done += 1
                tell(event="progress", bytes=self._bytes, percent=done * 100 // self._parts)
        self._make_durable()
        tell(event="done", bytes=self._bytes, rested=round(self._pace.rested_seconds, 2))

    def _hot(self) -> dict[int, int]:
        """The state of all slots at one moment; their sequences there."""
        move = self._job.move
        with Spool() as spool:
            rows, bites = self._read_hot(spool)
            for bite in bites:
                self._write(bite, spool.take(bite.size))
        with self._target.transaction():
            self._target.execute("SET LOCAL synchronous_commit TO DEFAULT")
            for id_, sequence, chain in rows:
                self._target.execute(
                    "SELECT finish_copy(%s, %s, %s, %s)", (id_, move, sequence, chain)
                )
        return {row[0]: row[1] for row in rows}

    def _read_hot(self, spool: Spool) -> tuple[list[tuple[Any, ...]], list[Bite]]:
        """The slots as they are now (id, sequence, chain), and what has to be written."""
        with self._source.transaction():
            self._source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            rows = self._source.execute(
                "SELECT slot_id, last_seq, chain FROM slot_owner WHERE slot_id = ANY (%s)"
                " AND state = 'ACTIVE' AND move_id = %s",
                ([slot[0] for slot in self._job.slots], self._job.move),
            ).fetchall()
            if len(rows) < len(self._job.slots):
                raise psycopg.OperationalError("a slot is not where it was")
            return rows, [
                self._spooled(spool, slot[0], table, condition)
                for slot in self._job.slots for table in HOT
                for condition in self._bites(slot, table, None)
            ]  # fmt: skip

    def _spooled(self, spool: Spool, slot: int, table: Table, condition: sql.Composed) -> Bite:
        size = spool.put(self._rows(table, condition))
        return Bite(slot, table, condition, _digest(self._source, table, condition), size)

    def _make_durable(self) -> None:
        """One commit that waits for the disk, and for standbys: what came before it is there, too.

        Bites are not waited for one by one: a log is durable from its beginning on.
        """
        with self._target.transaction():
            self._target.execute("SET LOCAL synchronous_commit TO DEFAULT")
            for slot in self._job.slots:
                self._target.execute("SELECT copy_fence(%s, %s, false)", (slot[0], self._job.move))

    def _cold(self, slot: tuple[int, str, str], table: Table, end: int) -> None:
        for condition in self._bites(slot, table, end):
            self._write(Bite(slot[0], table, condition), self._rows(table, condition))

    def _bites(
        self, slot: tuple[int, str, str], table: Table, end: int | None
    ) -> Iterator[sql.Composed]:
        """Conditions that cut the table by its key."""
        after: Key | None = None
        while True:
            last = self._source.execute(
                sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
                    table.columns,
                    sql.Identifier(table.name),
                    table.rows_of(slot, after, None),
                    table.columns,
                    BITE_ROWS - 1,
                )
            ).fetchone()
            within = table.rows_of(slot, after, last)
            if end is not None:
                within = sql.SQL("{} AND {} <= {}").format(within, sql.Identifier(table.seq), end)
            yield within
            if last is None:
                return
            after = last

    def _rows(self, table: Table, condition: sql.Composed) -> Iterator[bytes]:
        query = sql.SQL("SELECT * FROM {} WHERE {}")
        return read_rows(self._source, query.format(sql.Identifier(table.name), condition))

    def _write(self, bite: Bite, parts: Iterable[bytes]) -> None:
        """One bite, then a rest. Raises `DifferenceError`."""
        begun = time.monotonic()
        with self._target.transaction():
            is_hot = bite.sums is not None
            self._target.execute(
                "SELECT copy_fence(%s, %s, %s)", (bite.slot, self._job.move, is_hot)
            )
            self._bytes += write_rows(self._target, bite.table.name, parts)
            there = _digest(self._target, bite.table, bite.condition)
            here = bite.sums or _digest(self._source, bite.table, bite.condition)
            if here != there:
                raise DifferenceError(f"slot {bite.slot}: {bite.table.name}: {[here, there]}")
        self._pace.rest_after(time.monotonic() - begun)

    def _births(self, id_: int) -> None:
        rows = self._source.execute(
            "SELECT epoch, born_seq, chain, parents::text FROM slot_birth WHERE slot_id = %s",
            (id_,),
        ).fetchall()
        if rows:
            self._target.execute(
                "SELECT copy_births(%s, %s, %s::bigint[], %s::bigint[], %s::bytea[], %s::text[])",
                (id_, self._job.move, *(list(column) for column in zip(*rows, strict=True))),
            )


def _digest(connection: Connection, table: Table, condition: sql.Composed) -> tuple[Any, ...]:
    row = connection.execute(
        sql.SQL("SELECT {} FROM {} t WHERE {}").format(
            sql.SQL(SUMS), sql.Identifier(table.name), condition
        )
    ).fetchone()
    assert row is not None
    return tuple(row)


def tell(**what: Any) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def copy_slots() -> int:
    """`trading-engine copy-slots`: 0 = copied; 1 = not, and the last line tells why."""
    job = CopyJob.of(sys.stdin.readline())
    pace = Pace(sys.stdin)
    try:
        with (
            psycopg.connect(job.source, autocommit=True) as source,
            psycopg.connect(job.target, autocommit=True) as target,
        ):
            stepped_back = [step_back(each) for each in (source, target)]
            if all(stepped_back):
                tell(event="local")
            for each in (source, target):  # what statistics say of a range is of before the copy
                each.execute("SET enable_seqscan = off")
            target.execute("SET synchronous_commit = off")
            Copier(job, source, target, pace).run()
    except DifferenceError as problem:
        tell(event="failed", code="differs", text=str(problem))
        return 1
    except (psycopg.Error, OSError) as problem:
        tell(event="failed", code="other", text=first_line(problem))
        return 1
    return 0
