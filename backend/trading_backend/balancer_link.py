"""A replica's side of the load balancer: takes connections of clients, hands idle ones back."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from trading_backend.background import BackgroundLoop
from trading_backend.balancer.choosing import picked
from trading_backend.hand_over import (
    REPORT_SECONDS,
    TAKE,
    WELCOME,
    Back,
    Channel,
    Give,
    Report,
    Serves,
    connect,
    parse,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.1
RATES_SECONDS = 2.0  # of which requests a second are told


class Returnable(Protocol):
    """A connection of a client that may be handed back between two requests."""

    @property
    def requests_total(self) -> int:
        """Since it came here."""

    def leave(self) -> int | None:
        """A descriptor that goes on with it, which is over here; None: it is in use."""


class BalancerLink:
    """Keeps the socket to the balancer, made anew whenever that is lost.

    `state`, `connections` and `requests` (of all of these so far) are asked before each report;
    `make` makes the protocol of a connection that comes.
    """

    def __init__(self, path: Path, replica: str) -> None:
        self.state: Callable[[], Serves] = lambda: Serves.LEAVES
        self.connections: Callable[[], int] = lambda: 0
        self.requests: Callable[[], int] = lambda: 0
        self.make: Callable[[], asyncio.BaseProtocol] | None = None
        self._path = path
        self._replica = replica
        self._channel: Channel | None = None
        self._taken = 0
        self._lost = asyncio.Event()
        self._returnable: set[Returnable] = set()
        self._going: set[Returnable] = set()  # that are to be handed back, once they are idle
        self._counted_at = time.monotonic()
        self._counted: Mapping[Returnable, int] = {}
        self._requests = 0
        self._rates: Mapping[Returnable, float] = {}  # requests a second lately
        self._rate = 0.0
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
        if channel.send(Back(self._rates.get(connection, 0.0)).packed(), [descriptor]):
            os.close(descriptor)
        else:
            self._adopt(descriptor)

    def report(self) -> None:
        """Tell the balancer how things are, at once."""
        if self._channel is not None:
            self._count()
            told = Report(self._replica, self.state(), self.connections(), self._taken, self._rate)
            self._channel.send(told.packed())

    def _count(self) -> None:
        """See how busy each connection was, now and then."""
        now = time.monotonic()
        seconds = now - self._counted_at
        if seconds < RATES_SECONDS:
            return
        before, requests = self._counted, self.requests()
        self._counted = {each: each.requests_total for each in self._returnable}
        self._rates = {
            each: (count - before.get(each, 0)) / seconds for each, count in self._counted.items()
        }
        self._rate = (requests - self._requests) / seconds
        self._counted_at, self._requests = now, requests

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
            rates = {each: self._rates.get(each, 0.0) for each in self._returnable}
            self._going = picked(rates, told)
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
