"""WebSocket frames as a client makes and reads them."""

from __future__ import annotations

import json
import struct
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def masked(payload: bytes, opcode: int = TEXT, *, final: bool = True, rsv: int = 0) -> bytes:
    """A frame of a client."""
    mask = b"\x11\x22\x33\x44"
    first = (0x80 if final else 0) | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 65536:
        head = struct.pack(">BBH", first, 0xFE, size)
    else:
        head = struct.pack(">BBQ", first, 0xFF, size)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def request(method: str, params: Any = None, ident: Any = 1) -> bytes:
    """A request as a frame."""
    message = {"id": ident, "method": method}
    if params is not None:
        message["params"] = params
    return masked(json.dumps(message).encode())


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of all frames of a server; they must be whole, final and unmasked."""
    found = []
    at = 0
    while at < len(data):
        assert data[at] & 0x80
        opcode, size = data[at] & 0x0F, data[at + 1]
        assert size < 128
        at += 2
        if size == 126:
            (size,) = struct.unpack_from(">H", data, at)
            at += 2
        elif size == 127:
            (size,) = struct.unpack_from(">Q", data, at)
            at += 8
        assert at + size <= len(data)
        found.append((opcode, data[at : at + size]))
        at += size
    return found


def messages(data: bytes) -> list[Any]:
    """The JSON of all text frames."""
    return [json.loads(payload) for opcode, payload in frames(data) if opcode == TEXT]


def close_code(data: bytes) -> int | None:
    """The code of the close frame, if there is one."""
    for opcode, payload in frames(data):
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big")
    return None
