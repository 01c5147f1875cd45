"""Asks a shard whether it accepts writes and who owns its slots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from trading_contract.load import ShardLoad
from trading_operator.planner.observed import ShardSeen, SlotRow
from trading_operator.probes.loads import SHARD_LOAD, TIMEOUT_SECONDS, parse_shard_load

# Two questions, because the second one needs tables that a new shard does not have yet.
WRITABLE = (
    "SELECT NOT pg_is_in_recovery() AND NOT current_setting('default_transaction_read_only')::bool"
)
# Read as JSON, as shards that an older version prepared do not have that column yet.
ROWS = (
    "SELECT slot_id, epoch, state, owner::text, first_sym, past_sym,"
    " to_jsonb(o) ->> 'partition' AS partition, to_jsonb(o) ->> 'move_id' AS move_id"
    " FROM slot_owner o ORDER BY 1"
)
STATEMENT_MILLISECONDS_MAX = 2000
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# Asked for, so that the log of a new shard is not full of errors.
EXISTS = "SELECT count(*) FROM pg_database WHERE datname = $1"
SIZE = "SELECT pg_database_size(current_database())"
HAS_ORDERS = (
    "SELECT EXISTS (SELECT FROM open_orders) OR EXISTS (SELECT FROM closed_orders)"
    " OR EXISTS (SELECT FROM trades)"
)
HAS_TABLE = "SELECT to_regclass('slot_owner') IS NOT NULL"


class ShardProbe:
    """One kept connection to one shard.

    Falls back to the maintenance database until ours exists.
    """

    def __init__(
        self,
        port: int,
        password: Callable[[], str],
        database: str = "trading",
        host: str = "127.0.0.1",
    ) -> None:
        self._host = host
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
                rows = await self._rows(connection)
                if rows is None:
                    return ShardSeen(accepts_writes=accepts)
                return ShardSeen(
                    accepts_writes=accepts, rows=rows,
                    database_bytes=await connection.fetchval(SIZE),
                    has_orders=bool(await connection.fetchval(HAS_ORDERS)),
                )  # fmt: skip
        except (OSError, TimeoutError, *DRIVER_ERRORS) as error:
            await self.close()
            return ShardSeen(note=f"does not answer ({type(error).__name__})")

    async def load(self, shard: str, timeout_seconds: float = TIMEOUT_SECONDS) -> ShardLoad | None:
        """Its load; None when it does not answer in time, does not take writes, or is new.

        Not while `ask` waits: both use one connection.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                connection = await self._connect()
                if self._connected_to != self._database:
                    return None
                row = await connection.fetchrow(SHARD_LOAD)
        except asyncpg.PostgresError:  # such as a statement that took too long
            return None
        except (OSError, TimeoutError, *DRIVER_ERRORS):
            await self.close()
            return None
        return None if row is None else parse_shard_load(shard, dict(row))

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        kept = self._connection
        if kept is None or kept.is_closed():
            self._connection = kept = await self._open("postgres")
            self._connected_to = "postgres"
        if self._connected_to != self._database and await kept.fetchval(EXISTS, self._database):
            await self.close()
            self._connection = kept = await self._open(self._database)
            self._connected_to = self._database
        return kept

    async def _open(self, database: str) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            host=self._host, port=self._port, user="postgres", password=self._password(),
            database=database, ssl=False, statement_cache_size=8, timeout=2,
            server_settings={
                "application_name": "operator/probe",
                "statement_timeout": str(STATEMENT_MILLISECONDS_MAX),
            },
        )  # fmt: skip

    async def _rows(
        self, connection: asyncpg.Connection[asyncpg.Record]
    ) -> tuple[SlotRow, ...] | None:
        if self._connected_to != self._database:
            return None
        if not await connection.fetchval(HAS_TABLE):
            return None
        rows = await connection.fetch(ROWS)
        return tuple(
            SlotRow(
                row["slot_id"],
                row["epoch"],
                row["state"],
                row["owner"] or "",
                row["first_sym"],
                row["past_sym"],
                row["partition"] or "",
                row["move_id"] or "",
            )
            for row in rows
        )

    async def close(self) -> None:
        """Drop the connection; the next question makes a new one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
