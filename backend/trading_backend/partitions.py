"""The replica's connections to the partitions: one each, commands coalesced per turn of the loop.

What was written when a connection is lost is UNKNOWN; what still waits is held (`HOLD_SECONDS`) and
then refused. The queues themselves are in the native order entry, bounded there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from trading_backend import _native
from trading_backend.partition_link import PartitionLink
from trading_backend.slot_owners import SlotOwners
from trading_contract.errors import WorldError
from trading_contract.topology import PartitionAddress, Topology
from trading_contract.wire import (
    Depth,
    Kind,
    Reply,
    parse_replies,
)

logger = logging.getLogger(__name__)

COMMANDS_PER_FRAME = 4096


class PartitionUnavailableError(WorldError):
    """The partition cannot be asked right now; nothing was changed."""


class Partitions:
    """All partitions of the topology and the routes to them."""

    def __init__(
        self,
        native: _native.OrderEntry,
        deliver: Callable[[], list[tuple[int, bytes]]],
        replica: str,
    ) -> None:
        self.replica = replica
        self.cluster = ""
        self.deliver = deliver
        self.sockets_folder: Path | None = None  # of partitions on this machine
        self._native = native
        self._links: list[PartitionLink] = []
        self._wanted: set[str] = set()
        self._topology: Topology | None = None
        self._owners = SlotOwners()
        self._started = False
        self._flushing = False
        self._queries: dict[int, asyncio.Future[bytes]] = {}
        self.on_retold: Callable[[bytes], None] = _unheard

    @property
    def ready(self) -> bool:
        """Whether every partition of the topology has welcomed us and every slot has an owner."""
        return not self.missing()

    def connected(self) -> list[str]:
        """Partitions of the topology that have welcomed us."""
        return [
            link.address.name for link in self._links
            if link.welcomed and link.address.name in self._wanted
        ]  # fmt: skip

    def missing(self) -> list[str]:
        """What is not ready, in words; empty: everything is."""
        return [
            f"partition {link.address.name} is not connected"
            for link in self._links
            if link.address.name in self._wanted and not link.welcomed
        ] + self.missing_owners()

    def missing_owners(self) -> list[str]:
        """Which slots nobody whom we reach owns, in words; empty: each order finds its way.

        While orders for a slot are held, as in the pause of a hand-over, it is not among them.
        """
        if self._topology is None:
            return ["no topology yet"]
        return [
            f"slot {slot.id} [{slot.first!r}, {slot.past!r}) has no owner"
            for slot in self._owners.missing(time.monotonic())
        ]

    def shard_of(self, symbol: str) -> str | None:
        """Where its owner says that it commits; None: nobody does. The topology may be behind."""
        claims = [c for link in self._links for c in link.claims if c.first <= symbol < c.past]
        newest = max(claims, key=lambda claim: claim.epoch, default=None)
        return (newest.shard or None) if newest is not None else None

    def start(self) -> None:
        """Begin to connect."""
        self._started = True
        for link in self._links:
            link.start()

    async def close(self) -> None:
        """Close all connections; what was written becomes unknown."""
        self._started = False
        await asyncio.gather(*(link.close() for link in self._links))
        for waiter in self._queries.values():
            waiter.cancel()

    def set_topology(self, topology: Topology) -> None:
        """Connect to new partitions, leave those that are gone, route by the new slots."""
        self.cluster = topology.cluster
        self._topology = topology
        self._wanted = {address.name for address in topology.partitions}
        known = {link.address.name: link for link in self._links}
        for address in topology.partitions:
            if address.name in known:
                known[address.name].move(address)
            else:
                self._links.append(self._link_to(address))
        self._route()
        if self._started:
            self.start()

    def _link_to(self, address: PartitionAddress) -> PartitionLink:
        return PartitionLink(self, len(self._links), address, self.sockets_folder)

    def _route(self) -> None:
        if self._topology is None:
            return
        by_name = {link.address.name: link.index for link in self._links}
        claimed: dict[int, tuple[int, int]] = {}
        for link in self._links:
            for claim in link.claims:
                if claim.epoch > claimed.get(claim.slot, (-1, 0))[0]:
                    claimed[claim.slot] = (claim.epoch, link.index)
        rows = [
            (slot.first, slot.past, claimed.get(slot.id, (0, by_name[slot.partition]))[1])
            for slot in self._topology.slots
        ]
        self._native.set_routes(len(self._links), rows, _now_us())
        claims = (claim for link in self._links for claim in link.claims)
        self._owners.follow(self._topology.slots, claims, time.monotonic())
        self.flush_soon()

    # For the links

    def welcomed(self, link: PartitionLink, *, first: bool) -> None:
        """A partition told its slots."""
        if first:
            self._native.set_connected(link.index, True, _now_us())
        self._route()
        link.flush()

    def lost(self, link: PartitionLink) -> None:
        """A connection is gone."""
        self._native.set_connected(link.index, False, _now_us())
        self._route()
        self.deliver()

    def feed(self, index: int, data: bytes) -> bool:
        """Bytes of a partition; False: they are not of our wire."""
        return self._native.feed(index, data, _now_us())

    def take(self, index: int) -> bytes:
        """The next frame of commands, empty when none waits."""
        if not self._native.waiting(index):
            return b""
        return self._native.take(index, COMMANDS_PER_FRAME, _now_us())

    def flush_soon(self) -> None:
        """Write all waiting commands once, at the end of this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            try:
                asyncio.get_running_loop().call_soon(self._flush)
            except RuntimeError:  # no loop yet: start() comes later
                self._flushing = False

    def _flush(self) -> None:
        self._flushing = False
        for link in self._links:
            link.flush()

    # What was told on channels of executions

    def tellers(self) -> list[str]:
        """Partitions that can tell it again now."""
        return [link.address.name for link in self._links if link.welcomed and link.retells]

    def ask_again(self, partition: str, channel: str, after: int) -> bool:
        """Ask for what came after a number; `on_retold` gets the answer. False: not now."""
        links = [link for link in self._links if link.address.name == partition]
        return bool(links) and links[0].ask_again(channel, after)

    # Queries of the replica itself

    async def query_order(
        self, symbol: str, account: int, order_id: int = 0, client_id: str = ""
    ) -> Reply:
        """One order, after all commands before it are committed; code NO_SUCH_ORDER: not recent.

        Raises `PartitionUnavailableError`.
        """
        data = await self._query(Kind.QUERY_ORDER, symbol, (account, order_id, client_id, 0))
        return parse_replies(data)[0]

    async def query_open(self, symbol: str, account: int) -> list[Reply]:
        """All open orders of an account on a symbol. Raises `PartitionUnavailableError`."""
        data = await self._query(Kind.QUERY_OPEN, symbol, (account, 0, "", 0))
        replies = parse_replies(data)
        if replies[-1].code.name not in ("OK", "END"):
            raise PartitionUnavailableError(f"query_open of {symbol}: {replies[-1].code.name}")
        return replies[:-1]

    async def query_depth(self, symbol: str, levels: int) -> Depth:
        """The book's best levels. Raises `PartitionUnavailableError`."""
        return Depth.unpack(await self._query(Kind.QUERY_DEPTH, symbol, (0, 0, "", levels)))

    async def _query(self, kind: Kind, symbol: str, of: tuple[int, int, str, int]) -> bytes:
        """Ask about (account, order id, client id, quantity)."""
        now_us = _now_us()
        request = self._native.begin_query(kind, symbol, *of, now_us)
        if request == 0:
            raise PartitionUnavailableError(f"no partition serves {symbol}")
        waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._queries[request] = waiter
        refused = self._native.submit(request, -1, -1, -1, now_us)
        if refused is not None:
            waiter.set_result(refused)
        self.flush_soon()
        try:
            data = await waiter
        finally:
            self._queries.pop(request, None)
        if data[0]:
            raise PartitionUnavailableError(f"{kind.name} of {symbol}: {data[1:].decode()}")
        return data[1:]

    def take_answer(self, request: int, data: bytes) -> None:
        """The answer of a query of ours."""
        waiter = self._queries.get(request)
        if waiter is not None and not waiter.done():
            waiter.set_result(data)


def _unheard(_: bytes) -> None:
    return


def _now_us() -> int:
    return time.time_ns() // 1000
