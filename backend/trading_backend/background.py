"""Work beside the requests that ends when it is told to.

Cancellation alone is no end: a library that is cancelled within an `await` may answer with an error
of its own, or try again, and whoever then goes on runs for ever. So each loop has a flag of its own
that is looked at every turn; a cancel only shortens the turn, and closing waits for a bounded time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

logger = logging.getLogger(__name__)

CLOSE_SECONDS_MAX = 3.0
CANCEL_AGAIN_SECONDS = 0.1
FAILED_TURN_SECONDS = 0.5


class BackgroundLoop:
    """Calls `turn` again and again until it is closed; a turn that fails is told and repeated."""

    def __init__(self, name: str, turn: Callable[[], Awaitable[None]]) -> None:
        self.ending = False
        self._name = name
        self._turn = turn
        self._task: asyncio.Task[None] | None = None

    @property
    def started(self) -> bool:
        """Whether it runs, or ran."""
        return self._task is not None

    def start(self) -> None:
        """Begin; does nothing when it has begun."""
        if self._task is None and not self.ending:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End it, within `CLOSE_SECONDS_MAX`."""
        self.ending = True
        if self._task is not None:
            await end_tasks((self._task,), self._name)

    async def _run(self) -> None:
        while not self.ending:
            try:
                await self._turn()
            except Exception:
                if not self.ending:
                    logger.exception("%s: a turn failed", self._name)
                    await asyncio.sleep(FAILED_TURN_SECONDS)


async def end_tasks(tasks: Iterable[asyncio.Task[None]], name: str) -> None:
    """Cancel, as often as it takes; past `CLOSE_SECONDS_MAX` they are left behind, and told."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + CLOSE_SECONDS_MAX
    running = {task for task in tasks if not task.done()}
    while running:
        if clock() > deadline:
            logger.error("%s does not end: %d tasks are left behind", name, len(running))
            return
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
