"""Making a batch durable: one connection to the shard, made anew whenever it is lost.

A commit whose outcome is not known (connection lost, warning, no answer in time) is resolved on a
new connection: `SELECT .. FOR UPDATE` waits for the old server process, then sequence and chain of
the slots tell. Surely absent: the same rows are sent again, exactly one copy can pass the fence.
Fenced: the process ends, its memory is worth nothing.

A batch may carry a step (`moving/steps.py`): both are one transaction then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from trading_contract.errors import InvariantError, WorldError
from trading_engine._core import Batch
from trading_engine.haste import Haste
from trading_engine.moving.steps import REFUSED, SlotRow, Step, array
from trading_engine.shard_connection import (
    Outcome,
    Sending,
    ShardConnection,
    ShardLostError,
    prepared,
    statement,
)

logger = logging.getLogger(__name__)

# The row types of commit_changes, in the order of its parameters; the shard numbers them.
ROW_TYPES = (
    "slot_commit", "symbol_commit", "open_order", "changed_order", "order_key", "ended_order",
    "made_trade",
)  # fmt: skip
COMMIT = f"SELECT commit_changes($1, {', '.join(f'${n + 2}' for n in range(len(ROW_TYPES)))})"
_BINARY = [1] * (1 + len(ROW_TYPES))
_TYPES = "SELECT " + ", ".join(f"to_regtype('{name}')::oid" for name in ROW_TYPES)
_SLOTS = (
    "SELECT slot_id, epoch, last_seq, encode(chain, 'hex'), owner, past_sym, state, "
    "coalesce(move_id::text, '') FROM slot_owner "
    "WHERE slot_id = ANY ($1::int[]) ORDER BY slot_id FOR UPDATE"
)
_LOGGED = (
    "SELECT slot_id, encode(chain, 'hex') FROM slot_log l JOIN unnest($1::int[], $2::bigint[]) "
    "AS b(slot_id, seq_hi) USING (slot_id, seq_hi)"
)
Statement = tuple[str, list[bytes]]
FENCED = "TC001"
# The transaction was surely rolled back by something that may pass: the same rows may be sent
# again.
RETRY = ("40P01", "40001", "53", "55P03", "25006")
# The server is going down or the connection is: nobody knows.
UNKNOWN = ("57", "58", "08")
COMMIT_SECONDS_MAX = 30.0
BACKOFF_SECONDS_MAX = 0.5


class FencedError(InvariantError):
    """Another incarnation owns a slot that this one served."""


class ShardWriter:
    """Sends commits of one shard, one at a time."""

    def __init__(self, shard: str, connect: Callable[[], Awaitable[ShardConnection]]) -> None:
        self.shard = shard
        self.reconnect_seconds_max = 60.0
        self.ending = False
        self.haste = Haste()
        self._connect = connect
        self._connection: ShardConnection | None = None
        self._types: tuple[int, ...] = ()

    async def open(self, deadline: float | None = None) -> None:
        """A connection to the writable member. Raises `WorldError` after the deadline."""
        pause = 0.02
        if deadline is None:
            deadline = time.monotonic() + self.reconnect_seconds_max
        if self._connection is not None:
            self._connection.close()
        while not self.ending:
            try:
                self._connection = await self._connect()
                self._types = await row_types(self._connection)
                await self._connection.prepare(COMMIT)
                self._connection.serve_first()
                self.haste.add(self._connection)
                return
            except ShardLostError as problem:
                if self._connection is not None:
                    self._connection.close()
                if time.monotonic() > deadline:
                    raise WorldError(f"shard {self.shard} is away: {problem}") from problem
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_SECONDS_MAX)
        raise WorldError(f"shard {self.shard} is let go")

    def send(self, owner: bytes, batch: Batch) -> asyncio.Future[Outcome]:
        """Begin to commit a batch of this incarnation; the future never fails."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(result: Outcome) -> None:
            if not outcome.done():
                outcome.set_result(result)

        if self._connection is None or not self._connection.alive:
            outcome.set_result(Outcome(lost=True, message="not connected"))
        else:
            parameters = [owner, *batch.parameters(self._types)]
            self._connection.start(parameters, _BINARY, done, COMMIT_SECONDS_MAX)
        return outcome

    @property
    def waits_for(self) -> ShardConnection | None:
        """The connection, while the shard has a statement and nothing is left to do for it."""
        connection = self._connection
        return connection if connection is not None and connection.only_waits else None

    def is_committed(self, outcome: Outcome) -> bool:
        """True: durable. False: `resolve` it. Raises `InvariantError` when that would be wrong."""
        if outcome.good:
            return True
        if outcome.sqlstate and not outcome.sqlstate.startswith((FENCED, *RETRY, *UNKNOWN)):
            raise InvariantError(f"the shard refused a batch: {outcome.sqlstate} {outcome.message}")
        logger.warning("shard %s: commit in doubt: %s", self.shard, outcome)
        return False

    async def transact(self, owner: bytes, batch: Batch, step: Statement) -> Outcome:
        """A batch, if it changes anything, and a step: one transaction, in one round trip."""
        connection = self._connection
        if connection is None or not connection.alive:
            return Outcome(lost=True, message="not connected")
        sendings: list[Sending] = []
        if batch.changes:
            sendings.append(prepared([owner, *batch.parameters(self._types)], _BINARY))
        return await connection.transact([*sendings, statement(*step)], COMMIT_SECONDS_MAX)

    async def resolve(self, owner: bytes, batch: Batch) -> None:
        """Find out whether the batch was committed; send the same rows again until it is."""
        deadline = time.monotonic() + self.reconnect_seconds_max
        while True:
            await self.open(deadline)
            rows = await self._slot_rows({slot[0] for slot in batch.slots})
            if rows is None:
                continue
            if verdict(batch, rows):
                return
            if self.is_committed(await self.send(owner, batch)):
                return
            await asyncio.sleep(0.05)

    async def commit_with(self, owner: bytes, batch: Batch, step: Step, with_it: Statement) -> bool:
        """Commit a batch and a step. False: the batch alone, the step was refused.

        Raises as `resolve` does.
        """
        outcome = await self.transact(owner, batch, with_it)
        deadline = time.monotonic() + self.reconnect_seconds_max
        while not outcome.good:
            if outcome.sqlstate == REFUSED:
                logger.info("shard %s: a step was refused: %s", self.shard, outcome.message)
                break
            self.is_committed(outcome)  # raises if it makes no sense to go on
            await self.open(deadline)
            landed = await self._is_landed(batch, step)
            if landed is not None:
                return landed
            outcome = await self.transact(owner, batch, with_it)
        else:
            return True
        while batch.changes and not self.is_committed(await self.send(owner, batch)):
            await self.open(deadline)
            # A copy that was lost before may still have won over what was sent now.
            landed = await self._is_landed(batch, step)
            if landed is not None:
                return landed
        return False

    async def _is_landed(self, batch: Batch, step: Step) -> bool | None:
        """Whether batch and step are committed; False: the batch alone; None: surely not yet."""
        wanted = {slot[0]: slot for slot in batch.slots}
        rows = await self._slot_rows({*wanted, *step.slots})
        if rows is None:
            return None
        if not step.landed(rows):
            return False if wanted and verdict(batch, rows) else None
        assert self._connection is not None
        ids, sequences = list(wanted), [slot[3] for slot in wanted.values()]
        answer = await self._connection.ask(_LOGGED, [array(ids), array(sequences)])
        if not answer.good:
            return None
        logged = {int(id_ or 0): (chain or b"").decode() for id_, chain in answer.rows}
        if any(logged.get(id_) != slot[4].hex() for id_, slot in wanted.items()):
            raise FencedError(f"slots {ids} went on without us")
        return True

    async def _slot_rows(self, ids: set[int]) -> dict[int, SlotRow] | None:
        assert self._connection is not None
        answer = await self._connection.ask(_SLOTS, [array(sorted(ids))])
        if not answer.good:
            self._connection.close()
            return None
        rows = {}
        for row in answer.rows:
            slot_id, epoch, sequence, *rest = ((each or b"").decode() for each in row)
            rows[int(slot_id)] = SlotRow(int(epoch), int(sequence), *rest)
        return rows

    def close(self) -> None:
        """Let go of the connection, and make no other."""
        self.ending = True
        if self._connection is not None:
            self._connection.close()


async def row_types(connection: ShardConnection) -> tuple[int, ...]:
    """The numbers of ROW_TYPES on this shard. Raises `ShardLostError` while it lacks them."""
    answer = await connection.ask(_TYPES)
    if not answer.good:
        raise ShardLostError(answer.message)
    if None in answer.rows[0]:
        raise ShardLostError("it is not prepared for this version yet")
    return tuple(int(number or 0) for number in answer.rows[0])


def verdict(batch: Batch, rows: dict[int, SlotRow]) -> bool:
    """True: committed. False: surely absent so far. Raises `FencedError` otherwise."""
    committed = []
    for slot_id, epoch, previous, sequence, chain in batch.slots:
        row = rows.get(slot_id)
        if row is None or row.epoch != epoch:
            raise FencedError(f"slot {slot_id} has another owner: {row}")
        last, last_chain = row.sequence, row.chain
        if (last, last_chain) == (sequence, chain.hex()):
            committed.append(True)
        elif last == previous:
            committed.append(False)
        else:
            raise FencedError(f"slot {slot_id} went on without us: {last} after {previous}")
    if len(set(committed)) != 1:
        raise InvariantError("half a batch is committed")
    return committed[0]
