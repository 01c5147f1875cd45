"""When a partition sleeps until a shard answers, instead of going round its event loop.

Each order that comes while a commit is under way wakes the event loop, only to be added to a batch
that cannot go before that commit has ended. Asleep, the thread hears of the answer alone, and finds
all that came meanwhile at once.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from pathlib import Path

from trading_engine.moving.idle_time import STATISTICS, IdleTime
from trading_engine.shard_connection import ShardConnection

# In a batch, as a rule of late. While larger ones commit, what comes is better matched: it takes
# longer to match, and to commit, than the event loop costs.
COMMANDS_MAX = 12
COMMANDS_WEIGHT = 1 / 16  # of the newest batch in that rule
# Everything else that the event loop does waits as long.
SECONDS_MAX = 0.002
# Of this machine's time: it makes smaller batches, of which each order costs a little more.
IDLE_SHARE_BEGIN, IDLE_SHARE_END = 0.1, 0.05
LOOK_SECONDS = 0.25


class Standby:
    """Of one thread; watches whether this machine has time to spare."""

    def __init__(self, statistics: Path = STATISTICS) -> None:
        self._idle = IdleTime(statistics)
        self._looked = time.monotonic()
        self._has_time = False

    def wait(self, connections: Sequence[ShardConnection | None]) -> None:
        """Block this thread until a statement has ended on one of them, at most SECONDS_MAX.

        Returns at once where one is None, has nothing under way, or is not sent whole.
        """
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            begin, end = IDLE_SHARE_BEGIN, IDLE_SHARE_END
            self._has_time = self._idle.is_enough(self._has_time, begin, end)
        if not self._has_time:
            return
        waited_for = [each for each in connections if each is not None and each.only_waits]
        if len(waited_for) == len(connections):
            _wait_for_any(waited_for, now + SECONDS_MAX)


def _wait_for_any(connections: Sequence[ShardConnection], deadline: float) -> None:
    by_socket = {each.fileno(): each for each in connections}
    poll = select.poll()
    for socket in by_socket:
        poll.register(socket, select.POLLIN)
    while all(each.only_waits for each in connections):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        for socket, _ in poll.poll(left * 1000):
            by_socket[socket].take_answer()
