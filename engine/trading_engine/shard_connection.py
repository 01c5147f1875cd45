"""One connection to a shard for the commit path: libpq's own calls on the event loop.

Why not a driver's cursor: parameters are already in PostgreSQL's binary format, a warning on a
commit must be seen, and nothing may ever send a cancel (a cancelled wait for a standby reports
success). A wait is bounded by closing the socket, and only by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq

from trading_contract.errors import WorldError
from trading_engine.scheduling import (
    serve_as_usual,
    serve_at_once,
    serve_first,
    step_back,
)

STATEMENT = b"statement"


class ShardLostError(WorldError):
    """The connection to the shard is gone; what was asked last is unknown."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server said to one statement. `lost`: nothing, or not the whole of it."""

    rows: tuple[tuple[bytes | None, ...], ...] = ()
    sqlstate: str = ""
    message: str = ""
    warning: str = ""
    lost: bool = False

    @property
    def good(self) -> bool:
        """Done, and durable as far as the server promises: a warning is no promise."""
        return not (self.lost or self.sqlstate or self.warning)


LOST = Outcome(lost=True, message="the connection was lost")

Done = Callable[[Outcome], None]
Sending = Callable[[pq.abc.PGconn], None]  # puts one statement on its way


def statement(text: str, values: Sequence[bytes | None] = ()) -> Sending:
    """With parameters and results as text."""
    return lambda pgconn: pgconn.send_query_params(text.encode(), list(values) or None)


def prepared(
    values: Sequence[bytes], formats: Sequence[int], name: bytes = STATEMENT
) -> Sending:  # fmt: skip
    """One that was prepared on this connection."""
    return lambda pgconn: pgconn.send_query_prepared(name, values, formats)


_BEGIN, _COMMIT = statement("BEGIN"), statement("COMMIT")


