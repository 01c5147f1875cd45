"""Small stand-ins for partition and replica: they listen, say that all is well, and can be killed.

Only for tests of the substrate; what a cluster promises is tested with the real processes in e2e/.
Run as `python stubs.py partition|replica NAME PORT TOPOLOGY`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from trading_operator.planner.actions import Component
from trading_operator.planner.observed import Role
from trading_operator.substrates.processes.commands import PROGRAMS, Programs
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.spawn import Command
from trading_operator.tests.balancer_client import take_connections

HEADER = struct.Struct("<IBBH")
STATUS = 8


def programs() -> Programs:
    """The real shards, Redis and load balancer; partition and replica from this file."""

    def command(kind: str, layout: Layout, component: Component) -> Command:
        words = (kind, component.name, str(component.port), str(layout.topology_file))
        return Command((sys.executable, __file__, *words))

    commands = {
        **PROGRAMS.commands,
        Role.PARTITION: lambda layout, component: command("partition", layout, component),
        Role.REPLICA: lambda layout, component: command("replica", layout, component),
    }
    return Programs(commands, PROGRAMS.prepare)


def _status(name: str, topology: Path) -> bytes:
    slots = json.loads(topology.read_text())["slots"]
    own = [{"id": slot["id"], "epoch": 0} for slot in slots if slot["partition"] == name]
    answer = {"partition": name, "incarnation": "stub", "state": "ready", "slots": own}
    return json.dumps(answer).encode()


def _http(name: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\nConnection: close\r\n\r\n"
    return (head + name).encode()


async def serve(kind: str, name: str, port: int, topology: Path) -> None:
    """Answer for ever."""

    async def answer_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(HEADER.size):
            await reader.readexactly(HEADER.unpack(head)[0] - HEADER.size)
            payload = _status(name, topology)
            writer.write(HEADER.pack(HEADER.size + len(payload), STATUS, 0, 0) + payload)

    async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_http(name))
        await writer.drain()
        writer.close()

    def answer_client(client: socket.socket) -> None:
        client.settimeout(2)
        with suppress(OSError):
            client.recv(65536)
            client.sendall(_http(name))

    answer = answer_status if kind == "partition" else answer_http
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    layout = Layout(topology.parent)
    if kind == "replica":
        take_connections(layout.balancer_socket, name, answer_client)
    elif (path := layout.socket_file(name)) is not None:
        path.unlink(missing_ok=True)
        await asyncio.start_unix_server(answer, path)
        path.chmod(0o666)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
