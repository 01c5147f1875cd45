"""The fast lane: plain order requests go from the socket to the native side and back, past ASGI.

Everything that is not a complete, plain order request is left to uvicorn, where `routes/` answers
the same. One request per connection is in flight; what a client sends ahead waits in order, within
a bound.
"""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from trading_backend._native import COMPLETE, NEED_MORE
from trading_backend.balancer_link import BalancerLink
from trading_backend.order_entry import OrderEntry, error_body
from trading_backend.routes.order_stream import STREAM_PATH, OrderStreamProtocol

HELD_BYTES_PAUSE = 256 * 1024
PARTIAL_SECONDS_MAX = 10
HEAD_BYTES_MAX = 64 * 1024  # of a request's first line and headers
REFUSED_SECONDS = 1.0  # to read the answer while still sending
HEAD_TOO_LARGE = (
    f"The URL and headers of a request may have {HEAD_BYTES_MAX} bytes: send long parameters in a"
    " form body."
)
FROM_CLIENTS = "from_clients"


class OrderLaneProtocol(HttpToolsProtocol):
    """An HTTP connection with the fast lane. Made by `order_lane`."""

    entry: ClassVar[OrderEntry]
    link: ClassVar[BalancerLink | None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answering = False  # a lane request is in flight
        self._between = True  # uvicorn's parser is between two messages
        self._held = b""  # not yet served, in order
        self._wanted = 0  # bytes that make the held request whole; 0 = not known
        self._paused = False
        self._draining = False
        self._active_us = time.time_ns() // 1000
        self._served = 0  # requests
        self._head_bytes = -1  # that uvicorn's parser was fed of a head that is not whole
        self._refused = False  # what comes now is thrown away

    def connection_made(self, transport: Any) -> None:
        """Look at it now and then: idle connections are closed."""
        super().connection_made(transport)
        self.entry.connections.add(self)
        if self.link is not None and self.app_state.get(FROM_CLIENTS):
            self.link.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever is in flight goes on; its answer has nowhere to go."""
        self._be_no_lane()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Serve at once what can be served at once."""
        if self._refused:
            return
        if self._held or self._answering:
            self._held += data
        else:
            self._held = data
        if not self._answering:
            self._pump()
        if self._held:
            self._check_reading()

    def _pump(self) -> None:
        """Serve what is held, in order, until a request must wait for its answer."""
        while self._held and not self._answering and not self.transport.is_closing():
            data = self._held
            if self._server_busy():
                self._to_server(data)
                return
            if len(data) < self._wanted or self.flow.write_paused:
                return
            now_us = time.time_ns() // 1000
            state, size, request, account, orders = self.entry.native.begin_http(data, now_us)
            if state == COMPLETE:
                self._active_us = now_us
                self._wanted = 0
                self._served += 1
                self._held = data[size:] if size < len(data) else b""
                self._serve(request, account, orders)
            elif state == NEED_MORE:
                self._active_us = now_us
                self._wanted = size
                return
            else:
                self._to_server(data)
                return

    def _server_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return not self._between or (cycle is not None and not cycle.response_complete)

    def _to_server(self, data: bytes) -> None:
        self._held = b""
        self._wanted = 0
        super().data_received(data)
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse_head(b"431 Request Header Fields Too Large", HEAD_TOO_LARGE)

    def _refuse_head(self, status: bytes, message: str) -> None:
        """The parser keeps all of a head until it is whole: answer now, and hang up."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        body = error_body(-1000, message)
        self.transport.write(
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%s" % (status, len(body), body)
        )
        self.transport.write_eof()
        self.loop.call_later(REFUSED_SECONDS, self.transport.abort)

    def _serve(self, request: int, account: int, orders: int) -> None:
        self._unset_keepalive_if_required()
        self.entry.set_default_headers(self.server_state.default_headers)
        self._answering = True
        answer = self.entry.submit(request, account, orders, self._answer)
        if answer is not None:
            self._write(answer)

    def _answer(self, data: bytes) -> None:
        """The answer came later: write it and go on with what is held."""
        self._write(data)
        if self._held:
            self._pump()
        elif self.link is not None and self.link.wants(self):
            self.loop.call_soon(self.link.return_one, self)  # once the answer is written
        if self._paused:
            self._check_reading()

    @property
    def requests_total(self) -> int:
        """See `Returnable`."""
        return self._served

    def leave(self) -> int | None:
        """Give the connection up between two requests; see `Returnable`."""
        busy = self._answering or self._held or self._server_busy() or self.pipeline
        unsent = self.transport.is_closing() or self.transport.get_write_buffer_size()
        if busy or unsent:
            return None
        descriptor = os.dup(self.transport.get_extra_info("socket").fileno())
        self.transport.abort()  # ends our end of it only: the copy keeps the connection
        return descriptor

    def _be_no_lane(self) -> None:
        self.entry.connections.discard(self)
        if self.link is not None:
            self.link.exit(self)

    def _check_reading(self) -> None:
        """Do not read on while answers are outstanding and much is held already."""
        stuck = self._answering or self.flow.write_paused
        pause = stuck and len(self._held) > HELD_BYTES_PAUSE
        if pause != self._paused and not self.transport.is_closing():
            self._paused = pause
            (self.transport.pause_reading if pause else self.transport.resume_reading)()

    def _write(self, data: bytes) -> None:
        self._answering = False
        if self.transport.is_closing():
            return
        self.transport.write(data)
        self.server_state.total_requests += 1
        if self._draining or self.entry.draining:
            self.transport.close()

    # Uvicorn's parser

    def on_message_begin(self) -> None:
        """From here on the bytes belong to uvicorn."""
        self._between = False
        self._head_bytes = 0
        self._active_us = time.time_ns() // 1000
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Whatever follows is a body, which its reader bounds."""
        self._head_bytes = -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next message may take the lane."""
        self._between = True
        self._served += 1
        self._active_us = time.time_ns() // 1000
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """`/ws-api/v3` is served natively; other paths by uvicorn."""
        self._be_no_lane()
        if httptools.parse_url(self.url).path != STREAM_PATH:
            super().handle_websocket_upgrade()
            return
        self.connections.discard(self)
        stream = OrderStreamProtocol(self.entry, self.server_state)
        self.transport.set_protocol(stream)
        stream.connection_made(self.transport)
        stream.upgrade(self.headers, self.url)

    # Life

    def resume_writing(self) -> None:
        """The client reads again: go on."""
        super().resume_writing()
        if not self._answering:
            self._pump()
        self._check_reading()

    def shutdown(self) -> None:
        """Finish what is in flight, then close."""
        if self._answering:
            self._draining = True
        else:
            super().shutdown()

    def check_idle(self, now_us: int) -> None:
        """Close a connection that is idle, or that never finishes its request."""
        if self._head_bytes >= 0 and now_us - self._active_us > PARTIAL_SECONDS_MAX * 1_000_000:
            self._refuse_head(b"408 Request Timeout", "The request was not whole in time.")
            return
        limit = PARTIAL_SECONDS_MAX if self._held else self.timeout_keep_alive
        if (
            not (self._answering or self._server_busy())
            and now_us - self._active_us > limit * 1_000_000
        ):
            self.transport.close()


def order_lane(entry: OrderEntry, link: BalancerLink | None = None) -> type[OrderLaneProtocol]:
    """The protocol class for `uvicorn.Config(http=...)`, bound to this order entry.

    Connections of the load balancer have FROM_CLIENTS in their `app_state`.
    """
    return type("OrderLane", (OrderLaneProtocol,), {"entry": entry, "link": link})
