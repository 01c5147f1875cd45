"""A stand-in replica's side of the real load balancer: it takes connections and reports."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path


def take_connections(path: Path, name: str, serve: Callable[[socket.socket], None]) -> None:
    """Serve each connection that comes, one after another, in a thread; for ever."""
    threading.Thread(target=_keep, args=(path, name, serve), daemon=True).start()


def _keep(path: Path, name: str, serve: Callable[[socket.socket], None]) -> None:
    pause = threading.Event()
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
            try:
                end.connect(str(path))
                _take(end, name, serve)
            except OSError:
                pause.wait(0.1)


def _take(end: socket.socket, name: str, serve: Callable[[socket.socket], None]) -> None:
    end.settimeout(0.2)
    taken = 0
    while True:
        report = {"replica": name, "serves": "all", "connections": 0, "taken": taken}
        end.send(b"R" + json.dumps(report).encode())
        try:
            data, descriptors, _, _ = socket.recv_fds(end, 4096, 64)
        except TimeoutError:
            continue
        if not data:
            raise ConnectionResetError
        # A welcome has none.
        for each in descriptors:
            taken += 1
            with socket.socket(fileno=each) as client:
                serve(client)
