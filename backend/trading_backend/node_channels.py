"""The sharded channels of one Redis node, over one connection."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from trading_contract.hash_slots import Address

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05  # until a changed wish is noticed
PING_SECONDS = 3.0
SILENCE_SECONDS_MAX = 10.0


class ChannelHost(Protocol):
    """Who wants the channels."""

    def hear(self, channel: str, data: bytes) -> None:
        """A message came."""

    async def confirmed(self, channel: str) -> None:
        """A subscription began, or began again."""

    def node_lost(self, address: Address, channels: Iterable[str]) -> None:
        """The connection ended, with what was heard over it."""


class NodeChannels:
    """The channels heard from one node, over one connection, as long as any is wanted there."""

    def __init__(self, host: ChannelHost, address: Address, wanted: set[str]) -> None:
        self._host = host
        self._address = address
        self._wanted = wanted
        self._have: set[str] = set()
        self._leaving: Counter[str] = Counter()  # asked to end, not confirmed yet
        self.task = asyncio.get_running_loop().create_task(self._run())

    def want(self, channels: set[str]) -> None:
        """Hear these from now on."""
        self._wanted = channels

    async def _run(self) -> None:
        # No retries below us: a new connection must be seen, as messages were lost before it.
        client = Redis(
            host=self._address[0],
            port=self._address[1],
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        pubsub = client.pubsub()
        clock = asyncio.get_running_loop().time
        heard = asked = clock()
        try:
            while self._wanted:
                await self._update(pubsub)
                message = await pubsub.get_message(timeout=POLL_SECONDS)
                now = clock()
                if message is not None:
                    heard = now
                    await self._take(message)
                elif now - heard > SILENCE_SECONDS_MAX:
                    raise OSError("the node is silent")
                elif now - max(heard, asked) > PING_SECONDS:
                    asked = now
                    await pubsub.ping()
        except (OSError, RedisError, TimeoutError) as problem:
            logger.info("redis %s:%s: %s", *self._address, problem)
        finally:
            self._host.node_lost(self._address, self._have)
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            await client.aclose()

    async def _update(self, pubsub: Any) -> None:
        wanted = set(self._wanted)
        if wanted == self._have:
            return
        # One command each: a command may not name channels of several hash slots.
        for channel in wanted - self._have:
            await pubsub.ssubscribe(channel)
        for channel in self._have - wanted:
            self._leaving[channel] += 1
            await pubsub.sunsubscribe(channel)
        self._have = wanted

    async def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "pong":
            return
        name = message["channel"].decode()
        if kind == "smessage":
            self._host.hear(name, message["data"])
        elif kind == "ssubscribe":
            await self._host.confirmed(name)
        elif kind == "sunsubscribe":
            self._leaving[name] -= 1
            if self._leaving[name] < 0:
                raise OSError(f"{name} moved to another node")
            if not self._leaving[name]:
                del self._leaving[name]
