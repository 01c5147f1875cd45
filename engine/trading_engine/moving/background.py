"""Lets the servers' processes behind a connection yield to everybody else on this machine.

What copies and cleans up has time; who trades has not, and on one machine both share processors.
A server elsewhere (another host, another pod) is left alone: there only rests help.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any

import psycopg

NICENESS = 19  # least of all; whoever waits for a lock of it leaves it the processor
_CREDENTIALS = struct.Struct("3i")  # process, user, group


def step_back(connection: psycopg.Connection[Any], processes: Path = Path("/proc")) -> bool:
    """Make the server's process of a connection nice, for good; whether it could be done.

    Only where that process is surely on this machine; the number alone does not tell.
    """
    pid = connection.info.backend_pid
    try:
        if not _is_behind(connection, processes / str(pid)):
            return False
        if os.getpriority(os.PRIO_PROCESS, pid) < NICENESS:
            os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    except (OSError, ValueError, LookupError):
        return False
    return True


def _is_behind(connection: psycopg.Connection[Any], process: Path) -> bool:
    """A socket file tells the server, whose child it is; else its title tells our address."""
    with socket.socket(fileno=os.dup(connection.fileno())) as ours:
        if ours.family == socket.AF_UNIX:
            told = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            server = int(_CREDENTIALS.unpack(told)[0])
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            return server == parent and server > 0
        host, port = ours.getsockname()[:2]
    title = (process / "cmdline").read_bytes().rstrip(b"\0").decode()
    return title.startswith("postgres:") and f" {host}({port}) " in f"{title} "
