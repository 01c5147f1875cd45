"""How far the load balancer of one machine reaches, and whether it lives at all."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from trading_operator.planner.observed import Reach
from trading_operator.probes.replica import ask_replica


async def ask_balancer(host: str, port: int, path: Path) -> Reach:
    """What a client reaches through it.

    Without a replica that answers, a client waits; so whether the balancer itself lives is asked
    at the socket where replicas meet it.
    """
    reach = (await ask_replica(host, port)).reach
    if reach > Reach.NOTHING:
        return reach
    return Reach.REPLICA if await _welcomes(path) else Reach.NOTHING


async def _welcomes(path: Path, timeout_seconds: float = 1.0) -> bool:
    loop = asyncio.get_running_loop()
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
            end.setblocking(False)
            async with asyncio.timeout(timeout_seconds):
                # By the folder's descriptor: the name of a UNIX socket must be short.
                await loop.sock_connect(end, f"/proc/self/fd/{folder}/{path.name}")
                return bool(await loop.sock_recv(end, 16))
    except (OSError, TimeoutError):
        return False
    finally:
        os.close(folder)
