"""Which slots of a partition are followed by which shards."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from trading_engine._core import Batch
from trading_engine.moving.shadow import QUEUE_BYTES_MAX, Shadow, ShadowLine
from trading_engine.shard_connection import ShardConnection


class Mirrors:
    """All shadows of a partition; the pipelines give them what they have committed."""

    def __init__(
        self,
        connector: Callable[[str], Callable[[], Awaitable[ShardConnection]]],
        start: Callable[..., None],
        bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        self._connector = connector
        self._bytes_max = bytes_max
        self._start = start
        self._lines: dict[str, ShadowLine] = {}
        self._of: dict[int, ShadowLine] = {}

    def line(self, target: str) -> ShadowLine:
        """The one to that shard."""
        if target not in self._lines:
            self._lines[target] = made = ShadowLine(target, self._connector(target))
            self._start(made.run())
        return self._lines[target]

    def shadow(self, slot: int) -> Shadow | None:
        """Of a slot that has one."""
        line = self._of.get(slot)
        return None if line is None else line.shadows[slot]

    def target(self, slot: int) -> str | None:
        """Where its shadow goes."""
        line = self._of.get(slot)
        return None if line is None else line.target

    def begin(self, slot: int, target: str, move: uuid.UUID) -> Shadow:
        """From now on what is given of the slot goes to that shard."""
        self.end(slot)
        line = self.line(target)
        line.shadows[slot] = shadow = Shadow(slot, move, self._bytes_max)
        self._of[slot] = line
        return shadow

    def end(self, slot: int) -> None:
        """No more."""
        line = self._of.pop(slot, None)
        if line is not None:
            del line.shadows[slot]

    def give(self, batch: Batch) -> None:
        """What is durable."""
        for slot, previous, sequence, size in batch.mirrors:
            line = self._of.get(slot)
            if line is not None:
                line.shadows[slot].give(previous, sequence, size, batch)
                line.poke()

    def close(self) -> None:
        """End all of it."""
        for line in self._lines.values():
            line.close()
