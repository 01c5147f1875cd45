"""Rows of one connection for another, by COPY: libpq's own calls.

Each row is a message, which a driver's cursor makes dear.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Self

import psycopg
from psycopg import pq, sql

PART_BYTES = 1 << 18

Connection = psycopg.Connection[Any]


def read_rows(connection: Connection, query: sql.Composed) -> Iterator[bytes]:
    """What a query gives, in COPY's binary format, in parts of about 256 KiB.

    To be read to its end: the connection is busy until then. Raises psycopg's errors.
    """
    copy = _begun(
        connection, sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query),
        pq.ExecStatus.COPY_OUT,
    )  # fmt: skip
    part = bytearray()
    while True:
        size, message = copy.get_copy_data(0)
        if size < 0:
            break
        part += message
        if len(part) > PART_BYTES:
            yield bytes(part)
            part.clear()
    _end(copy)
    yield bytes(part)


def write_rows(connection: Connection, table: str, parts: Iterable[bytes]) -> int:
    """Insert those rows; how many bytes they were.

    Raises psycopg's errors and what `parts` raises; nothing was inserted then.
    """
    into = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(table))
    copy = _begun(connection, into, pq.ExecStatus.COPY_IN)
    size = 0
    try:
        for part in parts:
            copy.put_copy_data(part)
            size += len(part)
    except BaseException:
        copy.put_copy_end(b"the source did not tell all of it")
        while copy.get_result() is not None:
            pass
        raise
    copy.put_copy_end()
    _end(copy)
    return size


class Spool:
    """Keeps parts for later, in a file that nobody else sees."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, parts: Iterable[bytes]) -> int:
        """Behind what is there already; how many bytes they are. Raises OSError: no space."""
        return sum(self._file.write(part) for part in parts)

    def take(self, size: int) -> Iterator[bytes]:
        """The next so many bytes."""
        while size > 0:
            self._file.seek(self._read)
            part = self._file.read(min(size, PART_BYTES))
            self._read += len(part)
            size -= len(part)
            yield part


def _begun(connection: Connection, query: sql.Composed, wanted: pq.ExecStatus) -> pq.abc.PGconn:
    """A COPY that has begun."""
    result = connection.pgconn.exec_(query.as_bytes(connection))
    if result.status != wanted:
        raise psycopg.OperationalError(result.get_error_message())
    return connection.pgconn


def _end(copy: pq.abc.PGconn) -> None:
    """Of a COPY, well or with what it raises."""
    ended = copy.get_result()
    while copy.get_result() is not None:
        pass
    if ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
        text = ended.get_error_message() if ended is not None else "no answer"
        raise psycopg.OperationalError(f"COPY: {text}")
