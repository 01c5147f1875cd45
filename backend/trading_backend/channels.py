"""Redis Cluster as a replica uses it: sharded subscriptions, reads of keys, shared counters.

redis-py's asyncio cluster client has no sharded pub/sub, so this keeps one plain connection per
master. Lost messages are normal (failover, restart, FLUSHALL): a listener is told each time its
channel begins anew, and numbers in the messages show the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from trading_backend.background import BackgroundLoop, end_tasks
from trading_backend.node_channels import NodeChannels
from trading_contract.hash_slots import Address, hash_slot, owners_of

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.3
ANSWER_SECONDS_MAX = 0.5
DISCONNECT_SECONDS_MAX = 1.0
CONNECTIONS_MAX = 64  # per node

_PROBLEMS = (OSError, RedisError, TimeoutError)


def _nothing() -> None:
    return


@dataclass(frozen=True, eq=False, slots=True)
class Listener:
    """Who hears a channel: each message, and that messages may have been lost before now."""

    on_message: Callable[[bytes], None]
    on_restart: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Increment:
    """Add `amount` to the counter at `key`, which is forgotten after `expire_seconds`."""

    key: str
    amount: int
    expire_seconds: int


class Channels:
    """All subscriptions of this replica, and plain reads of keys."""

    def __init__(self) -> None:
        self._seeds: tuple[str, ...] = ()
        self._listeners: dict[str, list[Listener]] = {}
        self._clients: dict[Address, Redis] = {}
        self._nodes: dict[Address, NodeChannels] = {}
        self._owners: list[Address | None] = []
        self._loop = BackgroundLoop("channels", self._keep)
        self._endings: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._live: set[str] = set()
        self._went_live = asyncio.Condition()

    def set_nodes(self, nodes: Sequence[str]) -> None:
        """Nodes to find the cluster by."""
        self._seeds = tuple(nodes)

    def start(self) -> None:
        """Begin to keep the subscriptions."""
        self._loop.start()

    async def close(self) -> None:
        """End all connections, within a bounded time."""
        await self._loop.close()
        nodes = list(self._nodes.values())
        for node in nodes:
            node.want(set())
        await end_tasks([*(node.task for node in nodes), *self._endings], "subscriptions")
        clients = list(self._clients.values())
        self._clients.clear()
        try:
            async with asyncio.timeout(DISCONNECT_SECONDS_MAX):
                await asyncio.gather(*(c.aclose() for c in clients), return_exceptions=True)
        except TimeoutError:
            logger.warning("redis: connections that do not close are left behind")

    # Subscriptions

    def subscribe(
        self,
        channel: str,
        on_message: Callable[[bytes], None],
        on_restart: Callable[[], None] = _nothing,
    ) -> Callable[[], None]:
        """Hear a channel; returns what ends it. Messages before `wait_live` may be missed."""
        listener = Listener(on_message, on_restart)
        self._listeners.setdefault(channel, []).append(listener)
        self._wake.set()

        def end() -> None:
            listeners = self._listeners.get(channel, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners and self._listeners.pop(channel, None) is not None:
                self._live.discard(channel)
                self._wake.set()

        return end

    async def wait_live(self, channel: str, seconds: float) -> bool:
        """Whether Redis confirmed the subscription within this time."""
        try:
            async with asyncio.timeout(seconds), self._went_live:
                await self._went_live.wait_for(lambda: channel in self._live)
        except TimeoutError:
            return False
        return True

    async def confirmed(self, channel: str) -> None:
        """A subscription began, or began again."""
        if channel not in self._listeners:
            return
        async with self._went_live:
            self._live.add(channel)
            self._went_live.notify_all()
        for listener in tuple(self._listeners.get(channel, ())):
            listener.on_restart()

    def hear(self, channel: str, data: bytes) -> None:
        """A message came."""
        for listener in tuple(self._listeners.get(channel, ())):
            try:
                listener.on_message(data)
            except Exception:  # one that fails must not silence the others
                logger.exception("%s: a listener failed", channel)

    def node_lost(self, address: Address, channels: Iterable[str]) -> None:
        """A connection ended; find the owners of its channels again."""
        self._nodes.pop(address, None)
        self._live.difference_update(channels)
        self._owners = []
        asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake.set)

    async def _keep(self) -> None:
        """One turn: give each channel to its node; then wait until something changes."""
        self._wake.clear()
        try:
            async with asyncio.timeout(3):
                await self._find()
            if self._assign():
                await self._wake.wait()
                return
        except (*_PROBLEMS, ValueError) as problem:
            logger.debug("redis: %s", problem)
        self._owners = []
        if not self._loop.ending:
            await asyncio.sleep(RETRY_SECONDS)

    def _assign(self) -> bool:
        """Tell each node its channels; False: some channel has no node now."""
        wanted: dict[Address, set[str]] = {}
        for channel in self._listeners:
            owner = self._owners[hash_slot(channel)]
            if owner is not None:
                wanted.setdefault(owner, set()).add(channel)
        for address in self._nodes.keys() | wanted.keys():
            channels = wanted.get(address, set())
            node = self._nodes.get(address)
            if node is not None:
                node.want(channels)
            elif channels:
                self._nodes[address] = NodeChannels(self, address, channels)
        return sum(map(len, wanted.values())) == len(self._listeners)

    # Keys

    async def get(self, key: str) -> bytes | None:
        """A key's value; None when it is missing or Redis is away."""
        try:
            value: Any = await self.execute(key, "GET", key)
        except _PROBLEMS:
            return None
        return None if value is None else bytes(value)

    async def execute(self, key: str, *command: str | float) -> Any:
        """One command at the node that holds `key`; raises RedisError, OSError or TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            client = self._client(await self._owner(key))
            try:
                return await client.execute_command(*command)  # type: ignore[no-untyped-call]
            except _PROBLEMS:
                self._owners = []
                raise

    async def add(self, increments: Sequence[Increment]) -> dict[str, int]:
        """The new totals by key, without those that a node could not be told. Never raises."""
        by_node: dict[Address, list[Increment]] = {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._find()
        except _PROBLEMS as problem:
            logger.debug("redis: counters: %s", problem)
            return {}
        for each in increments:
            owner = self._owners[hash_slot(each.key)]
            if owner is not None:
                by_node.setdefault(owner, []).append(each)
        parts = await asyncio.gather(*(self._add_at(node, of) for node, of in by_node.items()))
        return {key: total for part in parts for key, total in part.items()}

    async def _add_at(self, node: Address, increments: list[Increment]) -> dict[str, int]:
        pipeline = self._client(node).pipeline(transaction=False)
        for each in increments:
            pipeline.incrby(each.key, each.amount)
            pipeline.expire(each.key, each.expire_seconds)
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                totals = (await pipeline.execute())[::2]
        except _PROBLEMS as problem:
            logger.debug("redis %s:%s: counters: %s", *node, problem)
            self._owners = []
            return {}
        return {each.key: int(total) for each, total in zip(increments, totals, strict=True)}

    async def _owner(self, key: str) -> Address:
        await self._find()
        owner = self._owners[hash_slot(key)]
        if owner is None:
            self._owners = []
            raise RedisError(f"nobody holds {key}")
        return owner

    def _client(self, address: Address) -> Redis:
        if address not in self._clients:
            self._clients[address] = Redis(
                host=address[0], port=address[1], socket_connect_timeout=1,
                max_connections=CONNECTIONS_MAX,
            )  # fmt: skip
        return self._clients[address]

    def _forget_clients(self) -> None:
        """Nodes come back under other addresses: let go of those that nobody names any more."""
        seeds = {(host, int(port)) for host, _, port in (s.rpartition(":") for s in self._seeds)}
        for address in self._clients.keys() - seeds - set(self._owners):
            ending = asyncio.get_running_loop().create_task(self._clients.pop(address).aclose())
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _find(self) -> None:
        if self._owners:
            return
        for seed in self._seeds:
            host, _, port = seed.rpartition(":")
            try:
                client = self._client((host, int(port)))
                ask: Any = client.execute_command
                answer = await ask("CLUSTER SLOTS")
            except (OSError, RedisError):
                continue
            self._owners = owners_of(answer, host)
            self._forget_clients()
            return
        raise OSError("no Redis node answers")
