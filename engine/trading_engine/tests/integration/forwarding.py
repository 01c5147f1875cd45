"""What proxies in front of PostgreSQL share: who accepts, and the end of a connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod


class ForwardingProxy(ABC):
    """Listens on a port of its own, and serves each connection in a thread.

    Begins at once: what `_serve` needs must be there before `__init__` of this class is called.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @abstractmethod
    def _serve(self, client: socket.socket) -> None: ...


# A transaction may come in one piece; what counts is whether its last message was heard.
_COMMIT = b"P\x00\x00\x00\x0e\x00COMMIT\x00\x00\x00"


def before_commit_and_rest(data: bytes) -> list[bytes]:
    """What a client sent, cut before the Parse message of its COMMIT."""
    at = data.find(_COMMIT)
    return [data[:at], data[at:]] if at > 0 else [data]


def connected(port: int) -> socket.socket:
    """To a server, which hears each piece at once. Raises OSError when it is down."""
    server = socket.create_connection(("127.0.0.1", port))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def hang_up(*sockets: socket.socket) -> None:
    """Close both directions, so that threads which read there wake up."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
