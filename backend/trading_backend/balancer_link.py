"""A replica's side of the load balancer: takes connections of clients, hands idle ones back."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from trading_backend.background import BackgroundLoop
from trading_backend.hand_over import (
    BACK,
    REPORT_SECONDS,
    TAKE,
    WELCOME,
    Channel,
    Give,
    Report,
    Serves,
    connect,
    parse,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.1


class Returnable(Protocol):
    """A connection of a client that may be handed back between two requests."""

    @property
    def requests_per_second(self) -> float:
        """How busy it is."""

    def leave(self) -> int | None:
        """A descriptor that goes on with it, which is over here; None: it is in use."""


class BalancerLink:
    """Keeps the socket to the balancer, made anew whenever that is lost.

    `state` and `connections` are asked before each report; `make` makes the protocol of a
    connection that comes.
    """

    def __init__(self, path: Path, replica: str) -> None:
        self.state: Callable[[], Serves] = lambda: Serves.LEAVES
        self.connections: Callable[[], int] = lambda: 0
        self.make: Callable[[], asyncio.BaseProtocol] | None = None
        self._path = path
        self._replica = replica
        self._channel: Channel | None = None
        self._taken = 0
        self._lost = asyncio.Event()
        self._returnable: set[Returnable] = set()
        self._going: set[Returnable] = set()  # that are to be handed back, once they are idle
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = BackgroundLoop("load balancer", self._keep)

    def start(self) -> None:
        """Begin to take connections."""
        self._loop.start()

    async def close(self) -> None:
        """Take none any more; those that are here stay."""
        await self._loop.close()
        self._drop()

    def enter(self, connection: Returnable) -> None:
        """A connection that may be handed back from now on."""
        self._returnable.add(connection)

    def exit(self, connection: Returnable) -> None:
        """It may not be any more."""
        self._returnable.discard(connection)
        self._going.discard(connection)

    def wants(self, connection: Returnable) -> bool:
        """Whether it is to be handed back as soon as it is idle."""
        return connection in self._going

    def return_one(self, connection: Returnable) -> None:
        """Hand this one back, if that is wanted and it is idle."""
        channel = self._channel
        if channel is None or connection not in self._going:
            return
        descriptor = connection.leave()
        if descriptor is None:
            return
        self.exit(connection)
        if channel.send(BACK, [descriptor]):
            os.close(descriptor)
        else:
            self._adopt(descriptor)

    def report(self) -> None:
        """Tell the balancer how things are, at once."""
        if self._channel is not None:
            told = Report(self._replica, self.state(), self.connections(), self._taken)
            self._channel.send(told.packed())

    async def _keep(self) -> None:
        """One connection to the balancer, from the attempt to its end."""
        try:
            end = connect(self._path)
        except OSError:
            await asyncio.sleep(RETRY_SECONDS)
            return
        self._lost.clear()
        self._taken = 0
        self._channel = Channel(end, self._on_message, self._drop)
        try:
            while not self._lost.is_set():
                self.report()
                try:
                    async with asyncio.timeout(REPORT_SECONDS):
                        await self._lost.wait()
                except TimeoutError:
                    continue
        finally:
            self._drop()

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._going.clear()
        self._lost.set()

    def _on_message(self, data: bytes, descriptors: list[int]) -> None:
        for each in descriptors:
            self._taken += 1
            self._adopt(each)
        told = parse(data)
        if isinstance(told, Give):
            self._going = evenly_picked(self._returnable, told.count)
            for connection in tuple(self._going):
                self.return_one(connection)
        elif told not in (TAKE, WELCOME):
            raise ValueError("a load balancer hands connections over and asks for some back")

    def _adopt(self, descriptor: int) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(socket.socket(fileno=descriptor)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        client.setblocking(False)
        try:
            if self.make is None:
                raise OSError("this replica has ended")
            await asyncio.get_running_loop().connect_accepted_socket(self.make, client)
        except OSError:
            client.close()  # the client is gone, or we are


def evenly_picked(connections: Collection[Returnable], count: int) -> set[Returnable]:
    """So many of them, busy and idle ones in proportion: the work goes along with its share."""
    ranked = sorted(connections, key=lambda each: each.requests_per_second, reverse=True)
    count = min(count, len(ranked))
    return {ranked[(2 * at + 1) * len(ranked) // (2 * count)] for at in range(count)}
