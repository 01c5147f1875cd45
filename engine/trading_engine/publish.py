"""From durable batches to Redis Cluster: derived data, told as soon as possible and never waited for.

Redis may be away, emptied or failing over: publications are then dropped, oldest first, and counted. Readers see
the gap in the update ids and take a snapshot; snapshots are stored again every two seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from trading_contract.hash_slots import Address, hash_slot, owners_of

logger = logging.getLogger(__name__)

WAITING_MAX = 512  # lists of publications
ANSWER_SECONDS_MAX = 2.0
PAUSE_SECONDS = 0.25

Publications = list[tuple[str, bytes, bool]]


def _command(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


class Publisher:
    """Takes publications, sends them in the background."""

    def __init__(self, nodes: Sequence[str], partition: str, incarnation: str) -> None:
        self.dropped = 0
        self.sent = 0
        self._seeds = tuple(nodes)
        self._head = {"p": partition, "i": incarnation}
        self._numbers: dict[str, int] = {}
        self._waiting: deque[Publications] = deque()
        self._wake = asyncio.Event()
        self._connections: dict[Address, Connection] = {}
        self._owners: list[Address | None] = []

    def offer(self, publications: Publications) -> None:
        """Send these soon."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += len(self._waiting.popleft())
        self._waiting.append(publications)
        self._wake.set()

    def set_nodes(self, nodes: Sequence[str]) -> None:
        """Where to begin when the cluster must be found again."""
        self._seeds = tuple(nodes)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            taken: Publications = []
            while self._waiting:
                taken += self._waiting.popleft()
            try:
                await self._send(taken)
            except (OSError, RedisError, TimeoutError, ValueError) as problem:
                self.dropped += len(taken)
                logger.warning("redis: %s: %s", type(problem).__name__, problem)
                await self._forget()
                await asyncio.sleep(PAUSE_SECONDS)

    async def _send(self, publications: Publications) -> None:
        if not self._owners:
            await self._find_nodes()
        newest = {name: at for at, (name, _, keep) in enumerate(publications) if keep}
        by_node: dict[Address, list[bytes]] = {}
        for at, (name, message, keep) in enumerate(publications):
            if keep and newest[name] != at:
                continue  # a later snapshot follows
            node = self._owners[hash_slot(name)]
            if node is None:
                raise ValueError(f"nobody holds the hash slot of {name}")
            by_node.setdefault(node, []).append(self._encode(name, message, keep))
        await asyncio.gather(*(self._write(node, lines) for node, lines in by_node.items()))
        self.sent += len(publications)

    def _encode(self, name: str, message: bytes, keep: bool) -> bytes:
        if keep:
            return _command(b"SET", name.encode(), message)
        if name.endswith(":executions"):
            number = self._numbers[name] = self._numbers.get(name, 0) + 1
            message = msgspec.msgpack.encode({**self._head, "n": number, "x": msgspec.Raw(message)})
        return _command(b"SPUBLISH", name.encode(), message)

    async def _write(self, node: Address, lines: list[bytes]) -> None:
        connection = self._connections.get(node)
        if connection is None:
            connection = Connection(host=node[0], port=node[1])
            self._connections[node] = connection
            await connection.connect()  # type: ignore[no-untyped-call]
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await connection.send_packed_command(lines, check_health=False)
            for _ in lines:
                answer = await connection.read_response()
                if isinstance(answer, Exception):
                    raise answer

    async def _find_nodes(self) -> None:
        problem: Exception = ValueError("no Redis node is known")
        for seed in self._seeds:
            host, port = seed.rsplit(":", 1)
            connection = Connection(host=host, port=int(port))
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    await connection.connect()  # type: ignore[no-untyped-call]
                    await connection.send_command("CLUSTER", "SLOTS")
                    self._owners = owners_of(await connection.read_response(), host)
                    return
            except (OSError, RedisError, TimeoutError) as failed:
                problem = failed
            finally:
                await connection.disconnect()
        raise problem

    async def _forget(self) -> None:
        self._owners = []
        for connection in self._connections.values():
            await connection.disconnect(nowait=True)
        self._connections.clear()
