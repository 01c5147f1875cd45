"""One partition: its connection, made anew whenever it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from trading_backend.background import BackgroundLoop
from trading_contract.topology import PartitionAddress
from trading_contract.wire import PROTOCOL_VERSION, FrameType, frame

logger = logging.getLogger(__name__)

WRITE_BUFFER_BYTES = 1 << 20
BACKOFF_SECONDS_MIN = 0.02
BACKOFF_SECONDS_MAX = 1.0
CONNECT_SECONDS_MAX = 2.0
PING_SECONDS = 2.0
SILENCE_SECONDS_MAX = 6.0


class LinkOwner(Protocol):
    """Who keeps the connections and routes over them."""

    cluster: str
    replica: str
    deliver: Callable[[], list[tuple[int, bytes]]]
    on_retold: Callable[[bytes], None]

    def welcomed(self, link: PartitionLink, *, first: bool) -> None:
        """A partition told its slots."""

    def lost(self, link: PartitionLink) -> None:
        """A connection is gone."""

    def feed(self, index: int, data: bytes) -> bool:
        """Bytes of a partition; False: they are not of our wire."""

    def take(self, index: int) -> bytes:
        """The next frame of commands, empty when none waits."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot that a partition says it owns."""

    slot: int
    epoch: int
    first: str
    past: str
    shard: str = ""  # where its rows are; "" = of a program that does not tell


class PartitionLink(asyncio.Protocol):
    """One partition: its connection, made anew whenever it is lost."""

    def __init__(
        self,
        owner: LinkOwner,
        index: int,
        address: PartitionAddress,
        sockets_folder: Path | None = None,
    ) -> None:
        self.index = index
        self._socket = sockets_folder / f"{address.name}.sock" if sockets_folder else None
        self.address = address
        self.welcomed = False
        self.retells = False
        self.claims: tuple[Claim, ...] = ()
        self.incarnation = ""
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._heard = 0.0
        self._lost = asyncio.Event()
        self._backoff = BACKOFF_SECONDS_MIN
        self._loop = BackgroundLoop(f"partition {address.name}", self._keep)

    def start(self) -> None:
        """Begin to keep a connection; does nothing when it is being kept."""
        self._loop.start()

    async def close(self) -> None:
        """Give the connection up for good."""
        await self._loop.close()
        if self._transport is not None:
            self._transport.abort()

    def move(self, address: PartitionAddress) -> None:
        """The partition listens elsewhere now."""
        if address != self.address:
            self.address = address
            if self._transport is not None:
                self._transport.abort()

    async def _keep(self) -> None:
        """One connection, from the attempt to its end."""
        loop = asyncio.get_running_loop()
        self._lost.clear()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await self._connect(loop)
        except (OSError, TimeoutError):
            pass
        else:
            if await self._watch():
                self._backoff = BACKOFF_SECONDS_MIN
        if not self._loop.ending:
            await asyncio.sleep(self._backoff * random.uniform(0.5, 1.0))
            self._backoff = min(BACKOFF_SECONDS_MAX, self._backoff * 2)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        """Over the socket of a partition on this machine, which costs half of what TCP does."""
        if self._socket is not None and self._socket.exists():
            with contextlib.suppress(OSError):  # what a dead partition left
                await loop.create_unix_connection(lambda: self, str(self._socket))
                return
        await loop.create_connection(lambda: self, self.address.host, self.address.port)

    async def _watch(self) -> bool:
        """Wait until the connection is lost; give a silent peer up. True: it had welcomed us."""
        welcomed = False
        while not (self._lost.is_set() or self._loop.ending):
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self._lost.wait()
            except TimeoutError:
                welcomed = welcomed or self.welcomed
                if self._transport is None:
                    break
                if time.monotonic() - self._heard > SILENCE_SECONDS_MAX:
                    logger.warning("partition %s is silent: reconnecting", self.address.name)
                    self._transport.abort()
                else:
                    self._transport.write(frame(FrameType.PING, b""))
        return welcomed

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello; commands flow after the welcome."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._paused = False
        self._heard = time.monotonic()
        hello = {
            "version": PROTOCOL_VERSION,
            "cluster": self._owner.cluster,
            "replica": self._owner.replica,
        }
        self._transport.write(frame(FrameType.HELLO, json.dumps(hello).encode()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything written is unknown now."""
        self._transport = None
        self.welcomed = False
        self.claims = ()
        self._lost.set()
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """The partition does not read fast enough: let commands wait."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Replies go straight to the native side."""
        self._heard = time.monotonic()
        good = self._owner.feed(self.index, data)
        for kind, payload in self._owner.deliver():
            good = good and self._on_frame(kind, payload)
        if not good and self._transport is not None:
            self._transport.abort()

    def _on_frame(self, kind: int, payload: bytes) -> bool:
        if kind == FrameType.WELCOME:
            return self._on_welcome(payload)
        if kind == FrameType.PING and self._transport is not None and len(payload) <= 64:
            self._transport.write(frame(FrameType.PONG, payload))
        elif kind == FrameType.RETELL:
            return self._on_retold(payload)
        elif kind == FrameType.ERROR:
            logger.error(
                "partition %s: %s", self.address.name, payload[:500].decode(errors="replace")
            )
            return False
        return kind in FrameType._value2member_map_

    def _on_retold(self, payload: bytes) -> bool:
        try:
            self._owner.on_retold(payload)
        except msgspec.MsgspecError:
            logger.exception("partition %s: its RETELL is malformed", self.address.name)
            return False
        return True

    def ask_again(self, channel: str, after: int) -> bool:
        """Ask for messages; False: it is not connected, or cannot tell."""
        if self._transport is None or not (self.welcomed and self.retells):
            return False
        asked = json.dumps({"channel": channel, "after": after}).encode()
        self._transport.write(frame(FrameType.RETELL, asked))
        return True

    def _on_welcome(self, payload: bytes) -> bool:
        try:
            welcome: dict[str, Any] = json.loads(payload)
            claims = tuple(
                Claim(
                    int(s["id"]),
                    int(s["epoch"]),
                    str(s["first"]),
                    str(s["past"]),
                    str(s.get("shard", "")),
                )
                for s in welcome["slots"]
            )
            wanted = (PROTOCOL_VERSION, self._owner.cluster, self.address.name)
            actual = (welcome["version"], welcome["cluster"], welcome["partition"])
        except (ValueError, KeyError, TypeError):
            logger.exception("partition %s: its WELCOME is malformed", self.address.name)
            return False
        if actual != wanted:
            logger.error(
                "partition %s: WELCOME of %s, wanted %s", self.address.name, actual, wanted
            )
            return False
        self.incarnation = str(welcome.get("incarnation", ""))
        self.retells = welcome.get("retells") is True
        self.claims = claims
        first = not self.welcomed
        self.welcomed = True
        self._owner.welcomed(self, first=first)
        return True

    def flush(self) -> None:
        """Write what waits, in frames."""
        if self._transport is None or not self.welcomed:
            return
        while not self._paused:
            data = self._owner.take(self.index)
            if not data:
                return
            self._transport.write(data)
