"""WebSocket connections of the public streams that end even when their client does not read."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LAST_WORDS_SECONDS = 2.0


class StreamProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's protocol; routes find `end(code, reason)` in the state of their scope."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the route reach this connection."""
        self.app_state = {**self.app_state, "end": self.end}
        super().connection_made(transport)

    def end(self, code: int, reason: str) -> None:
        """Close with a reason, without waiting for what was sent before to be read."""
        if not self.close_sent and not self.transport.is_closing():
            self.close_sent = True
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.loop.call_later(LAST_WORDS_SECONDS, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Nobody answers pings: what waits to be read is not waited for."""
        super().keepalive_timeout()
        self.loop.call_later(LAST_WORDS_SECONDS, self.transport.abort)
