"""`X-MBX-USED-WEIGHT-1M` on every answer of the API."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

USED_WEIGHT = b"x-mbx-used-weight-1m"


class UsedWeight:
    """ASGI middleware; public routes belong to no account and say 0."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and add the header where it is missing."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_weighed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                if not any(name.lower() == USED_WEIGHT for name, _ in headers):
                    used = str(state.get("used_weight", 0)).encode()
                    message["headers"] = [*headers, (USED_WEIGHT, used)]
            await send(message)

        await self._app(scope, receive, send_weighed)
