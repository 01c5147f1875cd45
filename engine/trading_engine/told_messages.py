"""The last messages of each channel of executions: pub/sub loses some, readers ask for them again.

Only what is durable is ever told, so only that is kept; with this process it is gone, and readers
see that by the incarnation.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

KEPT_BYTES_MAX = 16 << 20  # of all channels; some seconds under full load
ANSWER_BYTES_MAX = 1 << 20  # who needs more asks again


class ToldMessages:
    """Messages by channel, numbered 1, 2, ..; the oldest of all go first."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._kept: dict[str, deque[bytes]] = {}  # the newest ones, without a gap
        self._order: deque[str] = deque()
        self._bytes = 0

    def newest(self, channel: str) -> int:
        """The last number given on the channel; 0: none."""
        return self._newest.get(channel, 0)

    def add(self, channel: str, message: bytes) -> None:
        """Number the next message of the channel, and keep it for a while."""
        self._newest[channel] = self.newest(channel) + 1
        self._kept.setdefault(channel, deque()).append(message)
        self._order.append(channel)
        self._bytes += len(message)
        while self._bytes > KEPT_BYTES_MAX:
            self._bytes -= len(self._kept[self._order.popleft()].popleft())

    def after(self, channel: str, number: int) -> list[bytes]:
        """What came after that number, from the oldest that is kept, within `ANSWER_BYTES_MAX`."""
        kept = self._kept.get(channel, deque())
        missing = min(len(kept), self.newest(channel) - number)
        found: list[bytes] = []
        size = 0
        for message in islice(kept, len(kept) - max(0, missing), None):
            size += len(message)
            if found and size > ANSWER_BYTES_MAX:
                break
            found.append(message)
        return found
