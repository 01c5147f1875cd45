"""Asks a Redis node for its view of the cluster, and tells it one command."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from trading_contract.load import NodeLoad
from trading_operator.planner.observed import NodeSeen
from trading_operator.planner.redis_cluster import parse_nodes
from trading_operator.probes.loads import TIMEOUT_SECONDS, parse_node_load


class NodeProbe:
    """One kept connection to one node."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._connection = Connection(
            host=host, port=port, socket_timeout=2, socket_connect_timeout=1, decode_responses=True
        )

    async def ask(self, timeout_seconds: float = 1.5) -> NodeSeen | None:
        """The node's view; None when it does not answer in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                info = str(await self._say("CLUSTER", "INFO"))
                nodes = str(await self._say("CLUSTER", "NODES"))
        except (OSError, TimeoutError, RedisError):
            await self.close()
            return None
        return NodeSeen("cluster_state:ok" in info, parse_nodes(nodes))

    async def load(self, node: str, timeout_seconds: float = TIMEOUT_SECONDS) -> NodeLoad | None:
        """Its load; None when it does not answer in time. Not while `ask` waits."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return parse_node_load(node, str(await self._say("INFO")))
        except (OSError, TimeoutError, RedisError):
            await self.close()
            return None

    async def tell(self, command: tuple[str, ...], timeout_seconds: float = 2.0) -> None:
        """Say one command; raises RedisError when the node refuses it."""
        async with asyncio.timeout(timeout_seconds):
            await self._say(*command)

    async def _say(self, *words: str) -> object:
        await self._connection.connect()  # type: ignore[no-untyped-call]
        await self._connection.send_command(*words)
        answer: object = await self._connection.read_response()
        return answer

    async def close(self) -> None:
        """Drop the connection; the next question makes a new one."""
        with suppress(OSError, RedisError):
            await self._connection.disconnect(nowait=True)
