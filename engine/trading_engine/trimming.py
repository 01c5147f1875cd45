"""The end of `slot_log`: old rows go, in small bites, beside the commits.

Nothing here needs rows of the log but moves and audits: recovery reads `open_orders` and
`symbol_state`, idempotency `closed_orders`, a commit in doubt `slot_owner`. What moves need is kept
by the shard's function itself: it trims for the owner of an ACTIVE slot without a move only, never
the newest row, and nothing younger than an hour.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence

import psycopg

from trading_contract.errors import TradingError, WorldError
from trading_engine.complaints import first_line
from trading_engine.taking import TakenSlot

logger = logging.getLogger(__name__)

ROWS_PER_BITE = 1000
BETWEEN_BITES_SECONDS = 0.02

# By shard: (connection string, owned slots).
Owned = Callable[[], Sequence[tuple[str, Sequence[TakenSlot]]]]


class LogTrimmer:
    """Looks at all owned slots now and then."""

    def __init__(
        self, owned: Owned, incarnation: uuid.UUID, retention_seconds: int, every_seconds: float
    ) -> None:
        self.trimmed = 0
        self._owned = owned
        self._incarnation = incarnation
        self._retention_seconds = retention_seconds
        self._every_seconds = every_seconds
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Trim until closed. A shard that is away is tried again the next time."""
        while not self._ending.is_set():
            try:
                async with asyncio.timeout(self._every_seconds):
                    await self._ending.wait()
            except TimeoutError:
                await self._trim_all()

    async def _trim_all(self) -> None:
        try:
            owned = self._owned()
        except TradingError as problem:  # a password file that is being replaced
            logger.warning("%s; later", problem)
            return
        for conninfo, slots in owned:
            for slot in slots:
                try:
                    while await asyncio.to_thread(self._bite, conninfo, slot) == ROWS_PER_BITE:
                        await asyncio.sleep(BETWEEN_BITES_SECONDS)
                        if self._ending.is_set():
                            return
                except WorldError as problem:
                    logger.warning("%s; later", problem)
                    break

    def _bite(self, conninfo: str, slot: TakenSlot) -> int:
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                row = connection.execute(
                    "SELECT trim_log(%s, %s, %s, make_interval(secs => %s), %s)",
                    (slot.id, slot.epoch, self._incarnation, self._retention_seconds,
                     ROWS_PER_BITE),
                ).fetchone()  # fmt: skip
        except psycopg.Error as problem:
            raise WorldError(f"slot {slot.id}: cannot trim its log: {first_line(problem)}") from (
                problem
            )
        count = int(row[0]) if row is not None else 0
        self.trimmed += count
        return count

    def close(self) -> None:
        """End `run` with its present turn."""
        self._ending.set()
