"""Who acknowledges orders comes at once while that is wished and the machine has time to spare."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from trading_engine.haste import Haste
from trading_engine.tests.integration.machine import Machine, connect
from trading_engine.tests.integration.postgres_server import PostgresServer
from trading_engine.tests.integration.real_time import (
    REAL_TIME,
    USUAL,
    in_a_thread,
    needs_real_time,
    scheduled,
)

pytestmark = needs_real_time


def run(work: Coroutine[Any, Any, None]) -> None:
    """On a thread of its own, whose class is its own; what it raises is raised here."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            asyncio.run(work)
        except BaseException as problem:
            raised.append(problem)

    in_a_thread(guarded)
    if raised:
        raise raised[0]


def test_at_once_begins_with_time_to_spare_and_ends_without(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    async def work() -> None:
        machine = Machine(tmp_path)
        haste = Haste(machine.statistics)
        connection, pid = await connect(postgres)
        haste.add(connection)

        def classes(busy: int, idle: int, wish: bool = True) -> tuple[int, int]:
            machine.spend(busy, idle)
            haste.wish(wish)
            return scheduled(), scheduled(pid)

        assert classes(0, 100) == (USUAL, USUAL)  # of that time nothing is known
        assert classes(85, 15) == (USUAL, USUAL)
        assert classes(0, 100) == (REAL_TIME, REAL_TIME)
        assert classes(90, 10) == (REAL_TIME, REAL_TIME)
        other, other_pid = await connect(postgres)
        haste.add(other)  # such as after a connection was lost
        assert scheduled(other_pid) == REAL_TIME
        for _ in range(5):
            last = classes(100, 0)
        assert (*last, scheduled(other_pid)) == (USUAL, USUAL, USUAL)
        for _ in range(5):
            last = classes(50, 50)
        assert last == (REAL_TIME, REAL_TIME)
        assert classes(50, 50, wish=False) == (USUAL, USUAL)
        assert classes(50, 50) == (USUAL, USUAL)  # a new wish begins anew
        assert classes(50, 50) == (REAL_TIME, REAL_TIME)
        connection.close()
        haste.wish(False)
        assert scheduled(other_pid) == USUAL
        other.close()

    run(work())


def test_a_class_that_somebody_else_chose_stays_beside_the_others(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    async def work() -> None:
        machine = Machine(tmp_path)
        haste = Haste(machine.statistics)
        (one, ours), (other, theirs) = await connect(postgres), await connect(postgres)
        os.sched_setscheduler(theirs, os.SCHED_BATCH, os.sched_param(0))
        for each in (one, other):
            haste.add(each)
        haste.wish(True)
        machine.spend(0, 100)
        haste.wish(True)
        assert (scheduled(ours), scheduled(theirs)) == (REAL_TIME, os.SCHED_BATCH)
        haste.wish(False)
        assert (scheduled(ours), scheduled(theirs)) == (USUAL, os.SCHED_BATCH)
        one.close()
        other.close()

    run(work())


def test_what_this_machine_does_not_tell_is_no_time_to_spare(tmp_path: Path) -> None:
    async def work() -> None:
        haste = Haste(tmp_path / "missing")
        for _ in range(3):
            haste.wish(True)
        assert scheduled() == USUAL

    run(work())
