"""A partition that speaks the wire: accepts everything, remembers, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from trading_contract.topology import Limits, PartitionAddress, SlotPlacement, SymbolRules, Topology
from trading_contract.wire import (
    FLAG_CANCELLED_PART,
    FLAG_MORE,
    Code,
    Command,
    Depth,
    EndReason,
    Fill,
    FrameDecoder,
    FrameType,
    Kind,
    OrderStatus,
    OrderType,
    Reply,
    frame,
)

TIME_US = 1_700_000_000_000_000
COMMAND_BYTES = 184


def reply_to(command: Command, **changes: object) -> Reply:
    """An accepted order, or whatever `changes` make of it."""
    base = Reply(
        request_id=command.request_id, symbol=command.symbol, order_id=command.order_id or 1,
        account=command.account, price=command.price, quantity=command.quantity, executed=0,
        executed_quote=0, prevented=0, created_us=TIME_US, time_us=TIME_US + 1000, epoch=1,
        sequence=7, client_id=command.client_id or command.target_client_id,
        target_client_id=command.target_client_id, code=Code.OK, kind=command.kind,
        status=OrderStatus.NEW, side=command.side, type=command.type,
        time_in_force=command.time_in_force, self_trade=command.self_trade,
        end_reason=EndReason.NONE, flags=0,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


Answerer = Callable[[Command], list[Reply]]


class FakePartition(asyncio.Protocol):
    """Listens on a free port. `answerer` makes the replies; `silent` keeps them back."""

    def __init__(self, name: str = "p0", slots: tuple[SlotPlacement, ...] = ()) -> None:
        self.name = name
        self.slots = slots
        self.commands: list[Command] = []
        self.answerer: Answerer = self.accept
        self.silent = False
        self.frames = 0
        self.depth: Depth | None = None
        self.told: list[bytes] | None = None  # on any channel; None: it cannot tell it again
        self._orders = 0
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._server: asyncio.Server | None = None
        self._local: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def start_at(self, path: Path) -> None:
        """Listen on a UNIX socket besides."""
        self._local = await asyncio.get_running_loop().create_unix_server(lambda: self, str(path))

    @property
    def is_local(self) -> bool:
        """Whether the connection there is came over the UNIX socket."""
        assert self._transport is not None
        peer: socket.socket = self._transport.get_extra_info("socket")
        return peer.family == socket.AF_UNIX

    async def stop(self) -> None:
        """Refuse connections and drop the one there is."""
        for server in (self._server, self._local):
            if server is not None:
                server.close()
            self._server = None
        self.drop()

    def drop(self) -> None:
        """Lose the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A replica."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._decoder = FrameDecoder()

    def data_received(self, data: bytes) -> None:
        """Answer at once."""
        for kind, payload in self._decoder.feed(data):
            if kind is FrameType.HELLO:
                self.hello = json.loads(payload)
                self.welcome(self.slots)
            elif kind is FrameType.PING:
                self.send(FrameType.PONG, payload)
            elif kind is FrameType.RETELL:
                self.retell(json.loads(payload))
            elif kind is FrameType.COMMANDS:
                self.frames += 1
                found = [
                    Command.unpack(payload[at : at + COMMAND_BYTES])
                    for at in range(0, len(payload), COMMAND_BYTES)
                ]
                self.commands += found
                if not self.silent:
                    self.answer(found)

    def welcome(self, slots: tuple[SlotPlacement, ...], **changes: object) -> None:
        """Tell which slots are ours."""
        self.slots = slots
        told = [
            {"id": s.id, "epoch": s.epoch, "first": s.first, "past": s.past, "shard": s.shard}
            for s in slots
        ]
        body = {"version": 1, "cluster": "test", "partition": self.name, "incarnation": "i"}
        if self.told is not None:
            body["retells"] = True
        self.send(FrameType.WELCOME, json.dumps({**body, "slots": told, **changes}).encode())

    def retell(self, asked: dict[str, Any]) -> None:
        """What was told on a channel."""
        assert self.told is not None
        head = {"p": self.name, "i": "i1", "c": asked["channel"], "n": len(self.told)}
        found = [] if asked["after"] < 0 else self.told[asked["after"] :]
        self.send(FrameType.RETELL, msgspec.msgpack.encode({**head, "m": found}))

    def answer(self, commands: list[Command]) -> None:
        """Send the replies to these commands."""
        replies: list[Reply] = []
        for command in commands:
            if command.kind is Kind.QUERY_DEPTH:
                depth = self.depth or Depth(0, command.symbol, 5, 100, 1, Code.OK, (), ())
                self.send(FrameType.DEPTH, replace(depth, request_id=command.request_id).pack())
            else:
                replies += self.answerer(command)
        if replies:
            self.send(FrameType.REPLIES, b"".join(reply.pack() for reply in replies))

    def send(self, kind: FrameType, payload: bytes) -> None:
        """One frame."""
        if self._transport is not None:
            self._transport.write(frame(kind, payload))

    def accept(self, command: Command) -> list[Reply]:
        """Everything succeeds; MARKET orders are filled in two trades."""
        if command.kind in (Kind.CANCEL_ALL, Kind.QUERY_OPEN):
            one = reply_to(command, client_id="open-1", flags=FLAG_MORE, price=10000, quantity=5)
            if command.kind is Kind.CANCEL_ALL:
                one = replace(one, status=OrderStatus.CANCELED)
            return [one, reply_to(command, code=Code.END, executed=1)]
        if command.kind is Kind.CANCEL_REPLACE:
            cancelled = reply_to(
                command, status=OrderStatus.CANCELED, flags=FLAG_MORE | FLAG_CANCELLED_PART,
                client_id=command.target_client_id or "target",
            )  # fmt: skip
            return [cancelled, reply_to(command, order_id=self._next())]
        if command.kind is Kind.CANCEL:
            return [reply_to(command, status=OrderStatus.CANCELED, price=10000, quantity=5)]
        if command.kind in (Kind.QUERY_ORDER, Kind.AMEND):
            return [reply_to(command, price=10000, client_id=command.target_client_id or "mine")]
        if command.type is OrderType.MARKET:
            fills = (Fill(1, 10000, 2, 90), Fill(2, 10001, 3, 91))
            return [
                reply_to(
                    command, order_id=self._next(), status=OrderStatus.FILLED, quantity=5,
                    executed=5, executed_quote=50003, fills=fills,
                )
            ]  # fmt: skip
        return [reply_to(command, order_id=self._next())]

    def _next(self) -> int:
        self._orders += 1
        return self._orders


