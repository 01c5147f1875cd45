"""Bodies of requests: never more of one in memory than its limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

# What is too long is still read, and thrown away, before it is refused: a client that is hung up on
# while it sends sees a broken connection instead of the answer.
UNREAD_BYTES_MAX = 32 << 20
UNREAD_SECONDS_MAX = 1.0  # of silence


async def read_body(request: Request, bytes_max: int) -> bytes | None:
    """The whole body; None when it is longer than `bytes_max`."""
    chunks = request.stream()
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > bytes_max:
            await _throw_away(chunks)
            return None
    return bytes(body)


async def _throw_away(chunks: AsyncIterator[bytes]) -> None:
    read = 0
    while read < UNREAD_BYTES_MAX:
        try:
            async with asyncio.timeout(UNREAD_SECONDS_MAX):
                read += len(await anext(chunks))
        except (StopAsyncIteration, TimeoutError):
            return
