"""What the supervisor remembers for politeness only: backoff, stops asked for, long work under way.

Losing all of it (the supervisor was killed) costs a repeated signal or an early restart, nothing
else.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from trading_contract.errors import TradingError
from trading_operator.planner.observed import Failure, ProcessSeen
from trading_operator.substrates.processes.layout import Layout, told_problem
from trading_operator.substrates.processes.postgres import NeedsPersonError
from trading_operator.substrates.processes.spawn import last_line

HEALTHY_SECONDS = 10.0  # who lived that long starts again at once
RETRY_SECONDS_MAX = 15.0
PERSON_RETRY_SECONDS = 5.0


def retry_delay_seconds(count: int) -> float:
    """How long to wait after the n-th quick end in a row: 0, 0.5, 1, 2, .. 15."""
    return 0.0 if count <= 1 else min(RETRY_SECONDS_MAX, 0.25 * 2.0 ** min(count, 10) / 2)


class Attempts:
    """Per component.

    The child, when it was started, how it failed, whether it was asked to stop.
    """

    def __init__(self, layout: Layout, now: Callable[[], float]) -> None:
        self._layout = layout
        self._now = now
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._drained: list[subprocess.Popen[bytes]] = []
        self._running: dict[str, tuple[int, float]] = {}
        self._stopping: dict[str, tuple[int, float]] = {}
        self._tasks: dict[str, tuple[asyncio.Task[None], str]] = {}
        self.failures: dict[str, Failure] = {}
        self._has_changed = True

    def take_change(self) -> bool:
        """Whether something was started since the last time this was asked."""
        changed, self._has_changed = self._has_changed, False
        return changed

    @property
    def busy(self) -> dict[str, str]:
        """Components with work under way, and which."""
        return {name: text for name, (task, text) in self._tasks.items() if not task.done()}

    def begin(self, name: str, text: str, work: Coroutine[Any, Any, None]) -> None:
        """Do the work in the background; a failure of it is recorded under the name."""

        async def guarded() -> None:
            try:
                await work
            except TradingError as error:
                self.fail(name, error)
            except OSError as error:
                self.fail(name, told_problem(error))

        self._tasks[name] = (asyncio.create_task(guarded()), text)

    def fail(self, name: str, error: TradingError) -> None:
        """Record that something could not be done."""
        now = self._now()
        count = self.failures[name].count + 1 if name in self.failures else 1
        if isinstance(error, NeedsPersonError):
            retry_at = now + PERSON_RETRY_SECONDS
            self.failures[name] = Failure(str(error), count, retry_at, error.reason, True)
        else:
            retry_at = now + max(0.5, retry_delay_seconds(count))
            self.failures[name] = Failure(str(error), count, retry_at)

    def started(self, name: str, child: subprocess.Popen[bytes]) -> None:
        """A component was started by us."""
        if name in self._children:
            self._drained.append(self._children[name])
        self._children[name] = child
        self._running[name] = (child.pid, self._now())
        self._stopping.pop(name, None)
        self._has_changed = True
        if name in self.failures and self.failures[name].needs_person:
            del self.failures[name]  # the person has acted

    def asked_to_stop(self, name: str, pid: int) -> None:
        """The component got its signal; its end will be no failure."""
        known = self._stopping.get(name)
        if known is None or known[0] != pid:
            self._stopping[name] = (pid, self._now())

    def compare(self, seen: Mapping[str, ProcessSeen]) -> dict[str, ProcessSeen]:
        """Note who ended since the last look; returns the processes with the stops marked."""
        now = self._now()
        self._reap()
        for name, (pid, since) in list(self._running.items()):
            if name in seen and seen[name].pid == pid:
                if now - since > HEALTHY_SECONDS:
                    self.failures.pop(name, None)
                continue
            del self._running[name]
            stopped = self._stopping.get(name, (0, 0.0))[0] == pid
            replaced = name in seen
            if not stopped and not replaced and not self._is_starting(name):
                self._ended(name, now - since, now)
        marked = {}
        for name, process in seen.items():
            if name not in self._running:
                self._running[name] = (process.pid, now)
            asked, at = self._stopping.get(name, (0, 0.0))
            marked[name] = replace(process, stopping_since=at) if asked == process.pid else process
        for name in [name for name in self._stopping if name not in seen]:
            del self._stopping[name]
        return marked

    def _is_starting(self, name: str) -> bool:
        """A child that lives but is not in /proc's picture yet (before its exec)."""
        child = self._children.get(name)
        return child is not None and child.returncode is None

    def _ended(self, name: str, lived_seconds: float, now: float) -> None:
        before = self.failures.get(name)
        count = 1 if before is None or lived_seconds > HEALTHY_SECONDS else before.count + 1
        child = self._children.pop(name, None)
        code = f" with code {child.returncode}" if child and child.returncode is not None else ""
        said = last_line(self._layout.log_file(name))
        text = f"{name} ended{code}" + (f": {said}" if said else "")
        self.failures[name] = Failure(text, count, now + retry_delay_seconds(count))

    def _reap(self) -> None:
        for child in self._children.values():
            child.poll()
        self._drained = [child for child in self._drained if child.poll() is None]

    def forget(self, wanted: Collection[str]) -> None:
        """Drop failures of components that are no longer wanted."""
        for name in [name for name in self.failures if name.split("/")[0] not in wanted]:
            del self.failures[name]

    async def settle(self) -> None:
        """Wait for the work under way."""
        await asyncio.gather(*(task for task, _ in self._tasks.values()), return_exceptions=True)
