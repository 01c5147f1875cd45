"""Everything one replica holds, and how it follows the operator's files."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from trading_backend.background import BackgroundLoop
from trading_backend.balancer_link import BalancerLink
from trading_backend.channels import Channels
from trading_backend.errors import ApiError
from trading_backend.hand_over import Serves
from trading_backend.keys import KeyRing, read_keys
from trading_backend.load import LoadMeter
from trading_backend.market_feed import MarketFeed
from trading_backend.order_entry import OrderEntry
from trading_backend.rate_limits import RateLimits
from trading_backend.settings import BackendSettings
from trading_backend.store import Store
from trading_backend.symbol_formats import SymbolFormat, formats_of
from trading_contract.codes import Refusal
from trading_contract.errors import UserError
from trading_contract.topology import Topology

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5


def now_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


def read_topology(path: Path) -> Topology:
    """The operator's file; raises `UserError` when it is missing or malformed."""
    try:
        return Topology.model_validate_json(path.read_bytes())
    except OSError as problem:
        raise UserError(f"topology file {path}: {problem.strerror}") from problem
    except ValidationError as problem:
        raise UserError(f"topology file {path}: {problem.errors()[0]['msg']}") from problem


class StreamClient(Protocol):
    """A connection with public streams."""

    def announce_shutdown(self) -> None:
        """Tell the client that this replica goes away soon."""


class Replica:
    """Order entry, reads, market data, keys: one of each."""

    def __init__(self, settings: BackendSettings) -> None:
        self.settings = settings
        self.topology = read_topology(settings.topology_file)
        self.formats: Mapping[str, SymbolFormat] = {}
        self.keys = KeyRing()
        self.channels = Channels()
        self.limits = RateLimits(self.channels, settings.replica)
        self.store = Store(settings.secrets_folder, settings.shard_connections_max)
        self.entry = OrderEntry(
            settings.replica,
            self.limits,
            self.store,
            deadline_seconds=settings.deadline_seconds,
        )
        self.entry.native.set_stream_limit(settings.stream_messages_per_second_max)
        self.load = LoadMeter(settings.replica, self.entry.native)
        self.partitions = self.entry.partitions
        self.store.claimed = self.partitions.shard_of
        self.partitions.sockets_folder = settings.partition_sockets_folder
        self.feed = MarketFeed(self.channels, self.partitions, self.store)
        self.draining = False
        self.link: BalancerLink | None = None
        if settings.balancer_socket is not None:
            self.link = BalancerLink(settings.balancer_socket, settings.replica)
            self.link.state = self._serves
            self.link.requests = self.load.requests_total
        self.stream_clients: set[StreamClient] = set()
        self._keys_seen: tuple[int, int] = (-1, -1)
        self._topology_seen: tuple[int, int] = (-1, -1)
        self._loop = BackgroundLoop("topology and keys", self._follow)
        self._apply(self.topology)
        self._follow_keys()

    async def start(self) -> None:
        """Connect to everything, in the background."""
        await self.entry.start()
        self.channels.start()
        self.limits.start()
        self.load.start()
        self._loop.start()

    def drain(self) -> None:
        """Stop being ready; tell streams: this replica goes away soon.

        Connections of the load balancer are handed back; others hear of it in their next answer,
        and so do those that are still here after half of the notice.
        """
        if not self.draining:
            self.draining = True
            self.entry.announce_shutdown()
            if self.link is None:
                self.entry.close_after_answers()
            else:
                self.link.report()
                asyncio.get_running_loop().call_later(
                    self.settings.drain_notice_seconds / 2, self.entry.close_after_answers
                )
            for client in tuple(self.stream_clients):
                client.announce_shutdown()

    def _serves(self) -> Serves:
        if self.draining:
            return Serves.LEAVES
        return Serves.SOME if self.partitions.missing() else Serves.ALL

    async def close(self) -> None:
        """Let go of everything."""
        self.draining = True
        if self.link is not None:
            await self.link.close()
        await self._loop.close()
        await self.load.close()
        await asyncio.gather(self.feed.close(), self.limits.close())
        await self.entry.close()
        await self.channels.close()
        await self.store.close()

    def format(self, symbol: str) -> SymbolFormat:
        """The symbol's format; raises `ApiError` when it is missing or not listed."""
        if not symbol:
            raise ApiError(Refusal.MISSING_PARAMETER, "symbol")
        found = self.formats.get(symbol)
        if found is None:
            raise ApiError(Refusal.SYMBOL)
        return found

    def _apply(self, topology: Topology) -> None:
        formats = formats_of(topology)
        self.entry.set_topology(topology)
        self.topology = topology
        self.formats = formats
        self.store.set_topology(topology)
        self.channels.set_nodes(topology.redis_nodes)
        self.limits.set_limits(topology.limits)

    async def _follow(self) -> None:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            self._follow_keys()
            self._follow_topology()
        except (UserError, OSError) as problem:
            logger.warning("%s; what was read before stays in use", problem)

    def _follow_topology(self) -> None:
        seen = _fingerprint(self.settings.topology_file)
        if seen == self._topology_seen:
            return
        self._topology_seen = seen
        newer = read_topology(self.settings.topology_file)
        if newer.revision > self.topology.revision:
            self._apply(newer)

    def _follow_keys(self) -> None:
        path = self.settings.secrets_folder / "api-keys.json"
        seen = _fingerprint(path)
        if seen != self._keys_seen:
            self._keys_seen = seen
            keys = read_keys(path)
            self.keys.replace(keys)
            self.entry.set_keys(keys)


def _fingerprint(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
