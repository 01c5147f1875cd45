"""Whether those who acknowledge orders run at once: this thread, and the servers' that commit.

Only while this machine has time to spare: where there is none, real time takes it from replicas and
clients, and all orders take longer.
"""

from __future__ import annotations

import logging
from pathlib import Path
from weakref import WeakSet

from trading_engine.moving.idle_time import STATISTICS, IdleTime
from trading_engine.scheduling import come_as_usual, come_at_once
from trading_engine.shard_connection import ShardConnection

logger = logging.getLogger(__name__)

# Of this machine's time. A copy leaves a quarter of it; less is left when others need it.
IDLE_SHARE_BEGIN, IDLE_SHARE_END = 0.2, 0.1


class Haste:
    """One wish for all connections that commit, those that are made later among them."""

    def __init__(self, statistics: Path = STATISTICS) -> None:
        self._statistics = statistics
        self._idle: IdleTime | None = None  # while there is the wish
        self._at_once = False
        self._is_told = False  # how that went, once a wish
        self._connections: WeakSet[ShardConnection] = WeakSet()
        # Who is of a real-time class by us: what others chose is not ours to end.
        self._hurried: WeakSet[ShardConnection] = WeakSet()
        self._is_thread_hurried = False

    def add(self, connection: ShardConnection) -> None:
        """A connection that commits from now on."""
        self._connections.add(connection)
        if self._at_once:
            self._hurry(connection)

    def wish(self, at_once: bool) -> None:
        """At once, if there is time to spare, or as usual; to be told now and then.

        By the thread that serves orders. What there is to spare shows from the second time on.
        """
        if not at_once:
            self._idle = None
            self._change(False)
        elif self._idle is None:
            self._idle = IdleTime(self._statistics)
            self._is_told = False
        else:
            enough = self._idle.is_enough(self._at_once, IDLE_SHARE_BEGIN, IDLE_SHARE_END)
            self._change(enough)

    def _change(self, at_once: bool) -> None:
        if at_once is self._at_once:
            return
        self._at_once = at_once
        if at_once:
            self._is_thread_hurried = come_at_once()
            granted = [self._hurry(each) for each in list(self._connections) if each.alive]
            if not self._is_told:
                self._is_told = True
                which = "at once" if self._is_thread_hurried and all(granted) else "as usual"
                logger.info("slots are copied: orders come %s", which)
            return
        if self._is_thread_hurried:
            come_as_usual()
        for each in [each for each in self._hurried if each.alive]:
            each.serve_as_usual()
        self._hurried.clear()

    def _hurry(self, connection: ShardConnection) -> bool:
        if not connection.serve_at_once():
            return False
        self._hurried.add(connection)
        return True
