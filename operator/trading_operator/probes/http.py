"""One GET, without a client library: the supervisor asks this every second."""

from __future__ import annotations

import asyncio

OK = 200


async def http_status(host: str, port: int, path: str, timeout_seconds: float = 1.0) -> int | None:
    """The status code of `GET path`; None when there is no complete answer in time."""
    answer = await http_answer(host, port, path, 0, timeout_seconds)
    return None if answer is None else answer[0]


async def http_body(
    host: str, port: int, path: str, bytes_max: int, timeout_seconds: float = 1.0
) -> bytes | None:
    """The body of `GET path`; None when there is no complete answer of 200 in time and size."""
    answer = await http_answer(host, port, path, bytes_max + 1, timeout_seconds)
    if answer is None or answer[0] != OK or len(answer[1]) > bytes_max:
        return None
    return answer[1]


async def http_answer(
    host: str, port: int, path: str, bytes_max: int, timeout_seconds: float = 1.0
) -> tuple[int, bytes] | None:
    """Status and body, of which at most `bytes_max` are read; 0 = the status alone is awaited.

    None when there is no complete answer in time.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                words = (await reader.readline()).split()
                if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
                    return None
                body = await _body(reader, bytes_max) if bytes_max else b""
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return None
    return int(words[1]), body


async def _body(reader: asyncio.StreamReader, bytes_max: int) -> bytes:
    length = None
    while (line := await reader.readline()).strip():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    if length is None:
        raise ValueError("an answer without a length")
    return await reader.readexactly(min(length, bytes_max))