@dataclass(frozen=True)
class Cluster:
    """Fake partitions and the topology that names them."""

    partitions: tuple[FakePartition, ...]
    topology: Topology


SYMBOLS = tuple(
    SymbolRules.model_validate(rules)
    for rules in (
        {"name": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "tickSize": "0.01",
         "lotSize": "0.00001", "minNotional": "5", "maxQuantity": "9000", "maxPrice": "1000000"},
        {"name": "AAAUSDT", "baseAsset": "AAA", "quoteAsset": "USDT", "tickSize": "0.05",
         "lotSize": "10"},
        {"name": "ZZZUSDT", "baseAsset": "ZZZ", "quoteAsset": "USDT", "tickSize": "1",
         "lotSize": "1"},
    )
)  # fmt: skip


def topology_of(*partitions: FakePartition, revision: int = 1, **limits: int) -> Topology:
    """One slot for all symbols, or two split at M."""
    addresses = tuple(
        PartitionAddress(name=p.name, host="127.0.0.1", port=p.port) for p in partitions
    )
    bounds = [("", "~")] if len(partitions) == 1 else [("", "M"), ("M", "~")]
    slots = tuple(
        SlotPlacement(id=i, first=first, past=past, partition=partitions[i].name, shard="s0")
        for i, (first, past) in enumerate(bounds)
    )
    return Topology(
        cluster="test", revision=revision, symbols=SYMBOLS, shards=(), partitions=addresses,
        redis_nodes=(), slots=slots, limits=Limits(**limits),
    )  # fmt: skip


async def make_cluster(count: int = 1, **limits: int) -> Cluster:
    """Start fake partitions that own what the topology gives them."""
    partitions = tuple(FakePartition(f"p{i}") for i in range(count))
    for partition in partitions:
        await partition.start()
    topology = topology_of(*partitions, **limits)
    for slot, partition in zip(topology.slots, partitions, strict=True):
        partition.slots = (slot.model_copy(update={"epoch": 1}),)
    return Cluster(partitions, topology)
