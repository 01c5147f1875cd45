"""A machine whose idle time is made up, and connections to a server on this one."""

from __future__ import annotations

from pathlib import Path

from trading_engine.shard_connection import ShardConnection
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer


class Machine:
    """Whose processors were busy and idle for so many ticks in all."""

    def __init__(self, folder: Path) -> None:
        self.statistics = folder / "stat"
        self._busy = self._idle = 1000
        self.spend(0, 0)

    def spend(self, busy: int, idle: int) -> None:
        """So many ticks more."""
        self._busy += busy
        self._idle += idle
        self.statistics.write_text(f"cpu  {self._busy} 0 0 {self._idle} 0 0 0 0 0 0\n")


async def connect(postgres: PostgresServer) -> tuple[ShardConnection, int]:
    """A connection, and the server's process of it."""
    host, port = postgres.address.split(":")
    connection = await ShardConnection.open(
        f"host={host} port={port} user=postgres password={PASSWORD} dbname=postgres"
    )
    answer = await connection.ask("SELECT pg_backend_pid()")
    return connection, int(answer.rows[0][0] or b"")
