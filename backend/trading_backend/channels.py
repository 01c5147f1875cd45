"""Sharded subscriptions to Redis Cluster: messages of a channel as long as somebody listens.

redis-py's asyncio cluster client has no sharded pub/sub, so this keeps one plain connection per
master. Lost
messages are normal (failover, restart, FLUSHALL): listeners hear of a new connection through
`restarted`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from trading_contract.hash_slots import Address, hash_slot, owners_of

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.3
Listener = Callable[[bytes], None]


class Channels:
    """All subscriptions of this replica, and plain reads of keys."""

    def __init__(self) -> None:
        self.restarted: Callable[[str], None] = lambda _: None
        self._seeds: tuple[str, ...] = ()
        self._listeners: dict[str, list[Listener]] = {}
        self._clients: dict[Address, Redis] = {}
        self._readers: dict[Address, asyncio.Task[None]] = {}
        self._wanted: dict[Address, set[str]] = {}
        self._changed: dict[Address, asyncio.Event] = {}
        self._owners: list[Address | None] = []
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def set_nodes(self, nodes: Sequence[str]) -> None:
        """Nodes to find the cluster by."""
        self._seeds = tuple(nodes)

    def start(self) -> None:
        """Begin to keep the subscriptions."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """End all connections."""
        for task in [self._task, *self._readers.values()]:
            if task is not None:
                task.cancel()
        for client in self._clients.values():
            await client.aclose()

    def subscribe(self, channel: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` for each message; returns what ends it."""
        self._listeners.setdefault(channel, []).append(listener)
        self._wake.set()

        def end() -> None:
            listeners = self._listeners.get(channel, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                self._listeners.pop(channel, None)
            self._wake.set()

        return end

    async def get(self, key: str) -> bytes | None:
        """A key's value; None when it is missing or Redis is away."""
        try:
            async with asyncio.timeout(0.5):
                await self._find()
                owner = self._owners[hash_slot(key)] if self._owners else None
                if owner is None:
                    return None
                value: Any = await self._client(owner).get(key)
                return None if value is None else bytes(value)
        except (OSError, RedisError, TimeoutError):
            self._owners = []
            return None

    async def execute(self, key: str, *command: str | int) -> Any:
        """One command at the node that holds `key`; raises RedisError, OSError or TimeoutError."""
        async with asyncio.timeout(0.5):
            await self._find()
            owner = self._owners[hash_slot(key)]
            if owner is None:
                raise RedisError(f"nobody holds {key}")
            try:
                return await self._client(owner).execute_command(*command)  # type: ignore[no-untyped-call]
            except RedisError:
                self._owners = []
                raise

    def _client(self, address: Address) -> Redis:
        if address not in self._clients:
            self._clients[address] = Redis(
                host=address[0], port=address[1], socket_connect_timeout=1, max_connections=64
            )
        return self._clients[address]

    async def _find(self) -> None:
        if self._owners:
            return
        for seed in self._seeds:
            host, _, port = seed.rpartition(":")
            try:
                client = self._client((host, int(port)))
                answer = await client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
            except (OSError, RedisError):
                continue
            self._owners = owners_of(answer, host)
            return
        raise OSError("no Redis node answers")

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            try:
                async with asyncio.timeout(3):
                    await self._find()
                self._assign()
            except (OSError, RedisError, TimeoutError, ValueError) as problem:
                logger.debug("redis: %s", problem)
                self._owners = []
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._wake.wait()

    def _assign(self) -> None:
        wanted: dict[Address, set[str]] = {}
        for channel in self._listeners:
            owner = self._owners[hash_slot(channel)]
            if owner is not None:
                wanted.setdefault(owner, set()).add(channel)
        for address in self._wanted.keys() | wanted.keys():
            if self._wanted.get(address, set()) == wanted.get(address, set()):
                continue
            self._wanted[address] = wanted.get(address, set())
            if address in self._readers and not self._readers[address].done():
                self._changed[address].set()
            elif self._wanted[address]:
                self._changed[address] = asyncio.Event()
                self._readers[address] = asyncio.get_running_loop().create_task(self._read(address))

    async def _read(self, address: Address) -> None:
        pubsub = Redis(host=address[0], port=address[1], socket_connect_timeout=1).pubsub()
        have: set[str] = set()
        try:
            while self._wanted.get(address):
                self._changed[address].clear()
                wanted = set(self._wanted[address])
                if wanted - have:
                    await pubsub.ssubscribe(*(wanted - have))
                if have - wanted:
                    await pubsub.sunsubscribe(*(have - wanted))
                fresh, have = wanted - have, wanted
                for channel in fresh:
                    self.restarted(channel)
                while not self._changed[address].is_set():
                    message = await pubsub.get_message(timeout=0.2)
                    if message is not None:
                        self._dispatch(message)
        except (OSError, RedisError, TimeoutError) as problem:
            logger.info("redis %s:%s: %s", *address, problem)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            self._readers.pop(address, None)
            self._wanted.pop(address, None)
            self._owners = []
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake.set)

    def _dispatch(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        name = message["channel"].decode()
        if kind == "smessage":
            for listener in tuple(self._listeners.get(name, ())):
                listener(message["data"])
        elif kind == "sunsubscribe" and name in self._listeners:
            raise OSError(f"{name} moved to another node")
