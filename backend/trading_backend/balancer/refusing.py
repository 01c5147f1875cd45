"""What a client hears when no replica takes its connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket

HEAD_BYTES_MAX = 1 << 16
BODY_BYTES_MAX = 1 << 20
ANSWER_SECONDS_MAX = 2.0
_BODY = json.dumps(
    {"code": -1008, "msg": "No backend takes requests right now; not applied. Try again."}
).encode()
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    b"cache-control: no-store\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,12})\r\n", re.IGNORECASE)


async def refuse(client: socket.socket) -> None:
    """Answer its request, hang up; never longer than ANSWER_SECONDS_MAX.

    The request is read first: whoever hangs up on a client that still sends takes the answer away.
    """
    try:
        reader, writer = await asyncio.open_connection(sock=client, limit=HEAD_BYTES_MAX)
    except OSError:
        client.close()
        return
    broken = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
    with contextlib.suppress(*broken):
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            left = min(BODY_BYTES_MAX, int(length[1])) if length else 0
            while left and (data := await reader.read(min(left, HEAD_BYTES_MAX))):
                left -= len(data)
            writer.write(ANSWER)
            writer.write_eof()
            await reader.read()  # until the client has hung up, too
    writer.transport.abort()
