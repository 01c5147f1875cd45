"""How the thread of a partition waits for its shards: for any of them, and not for long."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from trading_engine.shard_connection import Outcome, ShardConnection
from trading_engine.tests.integration.machine import Machine, connect
from trading_engine.tests.integration.postgres_server import PostgresServer
from trading_engine.waiting import LOOK_SECONDS, SECONDS_MAX, Standby

IDLE_TICKS, BUSY_TICKS = 2000, 1000
LONG = "SELECT pg_sleep(60)"


async def standby(folder: Path, idle_ticks: int = IDLE_TICKS) -> Standby:
    """Of a machine that has time to spare, unless told otherwise."""
    folder /= f"idle-{idle_ticks}"
    folder.mkdir()
    machine = Machine(folder)
    made = Standby(machine.statistics)
    machine.spend(BUSY_TICKS, idle_ticks)
    await asyncio.sleep(LOOK_SECONDS)
    return made


async def begun(connection: ShardConnection, statement: str) -> asyncio.Task[Outcome]:
    """The statement is on its way."""
    asked = asyncio.ensure_future(connection.ask(statement, seconds_max=90))
    while not connection.only_waits:
        await asyncio.sleep(0)
    return asked


async def waits_until(standing: Standby, *connections: ShardConnection) -> None:
    """Wait until one is answered; the event loop does not go round."""
    deadline = time.monotonic() + 20
    while all(each.only_waits for each in connections):
        standing.wait(connections)
        assert time.monotonic() < deadline


def test_the_first_answer_ends_the_wait_and_the_others_stay_under_way(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    async def work() -> None:
        standing = await standby(tmp_path)
        (slow, _), (quick, _) = await connect(postgres), await connect(postgres)
        never = await begun(slow, LONG)
        answered = await begun(quick, "SELECT 7 FROM pg_sleep(0.05)")
        await waits_until(standing, slow, quick)
        assert slow.only_waits and not quick.only_waits
        assert (await answered).rows == ((b"7",),)
        slow.close()
        assert (await never).lost
        quick.close()

    asyncio.run(work())


def test_the_wait_is_bounded_and_a_lost_connection_ends_it(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    async def work() -> None:
        standing = await standby(tmp_path)
        connection, pid = await connect(postgres)
        asked = await begun(connection, LONG)
        before = time.monotonic()
        standing.wait([connection])
        assert time.monotonic() - before >= SECONDS_MAX and connection.only_waits
        other, _ = await connect(postgres)
        await other.ask("SELECT pg_terminate_backend($1::int)", [b"%d" % pid])
        await waits_until(standing, connection)
        outcome = await asked
        assert outcome.lost or outcome.sqlstate == "57P01"
        connection.close()
        other.close()

    asyncio.run(work())


def test_nobody_waits_where_one_has_work_or_the_machine_has_no_time_to_spare(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    async def work() -> None:
        idle, busy = await standby(tmp_path), await standby(tmp_path, BUSY_TICKS // 20)
        (connection, _), (free, _) = await connect(postgres), await connect(postgres)
        asked = await begun(connection, LONG)

        def seconds(standing: Standby, *connections: ShardConnection | None) -> float:
            before = time.monotonic()
            standing.wait(connections)
            return time.monotonic() - before

        assert seconds(idle, connection) >= SECONDS_MAX
        for standing, *waited_for in (
            (busy, connection),
            (idle, connection, None),
            (idle, connection, free),
        ):
            assert min(seconds(standing, *waited_for) for _ in range(20)) < SECONDS_MAX
        connection.close()
        assert (await asked).lost
        free.close()

    asyncio.run(work())
