"""A native order entry without sockets: ask it, see the commands it would send, give it replies."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from trading_backend import _native
from trading_backend.order_entry import HttpAnswer, split_answer
from trading_backend.symbol_rows import symbol_row
from trading_backend.tests.unit.fake_partition import SYMBOLS
from trading_contract.wire import COMMAND_BYTES, HEADER_BYTES, Command, FrameType, Reply, frame

NOW_US = 1_700_000_000_000_000
KEY, SECRET, ACCOUNT = "K" * 64, "secret-of-alice", 7
READ_KEY, READ_SECRET = "R" * 64, "secret-of-a-reader"
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.5",
    "price": "100.10",
}


def sign(payload: str, secret: str = SECRET) -> str:
    """The signature over a payload."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def signed(params: dict[str, Any], *, secret: str = SECRET, now_us: int = NOW_US) -> str:
    """Parameters with time and signature, url-encoded."""
    text = urlencode({**params, "timestamp": now_us // 1000})
    return f"{text}&signature={sign(text, secret)}"


class Desk:
    """One partition, symbols of the fake cluster, two keys. Time stands still unless moved."""

    def __init__(self, *, batch_orders_max: int = 500, in_flight_max: int = 1000) -> None:
        self.native = _native.OrderEntry()
        self.now_us = NOW_US
        self.answers: dict[int, HttpAnswer] = {}
        self.native.set_symbols([symbol_row(rules) for rules in SYMBOLS])
        self.native.set_limits(1 << 20, batch_orders_max, in_flight_max, 5_000_000, 250_000)
        self.native.set_routes(1, [("", "~", 0)], self.now_us)
        self.native.set_keys([(KEY, SECRET, ACCOUNT, 3), (READ_KEY, READ_SECRET, 8, 1)])
        self.native.set_connected(0, True, self.now_us)

    def begin(
        self,
        method: str,
        path: str,
        query: str = "",
        body: str = "",
        *,
        content_type: str = "application/x-www-form-urlencoded",
        key: str = KEY,
        microseconds: bool = False,
    ) -> int:
        """Begin and submit a request; its id."""
        request, _account, _orders = self.native.begin(
            method, path, query.encode(), body.encode(), content_type.encode(), key.encode(),
            microseconds, self.now_us,
        )  # fmt: skip
        data = self.native.submit(request, -1, -1, -1, self.now_us)
        if data is not None:
            self.answers[request] = split_answer(data)
        return request

    def commands(self) -> list[Command]:
        """What is written to the partition now."""
        data = self.native.take(0, 10_000, self.now_us)[HEADER_BYTES:]
        return [
            Command.unpack(data[at : at + COMMAND_BYTES])
            for at in range(0, len(data), COMMAND_BYTES)
        ]

    def reply(self, replies: Sequence[Reply]) -> None:
        """Replies of the partition."""
        data = frame(FrameType.REPLIES, b"".join(reply.pack() for reply in replies))
        assert self.native.feed(0, data, self.now_us)
        self.collect()

    def collect(self) -> list[Any]:
        """Keep what is answered; returns the look-ups that are wanted."""
        done = self.native.drain()
        if done is None:
            return []
        for request, data in done[0]:
            self.answers[request] = split_answer(data)
        return list(done[2])

    def ask(
        self, method: str, path: str, params: dict[str, Any], **options: Any
    ) -> tuple[int, Any]:
        """The answer of a request that is answered without the partition: (status, JSON)."""
        request = self.begin(method, path, "", signed(params), **options)
        answer = self.answers[request]
        return answer.status, json.loads(answer.body)

    def command(self, method: str, path: str, params: dict[str, Any]) -> Command:
        """The one command that a request becomes."""
        request = self.begin(method, path, "", signed(params))
        assert request not in self.answers, self.answers[request]
        (command,) = self.commands()
        return command

    def answer(self, request: int) -> tuple[int, Any]:
        """(status, JSON) of an answered request."""
        answer = self.answers[request]
        return answer.status, json.loads(answer.body)
