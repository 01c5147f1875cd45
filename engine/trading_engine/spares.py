"""Connections of threads to shards that are kept for a moment, as moves need several one by one.

A new one costs its partition some milliseconds of Python's lock and the shard more: the orders on
all symbols wait for that. Blocking; for threads.
"""

from __future__ import annotations

import atexit
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

Connection = psycopg.Connection[Any]

IDLE_SECONDS_MAX = 10.0
SPARES_MAX = 4  # of one shard


class Spares:
    """By connection string; each is in one pair of hands at a time."""

    def __init__(self, idle_seconds_max: float = IDLE_SECONDS_MAX) -> None:
        self._idle_seconds_max = idle_seconds_max
        self._lock = threading.Lock()
        self._kept: dict[str, list[tuple[float, Connection]]] = {}

    @contextmanager
    def borrow(self, conninfo: str) -> Iterator[Connection]:
        """A connection that commits each statement by itself. Raises what psycopg raises.

        One whose borrower raised anything is closed, one that the borrower closed is not kept: who
        asks again gets another one.
        """
        connection = self._spare(conninfo) or psycopg.connect(conninfo, autocommit=True)
        try:
            yield connection
            if not connection.closed and (
                connection.info.transaction_status is not TransactionStatus.IDLE
            ):
                connection.rollback()
        except BaseException:
            connection.close()
            raise
        self._keep(conninfo, connection)

    def _spare(self, conninfo: str) -> Connection | None:
        while True:
            with self._lock:
                kept = self._kept.get(conninfo)
                if not kept:
                    return None
                since, connection = kept.pop()
            fresh = time.monotonic() - since <= self._idle_seconds_max
            if fresh and not _has_heard_something(connection):
                return connection
            connection.close()

    def _keep(self, conninfo: str, connection: Connection) -> None:
        with self._lock:
            kept = self._kept.setdefault(conninfo, [])
            if not connection.closed and len(kept) < SPARES_MAX:
                kept.append((time.monotonic(), connection))
                return
        connection.close()

    def close_idle(self) -> None:
        """Let go of those that nobody wanted for long."""
        oldest = time.monotonic() - self._idle_seconds_max
        with self._lock:
            for conninfo, kept in list(self._kept.items()):
                for since, connection in kept:
                    if since < oldest:
                        connection.close()
                self._kept[conninfo] = [each for each in kept if each[0] >= oldest]
                if not self._kept[conninfo]:
                    del self._kept[conninfo]

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            for kept in self._kept.values():
                for _, connection in kept:
                    connection.close()
            self._kept.clear()


def _has_heard_something(connection: Connection) -> bool:
    """Nobody asked: it is the end of the connection."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


SPARES = Spares()
atexit.register(SPARES.close)  # a process that ends lets go of them as it should
