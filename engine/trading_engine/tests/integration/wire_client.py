"""A small blocking client of the wire, as a replica would be."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trading_contract.wire import (
    PROTOCOL_VERSION,
    Code,
    Command,
    Depth,
    FrameDecoder,
    FrameType,
    Kind,
    Reply,
    Side,
    frame,
    parse_replies,
)

FLAG_MORE = 1


class WireClient:
    """One connection. Request ids are given here; answers are matched by them."""

    def __init__(self, at: int | Path, cluster: str = "test", greet: bool = True) -> None:
        """`at`: a port of this machine, or a UNIX socket."""
        if isinstance(at, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(20)
            self.socket.connect(str(at))
        else:
            self.socket = socket.create_connection(("127.0.0.1", at), timeout=20)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.welcome: dict[str, Any] = {}
        self.errors: list[str] = []
        self._decoder = FrameDecoder()
        self._numbers = itertools.count(1)
        self._replies: dict[int, list[Reply]] = {}
        self._frames: list[tuple[FrameType, bytes]] = []
        if greet:
            hello = {"version": PROTOCOL_VERSION, "cluster": cluster, "replica": "test"}
            self.socket.sendall(frame(FrameType.HELLO, json.dumps(hello).encode()))
            while not self.welcome:
                self._read()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *commands: Command) -> list[int]:
        """Write the commands in one frame; returns their request ids."""
        numbered = [replace(c, request_id=next(self._numbers)) for c in commands]
        self.socket.sendall(frame(FrameType.COMMANDS, b"".join(c.pack() for c in numbered)))
        return [c.request_id for c in numbered]

    def ask(self, *commands: Command, timeout_seconds: float = 20) -> list[list[Reply]]:
        """Send them and wait for all answers; one list of replies per command, in their order."""
        return self.wait(self.send(*commands), timeout_seconds)

    def one(self, command: Command) -> Reply:
        """The last reply to one command."""
        return self.ask(command)[0][-1]

    def wait(self, numbers: Sequence[int], timeout_seconds: float = 20) -> list[list[Reply]]:
        """Answers of commands that were sent; raises TimeoutError."""
        deadline = time.monotonic() + timeout_seconds
        while not all(self._is_complete(number) for number in numbers):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to {numbers[:5]}..")
            self._read()
        return [self._replies.pop(number) for number in numbers]

    def _is_complete(self, number: int) -> bool:
        replies = self._replies.get(number)
        if not replies:
            return False
        last = replies[-1]
        listed = last.kind in (Kind.CANCEL_ALL, Kind.QUERY_OPEN, Kind.CLEAR)
        return last.code is not Code.OK if listed else not last.flags & FLAG_MORE

    def depth(self, symbol: str, levels: int = 100) -> Depth:
        """The book as the partition tells it."""
        self.send(Command(0, Kind.QUERY_DEPTH, symbol, quantity=levels))
        return Depth.unpack(self.frame_of(FrameType.DEPTH))

    def status(self) -> dict[str, Any]:
        """What the partition says of itself."""
        self.socket.sendall(frame(FrameType.STATUS, b""))
        answer: dict[str, Any] = json.loads(self.frame_of(FrameType.STATUS))
        return answer

    def frame_of(self, wanted: FrameType) -> bytes:
        """The next frame of a type that is no reply."""
        while True:
            for at, (kind, payload) in enumerate(self._frames):
                if kind is wanted:
                    del self._frames[at]
                    return payload
            self._read()

    def _read(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError(f"the partition hung up {self.errors}")
        for kind, payload in self._decoder.feed(data):
            if kind is FrameType.REPLIES:
                for reply in parse_replies(payload):
                    self._replies.setdefault(reply.request_id, []).append(reply)
            elif kind is FrameType.WELCOME:
                self.welcome = json.loads(payload)
            elif kind is FrameType.ERROR:
                self.errors.append(json.loads(payload)["error"])
            else:
                self._frames.append((kind, payload))


_client_ids = itertools.count(1)


def place(
    symbol: str, side: Side, price: int, quantity: int, account: int = 1, **others: Any
) -> Command:
    """A limit order with a client id of its own unless one is given."""
    others.setdefault("client_id", f"order-{next(_client_ids)}")
    return Command(
        0, Kind.PLACE, symbol, account=account, side=side, price=price, quantity=quantity, **others
    )


def cancel(symbol: str, order_id: int, account: int = 1) -> Command:
    """Cancel by number."""
    return Command(0, Kind.CANCEL, symbol, account=account, order_id=order_id)
