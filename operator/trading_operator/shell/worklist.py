"""Which clusters to visit: each at most once in the list, one visit at a time, never too often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 60.0


class Worklist(Generic[Key]):
    """A queue without duplicates. A key that is being visited waits until that visit is done.

    `pause_seconds` is the least time between the starts of two visits of one key; `now` a
    monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float], pause_seconds: float = 0.25) -> None:
        self._now = now
        self._pause = pause_seconds
        self._due: dict[Key, float] = {}
        self._started: dict[Key, float] = {}
        self._visiting: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: Key) -> None:
        """Visit it as soon as allowed."""
        self.add_after(key, 0.0)

    def add_after(self, key: Key, seconds: float) -> None:
        """Visit it after that time at the latest."""
        due = self._now() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._changed.set()

    async def take(self) -> Key:
        """The next key whose time has come; call `done` or `failed` after the visit."""
        while True:
            self._changed.clear()
            now = self._now()
            ready = [(max(due, self._allowed(key)), key) for key, due in self._due.items()
                     if key not in self._visiting]  # fmt: skip
            at, key = min(ready, key=lambda each: each[0], default=(None, None))
            if at is not None and key is not None and at <= now:
                del self._due[key]
                self._visiting.add(key)
                self._started[key] = now
                return key
            wait = None if at is None else at - now
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """The visit went well."""
        self._failures.pop(key, None)
        self._leave(key)

    def failed(self, key: Key) -> float:
        """The visit went wrong: again after a time that doubles, with jitter. Returns it."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        seconds = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2.0 ** min(count - 1, 16))
        seconds *= random.uniform(0.8, 1.2)
        self._leave(key)
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: Key) -> None:
        """The key is gone for good."""
        for table in (self._due, self._started, self._failures):
            table.pop(key, None)

    def _leave(self, key: Key) -> None:
        self._visiting.discard(key)
        self._changed.set()

    def _allowed(self, key: Key) -> float:
        return self._started.get(key, float("-inf")) + self._pause

    @property
    def depth(self) -> int:
        """How many keys wait."""
        return len(self._due)

    def visiting_seconds(self) -> float:
        """How long the longest visit in progress takes already."""
        now = self._now()
        return max((now - self._started[key] for key in self._visiting), default=0.0)
