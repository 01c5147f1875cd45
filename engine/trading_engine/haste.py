"""Whether those who acknowledge orders run at once: this thread, and the servers' that commit."""

from __future__ import annotations

import logging
from weakref import WeakSet

from trading_engine.scheduling import come_as_usual, come_at_once
from trading_engine.shard_connection import ShardConnection

logger = logging.getLogger(__name__)


class Haste:
    """One wish for all connections that commit, those that are made later among them."""

    def __init__(self) -> None:
        self._at_once = False
        self._connections: WeakSet[ShardConnection] = WeakSet()

    def add(self, connection: ShardConnection) -> None:
        """A connection that commits from now on."""
        self._connections.add(connection)
        if self._at_once:
            connection.serve_at_once()

    def wish(self, at_once: bool) -> None:
        """At once, or as usual; to be called by the thread that serves orders."""
        if at_once is self._at_once:
            return
        self._at_once = at_once
        granted = come_at_once() if at_once else come_as_usual()
        for connection in [each for each in self._connections if each.alive]:
            granted &= connection.serve_at_once() if at_once else connection.serve_as_usual()
        if at_once:
            logger.info("slots are copied: orders come %s", "at once" if granted else "as usual")
