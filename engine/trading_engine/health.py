"""Over HTTP: is the process alive, does it serve all that the topology gives it, its load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from trading_contract.load import PartitionLoad
from trading_contract.load_metrics import CONTENT_TYPE, exposition, partition_metrics

REQUEST_BYTES_MAX = 8192
REQUEST_SECONDS_MAX = 5.0

# What `PartitionServer` tells on the wire, too.
Status = Callable[[], dict[str, Any]]


class HealthServer:
    """`GET /healthz`: 200 as long as it answers. `GET /readyz`: 200 when it serves, else 503.

    A partition that waits for its shard is alive but not ready: starting it anew would not help.
    `GET /load`: its load as JSON; `GET /metrics`: the same for Prometheus.
    """

    def __init__(self, status: Status, load: Callable[[], PartitionLoad]) -> None:
        self._status = status
        self._load = load
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Open the port; raises OSError when it is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_BYTES_MAX)

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or asks for something else
        finally:
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        status = self._status()
        if method != b"GET":
            return _response(405, {"error": "only GET"})
        if path == b"/healthz":
            return _response(200, {k: status[k] for k in ("partition", "incarnation", "state")})
        if path == b"/readyz":
            ready = status["state"] == "ready"
            return _response(200 if ready else 503, {"ready": ready, **status})
        if path == b"/load":
            return _whole(200, "application/json", self._load().model_dump_json().encode())
        if path == b"/metrics":
            return _whole(200, CONTENT_TYPE, exposition(partition_metrics(self._load())))
        return _response(404, {"error": "there are /healthz, /readyz, /load and /metrics"})


def _response(status: int, body: dict[str, Any]) -> bytes:
    return _whole(status, "application/json", json.dumps(body).encode())


def _whole(status: int, content_type: str, data: bytes) -> bytes:
    reasons = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
    return (
        f"HTTP/1.1 {status} {reasons[status]}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(data)}\r\nconnection: close\r\n\r\n"
    ).encode() + data
