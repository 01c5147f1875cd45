"""From durable batches to Redis Cluster: derived data, told soon and never waited for.

Redis may be away, emptied or failing over: publications are then dropped, oldest first, and
counted.
Readers see the gap in the update ids or in the numbers of a channel; books are stored again every
two seconds. Written straight in Redis's protocol: one write per node and flush, answers are only
counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import cast

import msgspec
from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from trading_contract.errors import WorldError
from trading_contract.hash_slots import Address, hash_slot, owners_of
from trading_engine.told_messages import ToldMessages

logger = logging.getLogger(__name__)

WAITING_BYTES_MAX = 32 << 20
UNSENT_BYTES_MAX = 16 << 20
ANSWER_SECONDS_MAX = 2.0
PAUSE_SECONDS = 0.25
COMPLAINT_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.5

Publications = list[tuple[str, bytes, bool]]


class RedisAwayError(WorldError):
    """No node of the Redis Cluster can be told anything now."""


@lru_cache(maxsize=1 << 16)
def telling(name: str, *, keep: bool) -> tuple[int, bytes]:
    """The hash slot of a channel or key, and its command in Redis's protocol up to the value."""
    verb, key = b"SET" if keep else b"SPUBLISH", name.encode()
    head = b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(verb), verb, len(key), key)
    return hash_slot(name), head


class NodeLink(asyncio.Protocol):
    """One node that takes commands whose answers are single lines."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._transport: asyncio.Transport | None = None
        self._unanswered = 0
        self._tail = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to write."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """What was not answered is lost; readers notice."""
        self.close()
        self._failed(f"connection lost: {exc or 'closed by Redis'}")

    def write(self, data: bytes, commands: int) -> bool:
        """Send without waiting; False: it does not keep up, nothing was sent."""
        if self._transport is None or self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            return False
        self._transport.write(data)
        self._unanswered += commands
        if self._timer is None:
            self._expect()
        return True

    def data_received(self, data: bytes) -> None:
        """Count lines; one that begins with '-' is an error: MOVED, CLUSTERDOWN, OOM."""
        lines = (self._tail + data).split(b"\r\n")
        self._tail = lines.pop()
        self._unanswered -= len(lines)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unanswered > 0:
            self._expect()
        for line in lines:
            if line.startswith(b"-"):
                self._failed(line[1:200].decode(errors="replace"))
                return

    def _expect(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(
            ANSWER_SECONDS_MAX, self._failed, "a node does not answer"
        )

    def close(self) -> None:
        """Hang up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


class Publisher:
    """Takes publications, sends them in the background."""

    def __init__(self, nodes: Sequence[str], partition: str, incarnation: str) -> None:
        self.dropped = 0
        self.sent = 0
        self._seeds = tuple(nodes)
        self._head = {"p": partition, "i": incarnation}
        self._told = ToldMessages()
        self._waiting: deque[tuple[str, bytes, bool]] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._ending = False
        self._links: dict[Address, NodeLink] = {}
        self._owners: list[Address | None] = []
        self._problem = ""
        self._complained = -COMPLAINT_SECONDS

    def offer(self, publications: Publications) -> None:
        """Send these soon. What is numbered is numbered here: dropping it later leaves a gap."""
        for name, raw, keep in publications:
            message = raw
            if name.endswith(":executions"):
                number = self._told.newest(name) + 1
                message = msgspec.msgpack.encode({**self._head, "n": number, "x": msgspec.Raw(raw)})
                self._told.add(name, message)
            self._waiting.append((name, message, keep))
            self._waiting_bytes += len(message)
        while self._waiting_bytes > WAITING_BYTES_MAX:
            self._waiting_bytes -= len(self._waiting.popleft()[1])
            self.dropped += 1
        if self._owners and not self._problem:
            try:
                self._send()
            except OSError as problem:
                self._failed(str(problem))
        else:
            self._wake.set()

    def retell(self, channel: str, after: int) -> bytes:
        """Content of a RETELL frame: Redis may have lost what was told there."""
        newest = self._told.newest(channel)
        messages = [] if after < 0 else self._told.after(channel, after)
        return msgspec.msgpack.encode({**self._head, "c": channel, "n": newest, "m": messages})

    def set_nodes(self, nodes: Sequence[str]) -> None:
        """Where to begin when the cluster must be found again."""
        self._seeds = tuple(nodes)

    async def run(self) -> None:
        """Send until closed."""
        while not self._ending:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._problem:
                    raise RedisAwayError(self._problem)
                if not self._owners:
                    await self._find_nodes()
                self._send()
            except (OSError, RedisError, TimeoutError, RedisAwayError) as problem:
                self._drop(problem)
                if not self._ending:
                    await asyncio.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """End `run` with its present turn; what waits is not sent."""
        self._ending = True
        self._wake.set()

    def _send(self) -> None:
        taken, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        newest = {name: at for at, (name, _, keep) in enumerate(taken) if keep}
        by_node: dict[Address, list[bytes]] = {}
        for at, (name, message, keep) in enumerate(taken):
            if keep and newest[name] != at:
                continue  # a later snapshot follows
            slot, head = telling(name, keep=keep)
            node = self._owners[slot]
            if node is None or node not in self._links:
                self.dropped += 1
            else:
                commands = by_node.setdefault(node, [])
                commands.append(b"%b$%d\r\n%b\r\n" % (head, len(message), message))
        for node, commands in by_node.items():
            if self._links[node].write(b"".join(commands), len(commands)):
                self.sent += len(commands)
            else:
                self.dropped += len(commands)

    def _drop(self, problem: Exception) -> None:
        """Everything that waits is lost, and the cluster is looked for anew."""
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._problem = ""
        self._owners = []
        for link in self._links.values():
            link.close()
        self._links.clear()
        now = asyncio.get_running_loop().time()
        if now - self._complained >= COMPLAINT_SECONDS:
            self._complained = now
            logger.warning("redis: %s: %s", type(problem).__name__, problem)

    def _failed(self, problem: str) -> None:
        if self._owners:  # else it was we who hung up
            self._problem = problem
            self._wake.set()

    async def _find_nodes(self) -> None:
        if not self._seeds:
            raise RedisAwayError("the topology names no Redis node")
        problem: Exception = RedisAwayError()
        for seed in self._seeds:
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    owners = await _ask_owners(seed)
                await self._connect({owner for owner in owners if owner is not None})
                self._owners = owners
                return
            except (OSError, RedisError, TimeoutError, RedisAwayError) as failed:
                problem = failed
        raise problem

    async def _connect(self, nodes: set[Address]) -> None:
        """Connect to those that can be reached; the cluster is asked again when some cannot."""
        loop = asyncio.get_running_loop()
        for node in nodes - self._links.keys():
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    _, link = await loop.create_connection(lambda: NodeLink(self._failed), *node)
            except (OSError, TimeoutError):
                loop.call_later(LOOK_AGAIN_SECONDS, self._failed, f"node {node} is away")
            else:
                self._links[node] = link
        if not self._links:
            raise RedisAwayError("no node can be reached")


async def _ask_owners(seed: str) -> list[Address | None]:
    host, port = seed.rsplit(":", 1)
    connection = Connection(host=host, port=int(port))
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.send_command("CLUSTER", "SLOTS")
        return owners_of(await connection.read_response(), host)
    finally:
        await connection.disconnect(nowait=True)
