"""`/ws-api/v3`: streamed order entry. One chunk of the socket is one call into the native side.

Bounded both ways: reading stops while too many requests are in flight or the client does not read
its answers; a client that does not read for long is closed with a reason.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Sequence
from typing import cast

import httptools
from uvicorn.server import ServerState

from trading_backend import _native
from trading_backend.order_entry import OrderEntry, Verdict

STREAM_PATH = b"/ws-api/v3"
IN_FLIGHT_PAUSE = 8192
IN_FLIGHT_RESUME = 4096
BUFFER_BYTES_MAX = 16 << 20
STALLED_SECONDS_MAX = 10
PING_SECONDS = 20
SILENCE_SECONDS_MAX = 60
LIFE_SECONDS_MAX = 24 * 3600

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PING = 9
_TEXT = 1
_GOING_AWAY = 1001
_POLICY = 1008
_NO_WEIGHT = Verdict()


class OrderStreamProtocol(asyncio.Protocol):
    """One client's stream. Takes over the transport of an HTTP connection after its upgrade."""

    def __init__(self, entry: OrderEntry, server_state: ServerState) -> None:
        self._entry = entry
        self._native = entry.native
        self._server_state = server_state
        self._stream = 0
        self._transport: asyncio.Transport | None = None
        self._reading = True
        self._stalled_us = 0
        self._heard_us = self._opened_us = self._pinged_us = time.time_ns() // 1000
        self._closing = False
        self._draining = False

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self._transport = cast(asyncio.Transport, transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        self._entry.connections.add(self)

    def upgrade(self, headers: Sequence[tuple[bytes, bytes]], url: bytes) -> None:
        """Answer the handshake; a bad one gets 400 or 426 and is closed."""
        found = dict(headers)
        key = found.get(b"sec-websocket-key", b"")
        if found.get(b"sec-websocket-version") != b"13":
            self._refuse(b"426 Upgrade Required", b"sec-websocket-version: 13\r\n")
            return
        try:
            good = len(base64.b64decode(key, validate=True)) == 16
        except ValueError:
            good = False
        if not good:
            self._refuse(b"400 Bad Request", b"")
            return
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        query = httptools.parse_url(url).query or b""
        shows_limits = b"returnRateLimits=false" not in query.split(b"&")
        self._stream = self._native.stream_open(shows_limits, self._opened_us)
        self._entry.streams[self._stream] = self
        self._write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            b"sec-websocket-accept: " + accept + b"\r\n\r\n"
        )

    def _refuse(self, status: bytes, header: bytes) -> None:
        body = b"Not a WebSocket handshake."
        self._write(
            b"HTTP/1.1 " + status + b"\r\n" + header + b"connection: close\r\ncontent-length: "
            + str(len(body)).encode() + b"\r\n\r\n" + body
        )  # fmt: skip
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers that are still to come have nowhere to go."""
        self._transport = None
        self._server_state.connections.discard(self)
        self._entry.connections.discard(self)
        self._entry.streams.pop(self._stream, None)
        if self._stream:
            self._native.stream_close(self._stream)
            self._stream = 0

    def data_received(self, data: bytes) -> None:
        """Serve all requests of the chunk at once."""
        if not self._stream or self._closing:
            return
        now_us = self._heard_us = time.time_ns() // 1000
        runs, events, closing = self._native.stream_receive(self._stream, data, now_us)
        for account, requests, orders in runs:
            self._admit(account, requests, orders, now_us)
        if runs:
            self._entry.partitions.flush_soon()
        output = self._native.stream_output(self._stream)
        if output:
            self._write(output)
        for method, request, account, params in events:
            self._hand_over(method, request, account, params)
        if closing:
            self._end()
        else:
            self._check_reading()

    def _admit(self, account: int, requests: int, orders: int, now_us: int) -> None:
        take = self._entry.limits.take_orders
        verdict = take(account, orders) if account >= 0 else _NO_WEIGHT
        if verdict[0]:
            self._native.stream_submit(self._stream, requests, *verdict[2:5], now_us)
            return
        # Not all of them: one by one, so that as many as possible pass, and cancels always.
        for count in self._native.stream_staged(self._stream)[:requests]:
            verdict = take(account, count)
            if verdict[0]:
                self._native.stream_submit(self._stream, 1, *verdict[2:5], now_us)
            else:
                _, retry_after, weight, count_10s, count_1d, by_orders = verdict
                self._native.stream_refuse(
                    self._stream, 1, by_orders, weight, count_10s, count_1d, retry_after
                )

    def _hand_over(self, method: str, request: bytes, account: int, params: bytes) -> None:
        serve = self._entry.user_streams
        if serve is None:
            error = {"code": -1020, "msg": "This operation is not supported."}
            answer = {"id": json.loads(request), "status": 400, "error": error}
            self.send_text(json.dumps(answer, separators=(",", ":")).encode())
            return
        serving = serve(self, method, request, account, params)
        if serving is not None:
            task = asyncio.ensure_future(serving)
            self._server_state.tasks.add(task)
            task.add_done_callback(self._server_state.tasks.discard)

    # Writing

    @property
    def is_open(self) -> bool:
        """Whether anything sent can still arrive."""
        return self._transport is not None and not self._closing

    def send_text(self, message: bytes) -> None:
        """Send one text message, for private streams; does nothing once the stream is closed."""
        if self.is_open:
            self._write(_native.frame(_TEXT, message))

    def write_frames(self, frames: bytes) -> None:
        """Answers that became ready."""
        if self._closing:
            return
        self._write(frames)
        if self._draining and self._native.stream_in_flight(self._stream) == 0:
            self.close(_GOING_AWAY, "server shutdown")
        elif not self._reading:
            self._check_reading()

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
            transport.abort()

    def pause_writing(self) -> None:
        """The client does not read: take no more from it."""
        self._stalled_us = time.time_ns() // 1000
        self._check_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stalled_us = 0
        self._check_reading()

    def _check_reading(self) -> None:
        transport = self._transport
        if transport is None or not self._stream or self._draining or transport.is_closing():
            return
        in_flight = self._native.stream_in_flight(self._stream)
        if self._reading and (self._stalled_us or in_flight > IN_FLIGHT_PAUSE):
            self._reading = False
            transport.pause_reading()
        elif not self._reading and not self._stalled_us and in_flight < IN_FLIGHT_RESUME:
            self._reading = True
            transport.resume_reading()

    # Life

    def close(self, code: int, reason: str) -> None:
        """Say why, then close."""
        if self.is_open:
            self._write(_native.close_frame(code, reason))
            self._end()

    def _end(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def announce_shutdown(self) -> None:
        """Tell the client that this replica goes away soon."""
        event = {"event": {"e": "serverShutdown", "E": time.time_ns() // 1_000_000}}
        self.send_text(json.dumps(event, separators=(",", ":")).encode())

    def shutdown(self) -> None:
        """Finish what is in flight, take nothing new, then close."""
        self.announce_shutdown()
        self._draining = True
        if self._transport is not None and self._reading:
            self._reading = False
            self._transport.pause_reading()
        if self._stream and self._native.stream_in_flight(self._stream) == 0:
            self.close(_GOING_AWAY, "server shutdown")

    def check_idle(self, now_us: int) -> None:
        """Ping; close who is gone, who does not read, and who is here for too long."""
        if now_us - self._heard_us > SILENCE_SECONDS_MAX * 1_000_000:
            if self._transport is not None:
                self._transport.abort()
        elif self._stalled_us and now_us - self._stalled_us > STALLED_SECONDS_MAX * 1_000_000:
            self.close(_POLICY, "answers are not being read")
            if self._transport is not None:
                self._transport.abort()
        elif now_us - self._opened_us > LIFE_SECONDS_MAX * 1_000_000:
            self.close(_GOING_AWAY, "24 hours are over")
        elif now_us - self._pinged_us > PING_SECONDS * 1_000_000 and self.is_open:
            self._pinged_us = now_us
            self._write(_native.frame(_PING, b""))