class ShardConnection:
    """One statement at a time; every statement ends in exactly one call of its `done`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._pgconn = pgconn = connection.pgconn
        self._socket = pgconn.socket
        self._done: Done | None = None
        self._last = LOST
        self._warning = ""
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._is_pipeline = False  # several statements are under way, a sync behind them
        pgconn.nonblocking = 1
        pgconn.notice_handler = self._on_notice
        self._loop.add_reader(self._socket, self.take_answer)

    @classmethod
    async def open(cls, conninfo: str) -> ShardConnection:
        """Connect, bounded by the connect_timeout of `conninfo`. Raises `ShardLostError`.

        By the driver: libpq's own call keeps Python's lock until the server has answered, and
        everybody waits.
        """
        try:
            return cls(await asyncio.to_thread(psycopg.connect, conninfo, autocommit=True))
        except psycopg.Error as problem:
            raise ShardLostError(str(problem)) from problem

    @property
    def alive(self) -> bool:
        """Whether a statement may be sent."""
        return self._socket >= 0

    @property
    def only_waits(self) -> bool:
        """Whether a statement was sent whole and has no outcome yet."""
        return self._done is not None and self.alive and not self._writing

    def serve_first(self) -> None:
        """Let the server's process come before others, where it is on this machine."""
        serve_first(self._connection)

    def serve_at_once(self) -> bool:
        """Let the server's process run whenever it can, where it is on this machine."""
        return serve_at_once(self._connection)

    def serve_as_usual(self) -> None:
        """Let it come first as before."""
        serve_as_usual(self._connection)

    def step_back(self) -> None:
        """Let the server's process leave others the processor, where it is on this machine."""
        step_back(self._connection)

    async def prepare(self, text: str, name: bytes = STATEMENT) -> None:
        """Prepare a statement once. Raises `ShardLostError` when the server refuses it."""
        outcome = await self._run(
            lambda: self._pgconn.send_prepare(name, text.encode()), seconds_max=10
        )
        if not outcome.good:
            raise ShardLostError(outcome.message)

    async def ask(
        self, text: str, values: Sequence[bytes | None] = (), seconds_max: float = 10
    ) -> Outcome:
        """Run one statement with parameters and results as text."""
        return await self.run(statement(text, values), seconds_max)

    async def run(self, sending: Sending, seconds_max: float) -> Outcome:
        """Run one statement."""
        return await self._run(lambda: sending(self._pgconn), seconds_max)

    async def transact(self, sendings: Sequence[Sending], seconds_max: float) -> Outcome:
        """Run statements as one transaction, in one round trip.

        The outcome is that of the first one that did not go well, else that of the COMMIT; it is
        rolled back by then, unless it is lost.
        """

        def send() -> None:
            self._pgconn.enter_pipeline_mode()
            self._is_pipeline = True
            for each in (_BEGIN, *sendings, _COMMIT):
                each(self._pgconn)
            self._pgconn.pipeline_sync()

        outcome = await self._run(send, seconds_max)
        if self.alive and self._pgconn.transaction_status != pq.TransactionStatus.IDLE:
            await self.ask("ROLLBACK")
        return outcome

    def start(
        self,
        values: Sequence[bytes],
        formats: Sequence[int],
        done: Done,
        seconds_max: float,
        name: bytes = STATEMENT,
    ) -> None:
        """Send the prepared statement; `done` is called later, never from within this call."""
        self._begin(done, seconds_max)
        try:
            self._pgconn.send_query_prepared(name, values, formats)
        except psycopg.Error as error:
            self._fail(str(error))
            return
        self._flush()

    async def run_prepared(self, values: Sequence[bytes], name: bytes) -> Outcome:
        """Run a prepared statement with parameters and results as text."""
        return await self._run(
            lambda: self._pgconn.send_query_prepared(name, list(values)), seconds_max=10
        )

    def fileno(self) -> int:
        """The socket, for those who poll; negative when it is lost."""
        return self._socket

    def take_answer(self) -> None:
        """Take what the server has sent; a statement that is answered whole ends by it."""
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None and self._is_pipeline and self._pgconn.status == pq.ConnStatus.OK:
                    continue  # the end of one of them
                if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._pgconn.exit_pipeline_mode()
                    self._is_pipeline = False
                    result = None
                if result is None:
                    self._finish_statement()
                    return
                if result.status != pq.ExecStatus.PIPELINE_ABORTED:  # not even tried
                    self._last = _outcome_of(result, self._warning)
        except psycopg.Error as error:
            self._fail(str(error))
            return
        if self._writing:
            self._flush()

    def close(self) -> None:
        """Close the socket; a statement under way ends as lost."""
        self._fail("closed")

    async def _run(self, send: Callable[[], None], seconds_max: float) -> Outcome:
        if not self.alive:
            return LOST
        waiter: asyncio.Future[Outcome] = self._loop.create_future()

        def done(outcome: Outcome) -> None:
            if not waiter.done():
                waiter.set_result(outcome)

        self._begin(done, seconds_max)
        try:
            send()
        except psycopg.Error as error:
            self._fail(str(error))
        else:
            self._flush()
        return await waiter

    def _begin(self, done: Done, seconds_max: float) -> None:
        if self._done is not None:
            raise RuntimeError("a statement is under way")
        self._last, self._warning, self._done = LOST, "", done
        self._timer = self._loop.call_later(
            seconds_max, self._fail, f"no answer within {seconds_max:g} s"
        )

    def _flush(self) -> None:
        try:
            more = self._pgconn.flush()
        except psycopg.Error as error:
            self._fail(str(error))
            return
        if bool(more) != self._writing:
            self._writing = bool(more)
            if more:
                self._loop.add_writer(self._socket, self._flush)
            else:
                self._loop.remove_writer(self._socket)

    def _on_notice(self, result: pq.abc.PGresult) -> None:
        severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        if severity == b"WARNING":
            text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"warning"
            self._warning = text.decode(errors="replace")

    def _finish_statement(self) -> None:
        if self._pgconn.status != pq.ConnStatus.OK:
            self._fail("the connection broke")
            return
        self._end(self._last)

    def _end(self, outcome: Outcome) -> None:
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if done is not None:
            done(outcome)

    def _fail(self, message: str) -> None:
        if self._socket < 0:
            return
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
            self._writing = False
        self._socket = -1
        self._pgconn.finish()
        self._loop.call_soon(self._end, Outcome(lost=True, message=message))


def _outcome_of(result: pq.abc.PGresult, warning: str) -> Outcome:
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        rows = tuple(
            tuple(result.get_value(row, column) for column in range(result.nfields))
            for row in range(result.ntuples)
        )
        return Outcome(rows, warning=warning)
    state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
    text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
    detail = result.error_field(pq.DiagnosticField.MESSAGE_DETAIL) or b""
    message = b": ".join(part for part in (text, detail) if part).decode(errors="replace")
    return Outcome(sqlstate=state.decode() or "XX000", message=message, warning=warning)
