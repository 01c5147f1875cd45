"""What `tradingctl up` leaves behind: passes over one cluster until it is told to go down.

It decides nothing: a pass is given to it. What it adds is when to look again, the guardian, and the
end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from trading_contract.errors import TradingError, WorldError
from trading_contract.status import ClusterStatus, Condition, ConditionType
from trading_operator.planner.plan import Intent, Plan
from trading_operator.substrates.processes.apply import ProcessesSubstrate
from trading_operator.substrates.processes.keepers import GUARDIAN, is_kept, start_keeper
from trading_operator.substrates.processes.layout import NO_SPACE, no_space
from trading_operator.substrates.processes.logs import shorten_logs
from trading_operator.substrates.processes.store import DOWN, Store

logger = logging.getLogger("trading_operator.supervisor")
GUARDIAN_RETRY_SECONDS = 3.0
SHORTEN_SECONDS = 30.0
Visit = Callable[[Intent], Awaitable[Plan]]


class Supervisor:
    """One cluster's loop. The caller holds the supervisor's lock."""

    def __init__(
        self, substrate: ProcessesSubstrate, store: Store, visit: Visit, *, is_foreground: bool
    ) -> None:
        self._substrate = substrate
        self._layout = substrate.layout
        self._store = store
        self._visit = visit
        self._is_foreground = is_foreground
        self._wake = asyncio.Event()
        self._watched: dict[int, int] = {}
        self._guardian_at = 0.0
        self._shortened_at = 0.0
        self._is_ending = False

    async def run(self) -> None:
        """Pass after pass.

        Returns when the cluster is down, or when asked to end (it then runs on).
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_end)
        loop.add_signal_handler(signal.SIGHUP, self._wake.set)
        heart = asyncio.create_task(self._beat())
        try:
            while not self._is_ending and (wish := self._store.wish()) is not None:
                wait_seconds = await self._pass(wish)
                if self._store.wish() is None:
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait_seconds)
                self._wake.clear()
        finally:
            heart.cancel()
            self._watch(())
            await self._substrate.observer.close()

    async def _pass(self, wish: str) -> float:
        """One pass; returns for how long to wait at most. Never raises.

        A bug must not end the loop.
        """
        try:
            cluster = self._store.cluster()
            if cluster is None:
                return 1.0
            self._housekeeping()
            intent = Intent(cluster, wish == DOWN, self._store.status())
            plan = await self._visit(intent)
            self._substrate.attempts.forget({each.name for each in plan.status.processes})
            self._watch(each.pid for each in plan.status.processes if each.pid)
            if wish == DOWN and not plan.actions and not _still_running(plan.status):
                await self._substrate.attempts.settle()
                self._store.set_wish(None)
            return plan.wake_after_seconds
        except TradingError as error:
            logger.warning("%s", error)
            return 1.0
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_SPACE:
                logger.warning("%s", no_space(error))
                return 1.0
            logger.exception("a pass failed: this is a bug")
            with suppress(WorldError):
                self._store.report(_unknown(self._store.status(), repr(error)))
            return 2.0

    def _housekeeping(self) -> None:
        now = time.monotonic()
        is_due = not self._is_foreground and now - self._guardian_at > GUARDIAN_RETRY_SECONDS
        if is_due and not is_kept(self._layout, GUARDIAN):
            logger.info("starting the guardian")
            start_keeper(self._layout, GUARDIAN)
            self._guardian_at = now
        if now - self._shortened_at > SHORTEN_SECONDS:
            self._shortened_at = now
            shorten_logs(self._layout)

    def _watch(self, pids: Iterable[int]) -> None:
        """Wake up as soon as one of these processes ends. Only a hint.

        The next pass looks itself.
        """
        loop = asyncio.get_running_loop()
        wanted = set(pids)
        for pid in [pid for pid in self._watched if pid not in wanted]:
            self._unwatch(pid)
        for pid in wanted - set(self._watched):
            try:
                descriptor = os.pidfd_open(pid)
            except (OSError, AttributeError):
                continue
            self._watched[pid] = descriptor
            loop.add_reader(descriptor, self._died, pid)

    def _unwatch(self, pid: int) -> None:
        descriptor = self._watched.pop(pid)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)

    def _died(self, pid: int) -> None:
        self._unwatch(pid)
        self._wake.set()

    async def _beat(self) -> None:
        path = self._layout.lock_file("supervisor")
        while True:
            with suppress(OSError):
                os.utime(path)
            await asyncio.sleep(2.0)

    def _asked_to_end(self) -> None:
        """In the foreground the end is the cluster's.

        In the background the guardian starts us anew.
        """
        if self._is_foreground:
            self._store.set_wish(DOWN)
        else:
            self._is_ending = True
        self._wake.set()


def _still_running(status: ClusterStatus) -> bool:
    keepers = ("supervisor", "guardian")
    return any(each.pid and each.role not in keepers for each in status.processes)


def _unknown(status: ClusterStatus | None, text: str) -> ClusterStatus:
    """The last status with Ready unknown: nothing may be claimed that was not observed."""
    status = status or ClusterStatus()
    ready = Condition(
        type=ConditionType.READY, status="Unknown", reason="InternalError", message=text[:500],
        observed_generation=status.observed_generation,
    )  # fmt: skip
    others = tuple(each for each in status.conditions if each.type is not ConditionType.READY)
    return status.model_copy(update={"conditions": (ready, *others)})
