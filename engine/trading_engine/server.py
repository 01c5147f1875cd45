"""The socket side of a partition: whole frames in, answers out. No per-command work in Python."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from trading_contract.load import PartitionLoad
from trading_contract.wire import FRAME_BYTES_MAX, HEADER_BYTES, STATUS_OF_LOAD, FrameType, frame

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<IBBH")


class Intake(Protocol):
    """Where commands go."""

    def take(self, connection: int, commands: bytes) -> bool:
        """Queue whole records; False when they are not."""

    def full(self) -> bool:
        """Whether reading should stop for now."""

    def welcome(self) -> dict[str, Any]:
        """Content of WELCOME."""

    def status(self) -> dict[str, Any]:
        """Content of STATUS."""

    def load(self) -> PartitionLoad:
        """Content of STATUS for who asks for the load."""

    def retell(self, channel: str, after: int) -> bytes:
        """Content of RETELL."""


class ReplicaConnection(asyncio.Protocol):
    """One connection of a replica, or of somebody who asks for status."""

    def __init__(self, server: PartitionServer, number: int) -> None:
        self.number = number
        self.greeted = False
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer is there."""
        transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        self._transport = transport
        self._server.connections[self.number] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """What was asked is still done; nobody hears of it here."""
        self._server.connections.pop(self.number, None)
        self._server.paused.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Take whole frames out of what came."""
        held = self._held
        held += data
        at = 0
        while len(held) - at >= HEADER_BYTES:
            length, kind, _, _ = _HEADER.unpack_from(held, at)
            if not HEADER_BYTES <= length <= FRAME_BYTES_MAX:
                return self.refuse(f"frame length {length} is outside 8..{FRAME_BYTES_MAX}")
            if len(held) - at < length:
                break
            payload = bytes(held[at + HEADER_BYTES : at + length])
            at += length
            problem = self._on_frame(kind, payload)
            if problem:
                return self.refuse(problem)
        del held[:at]
        if self._server.intake.full():
            self.pause()

    def _on_frame(self, kind: int, payload: bytes) -> str:
        if kind == FrameType.COMMANDS:
            if not self.greeted:
                return "COMMANDS before HELLO"
            if not payload or not self._server.intake.take(self.number, payload):
                return f"COMMANDS of {len(payload)} bytes is not whole records"
        elif kind == FrameType.HELLO:
            return self._on_hello(payload)
        elif kind == FrameType.PING:
            if len(payload) > 64:
                return "PING is longer than 64 bytes"
            self.write(frame(FrameType.PONG, payload))
        elif kind == FrameType.STATUS:
            self.write(frame(FrameType.STATUS, self._status(payload)))
        elif kind == FrameType.RETELL:
            return self._on_retell(payload)
        elif kind != FrameType.PONG:
            return f"frame type {kind} is not for a partition"
        return ""

    def _status(self, payload: bytes) -> bytes:
        intake = self._server.intake
        if payload == STATUS_OF_LOAD:
            return intake.load().model_dump_json().encode()
        return json.dumps(intake.status()).encode()

    def _on_retell(self, payload: bytes) -> str:
        try:
            asked = json.loads(payload)
            channel, after = asked["channel"], asked["after"]
        except (ValueError, KeyError, TypeError):
            return "RETELL is malformed"
        if not isinstance(channel, str) or not isinstance(after, int):
            return "RETELL is malformed"
        self.write(frame(FrameType.RETELL, self._server.intake.retell(channel, after)))
        return ""

    def _on_hello(self, payload: bytes) -> str:
        welcome = self._server.intake.welcome()
        try:
            hello = json.loads(payload)
            theirs = (hello["version"], hello["cluster"])
        except (ValueError, KeyError, TypeError):
            return "HELLO is malformed"
        ours = (welcome["version"], welcome["cluster"])
        if theirs != ours:
            return f"HELLO of version and cluster {theirs}, this is {ours}"
        self.greeted = True
        self.write(frame(FrameType.WELCOME, json.dumps(welcome).encode()))
        return ""

    def write(self, data: bytes) -> None:
        """Send; a peer that does not read is cut off rather than buffered without bound."""
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > self._server.output_bytes_max:
            logger.warning("connection %s does not read its answers: closed", self.number)
            self._transport.abort()
            return
        self._transport.write(data)

    def close(self) -> None:
        """Hang up when everything is written."""
        if self._transport is not None:
            self._transport.close()

    def refuse(self, problem: str) -> None:
        """Say what is wrong and close."""
        logger.warning("connection %s: %s", self.number, problem)
        self._held.clear()
        if self._transport is not None:
            self._transport.write(frame(FrameType.ERROR, json.dumps({"error": problem}).encode()))
            self._transport.close()

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None:
            self._transport.pause_reading()
            self._server.paused.add(self)

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()


class PartitionServer:
    """Listens, and knows its connections by number."""

    def __init__(self, intake: Intake, output_bytes_max: int, connections_max: int) -> None:
        self.intake = intake
        self.output_bytes_max = output_bytes_max
        self.connections_max = connections_max
        self.stopping = False
        self.connections: dict[int, ReplicaConnection] = {}
        self.paused: set[ReplicaConnection] = set()
        self._number = 0
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str, port: int) -> None:
        """Open the port; raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._make(), host, port))

    async def listen_at(self, path: Path) -> None:
        """Open a UNIX socket besides; one that a dead process left is replaced."""
        loop = asyncio.get_running_loop()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 -- once, and takes no time
        self._servers.append(await loop.create_unix_server(self._make(), str(path)))

    def _make(self) -> Callable[[], ReplicaConnection]:
        def make() -> ReplicaConnection:
            self._number += 1
            return ReplicaConnection(self, self._number)

        return make

    def deliver(self, outboxes: list[tuple[int, bytes]]) -> None:
        """Write answers to those who are still there."""
        for number, data in outboxes:
            connection = self.connections.get(number)
            if connection is not None:
                connection.write(data)

    def drained(self) -> None:
        """Queues have room: read on."""
        if self.paused and not self.stopping and not self.intake.full():
            for connection in list(self.paused):
                connection.resume()
            self.paused.clear()

    def welcome_all(self) -> None:
        """Tell everybody what is owned now."""
        data = frame(FrameType.WELCOME, json.dumps(self.intake.welcome()).encode())
        for connection in self.connections.values():
            if connection.greeted:
                connection.write(data)

    def stop_reading(self) -> None:
        """Take no more commands; answers still go out."""
        self.stopping = True
        for connection in self.connections.values():
            connection.pause()

    def close(self) -> None:
        """No new connections, and an end to those there are once their answers are written."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections.values()):
            connection.close()
