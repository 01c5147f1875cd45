"""`Connection: close` on every answer once the replica drains."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading_backend.order_entry import OrderEntry


class LastAnswers:
    """ASGI middleware: clients that keep connections must find another replica, and in time."""

    def __init__(self, app: ASGIApp, entry: OrderEntry) -> None:
        self._app = app
        self._entry = entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and add the header where it is missing."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and self._entry.draining:
                headers = message.get("headers", [])
                if not any(name.lower() == b"connection" for name, _ in headers):
                    message["headers"] = [*headers, (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_last)
