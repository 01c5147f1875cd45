"""Asks a Redis node for its view of the cluster, and tells it what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError, ResponseError

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
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._say(*command)
        except TimeoutError:
            await self.close()  # or the next question would get this one's answer
            raise

    async def take_hash_slots(
        self, hash_slots: Sequence[int], node_id: str, source_id: str, timeout_seconds: float = 5.0
    ) -> None:
        """Make this node, `node_id`, the owner of hash slots of `source_id`; repeatable.

        As it imports them, Redis gives this node a newer epoch, so its claim wins wherever it is
        heard. Raises RedisError when the node refuses one.
        """
        words = [
            command for number in hash_slots for command in (
                ("CLUSTER", "SETSLOT", str(number), "IMPORTING", source_id),
                ("CLUSTER", "SETSLOT", str(number), "NODE", node_id),
            )
        ]  # fmt: skip
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._say_all(words)
        except TimeoutError:
            await self.close()  # or the next question would get an answer of these
            raise

    async def _say_all(self, words: Sequence[tuple[str, ...]]) -> None:
        await self._connection.connect()  # type: ignore[no-untyped-call]
        packed = self._connection.pack_commands(words)
        await self._connection.send_packed_command(packed)
        refusal = None
        for _ in words:  # every answer is read, or the next question would get it
            try:
                await self._connection.read_response()
            except ResponseError as problem:
                refusal = refusal or problem
        if refusal is not None:
            raise refusal

    async def _say(self, *words: str) -> object:
        await self._connection.connect()  # type: ignore[no-untyped-call]
        await self._connection.send_command(*words)
        answer: object = await self._connection.read_response()
        return answer

    async def close(self) -> None:
        """Drop the connection; the next question makes a new one."""
        with suppress(OSError, RedisError):
            await self._connection.disconnect(nowait=True)
