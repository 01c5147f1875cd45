"""Asks a shard whether it accepts writes and who owns its slots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from trading_operator.planner.observed import ShardSeen, SlotRow

# Two questions, because the second one needs tables that a new shard does not have yet.
WRITABLE = (
    "SELECT NOT pg_is_in_recovery() AND NOT current_setting('default_transaction_read_only')::bool"
)
ROWS = "SELECT slot_id, epoch, state, owner::text FROM slot_owner ORDER BY slot_id"
NOT_THERE = (asyncpg.InvalidCatalogNameError, asyncpg.UndefinedTableError)


class ShardProbe:
    """One kept connection to one shard.

    Falls back to the maintenance database until ours exists.
    """

    def __init__(self, port: int, password: Callable[[], str], database: str = "trading") -> None:
        self._port = port
        self._password = password
        self._database = database
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._connected_to = ""

    async def ask(self, timeout_seconds: float = 2.0) -> ShardSeen:
        """What the shard says; a note instead when it does not answer in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                connection = await self._connect()
                accepts = bool(await connection.fetchval(WRITABLE))
                return ShardSeen(accepts_writes=accepts, rows=await self._rows(connection))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self.close()
            return ShardSeen(note=f"does not answer ({type(error).__name__})")

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        kept = self._connection
        if kept is not None and self._connected_to == self._database and not kept.is_closed():
            return kept
        await self.close()
        try:
            self._connection = await self._open(self._database)
            self._connected_to = self._database
        except NOT_THERE:
            self._connection = await self._open("postgres")
            self._connected_to = "postgres"
        return self._connection

    async def _open(self, database: str) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            host="127.0.0.1", port=self._port, user="postgres", password=self._password(),
            database=database, ssl=False, statement_cache_size=8, timeout=2,
            server_settings={"application_name": "operator/probe"},
        )  # fmt: skip

    async def _rows(
        self, connection: asyncpg.Connection[asyncpg.Record]
    ) -> tuple[SlotRow, ...] | None:
        if self._connected_to != self._database:
            return None
        try:
            rows = await connection.fetch(ROWS)
        except NOT_THERE:
            return None
        return tuple(
            SlotRow(row["slot_id"], row["epoch"], row["state"], row["owner"] or "") for row in rows
        )

    async def close(self) -> None:
        """Drop the connection; the next question makes a new one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
