"""One GET, without a client library: the supervisor asks this every second."""

from __future__ import annotations

import asyncio


async def http_status(host: str, port: int, path: str, timeout_seconds: float = 1.0) -> int | None:
    """The status code of `GET path`; None when there is no complete answer in time."""
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                words = (await reader.readline()).split()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return int(words[1])
