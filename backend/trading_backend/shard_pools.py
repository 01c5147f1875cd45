"""Connections for reads: to the primary of each shard, wherever it is by now.

A driver's list of hosts does not do: its one time limit is spent on the first member whose node is
dead. Here each member has its own, and the one that was the primary last time is asked first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

import asyncpg

from trading_contract.errors import WorldError
from trading_contract.topology import ShardAddress

READ_SECONDS_MAX = 5.0
CONNECT_SECONDS_MAX = 1.0  # per member
READS_WAITING_MAX = 512  # per replica; more are refused at once

Row = Any
Connection = Any  # asyncpg's is generic for the type checker only


class StoreUnavailableError(WorldError):
    """A shard cannot be read now."""


class ShardPools:
    """One small pool per shard, opened when first needed."""

    def __init__(self, secrets_folder: Path, connections_max: int) -> None:
        self._secrets = secrets_folder
        self._connections_max = connections_max
        self._shards: dict[str, ShardAddress] = {}
        self._pools: dict[str, asyncpg.Pool[Any]] = {}
        self._opening = asyncio.Lock()
        self._waiting = 0

    def set_shards(self, shards: Sequence[ShardAddress]) -> None:
        """Read from these; pools of changed ones are opened anew."""
        newer = {shard.name: shard for shard in shards}
        for name, shard in self._shards.items():
            if newer.get(name) != shard and name in self._pools:
                self._pools.pop(name).terminate()
        self._shards = newer

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.terminate()
        self._pools.clear()

    async def fetch(self, shard: str, query: str, *values: object) -> Sequence[Row]:
        """The rows of one query. Raises `StoreUnavailableError`, within `READ_SECONDS_MAX`."""
        if self._waiting >= READS_WAITING_MAX:
            raise StoreUnavailableError(f"{shard}: {READS_WAITING_MAX} reads are waiting already")
        self._waiting += 1
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                return await self._fetch_again(shard, query, *values)
        except TimeoutError as problem:
            # Perhaps the member is cut off, and another one the primary by now.
            if shard in self._pools:
                await self._pools[shard].expire_connections()
            raise StoreUnavailableError(f"{shard}: no answer in time") from problem
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            raise StoreUnavailableError(
                f"{shard}: {type(problem).__name__}: {problem}"
            ) from problem
        finally:
            self._waiting -= 1

    async def _fetch_again(self, shard: str, query: str, *values: object) -> Sequence[Row]:
        """Reads are repeated on new connections: after a restart those of the pool are dead."""
        for _ in range(self._connections_max):
            try:
                return cast("Sequence[Row]", await (await self._pool(shard)).fetch(query, *values))
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError):
                continue
        return cast("Sequence[Row]", await (await self._pool(shard)).fetch(query, *values))

    async def _pool(self, shard: str) -> asyncpg.Pool[Any]:
        async with self._opening:
            if shard not in self._pools:
                self._pools[shard] = await asyncpg.create_pool(
                    min_size=0, max_size=self._connections_max, connect=self._connect_to(shard),
                    command_timeout=READ_SECONDS_MAX,
                    server_settings={
                        "application_name": "backend",
                        "statement_timeout": str(int(READ_SECONDS_MAX * 1000)),
                    },
                )  # fmt: skip
            return self._pools[shard]

    def _connect_to(self, shard: str) -> Callable[..., Coroutine[Any, Any, Connection]]:
        address = self._shards[shard]
        hosts: list[str] = list(address.hosts)

        async def connect(*unused: object, **settings: Any) -> Connection:
            problem: Exception = StoreUnavailableError(f"{shard}: no member takes writes")
            for member in tuple(hosts):
                name, _, port = member.rpartition(":")
                try:
                    async with asyncio.timeout(CONNECT_SECONDS_MAX):
                        connection: Connection = await asyncpg.connect(
                            host=name, port=int(port), database=address.database,
                            user="tc_reader", password=self._password(), **settings,
                        )  # fmt: skip
                        if await _takes_writes(connection):
                            hosts.remove(member)
                            hosts.insert(0, member)
                            return connection
                    connection.terminate()
                except (OSError, TimeoutError, asyncpg.PostgresError) as failed:
                    if not isinstance(failed, TimeoutError):
                        problem = failed
            raise problem

        return connect

    def _password(self) -> str:
        return (self._secrets / "tc_reader").read_text().strip()


async def _takes_writes(connection: Connection) -> bool:
    """Whether this is the primary: what a lagging standby says is no answer."""
    return bool(
        await connection.fetchval(
            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'"
        )
    )
