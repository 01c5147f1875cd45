"""Ports of the components: chosen once, recorded in the data folder, stable over restarts."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping

from trading_operator.substrates.processes.layout import Layout, write_atomically
from trading_operator.substrates.processes.postgres import NeedsPersonError

FIRST, PAST = 20_000, 32_000  # below the range that Linux takes for outgoing connections


def read_ports(layout: Layout) -> dict[str, int]:
    """The recorded ports; none before the first start."""
    try:
        text = layout.ports_file.read_text()
    except FileNotFoundError:
        return {}
    return {str(name): int(port) for name, port in json.loads(text).items()}


def assign_ports(layout: Layout, names: Iterable[str], fixed: Mapping[str, int]) -> None:
    """Record a port for each name; a fixed one as it is, others from the free ones.

    Raises NeedsPersonError when none is free.
    """
    ports = read_ports(layout)
    for name in names:
        if name in fixed:
            ports[name] = fixed[name]
        elif name not in ports:
            ports[name] = _free_port(set(ports.values()) | set(fixed.values()), layout.uid)
    _write(layout, ports)


def release_port(layout: Layout, name: str) -> None:
    """Forget the port of a component, so that the next pass chooses another."""
    ports = read_ports(layout)
    ports.pop(name, None)
    _write(layout, ports)


def _write(layout: Layout, ports: Mapping[str, int]) -> None:
    write_atomically(layout.ports_file, json.dumps(ports, indent=1, sort_keys=True) + "\n")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether we could listen there now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(taken: set[int], uid: str) -> int:
    # Clusters begin at different places, so that two that start at once do not choose alike.
    offset = int(uid, 16) % 100 * 100
    for step in range(PAST - FIRST):
        port = FIRST + (offset + step) % (PAST - FIRST)
        if port not in taken and is_free(port):
            return port
    raise NeedsPersonError(f"no free port between {FIRST} and {PAST}")
