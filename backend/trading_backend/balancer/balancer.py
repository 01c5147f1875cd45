"""The load balancer: accepts connections, hands them to replicas, evens out what they have to do.

Once a connection is handed over nothing of it passes here: no copy, no wake-up, and this process
may end and come again without a client noticing. Nothing is remembered that replicas do not tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections import deque
from dataclasses import dataclass

from trading_backend.balancer.choosing import Member, chosen, surplus
from trading_backend.balancer.refusing import refuse
from trading_backend.balancer.settings import BalancerSettings
from trading_backend.hand_over import (
    SILENCE_SECONDS_MAX,
    TAKE,
    WELCOME,
    Back,
    Channel,
    Report,
    listen,
    parse,
)
from trading_contract.errors import UserError

logger = logging.getLogger(__name__)

ACCEPTS_MAX = 64  # of one turn of the event loop
EVEN_SECONDS = 0.5
# After a busy connection was handed over, until what replicas tell of their work is all newer.
SETTLE_SECONDS = 5.0
LOOK_SECONDS = 0.1
WAIT_SECONDS_MAX = 5.0  # of a connection that nobody can take
WAITING_MAX = 4096
BIND_SECONDS_MAX = 5.0  # the one before, under another account, may still have the port
BACKLOG = 4096


@dataclass(frozen=True)
class _Waiting:
    descriptor: int
    until: float
    requests_per_second: float = 0.0


@dataclass(eq=False)
class _Replica:
    channel: Channel
    report: Report | None = None
    heard: float = 0.0
    sent: int = 0
    sent_work: float = 0.0  # requests a second that it may not tell of yet

    def member(self, now: float) -> Member | None:
        """None: it hangs, or did not introduce itself yet."""
        report = self.report
        if report is None or now - self.heard > SILENCE_SECONDS_MAX:
            return None
        on_the_way = max(0, self.sent - report.taken)
        there = report.connections + on_the_way
        work = report.requests_per_second + self.sent_work
        return Member(report.replica, report.serves, there, self.sent, work)


class Balancer:
    """Serves one port until it is told to stop."""

    def __init__(self, settings: BalancerSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._replicas: set[_Replica] = set()
        self._waiting: deque[_Waiting] = deque()
        self._settled_at = time.monotonic() + SETTLE_SECONDS
        self._refusals: set[asyncio.Task[None]] = set()
        self._clients: socket.socket | None = None
        self._accepts = False
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises UserError when the port cannot be had."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopped.set)
        replicas = listen(self._settings.replicas_socket)
        self._loop.add_reader(replicas.fileno(), self._welcome, replicas)
        self._clients = await self._bind()
        self._accept_while_there_is_room()
        evened = 0.0
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), LOOK_SECONDS)
            self._hand_out()
            self._accept_while_there_is_room()
            if time.monotonic() - evened >= EVEN_SECONDS:
                evened = time.monotonic()
                self._even_out()
        self._accept(self._clients)  # who is in the queue already must not be hung up on
        self._loop.remove_reader(self._clients.fileno())
        self._clients.close()
        await self._end()

    async def _bind(self) -> socket.socket:
        host, port = self._settings.listen_host, self._settings.listen_port
        deadline = time.monotonic() + BIND_SECONDS_MAX
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        while True:
            clients = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            clients.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The next one listens before this one ends.
            clients.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            clients.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted ones have it
            try:
                clients.bind((host, port))
                clients.listen(BACKLOG)
            except OSError as problem:
                clients.close()
                if time.monotonic() > deadline:
                    text = f"cannot listen on {host}:{port}: {problem.strerror}"
                    raise UserError(text) from problem
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return clients

    # Replicas

    def _welcome(self, replicas: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            end, _ = replicas.accept()
            channel = Channel(
                end,
                lambda data, descriptors: self._on_message(replica, data, descriptors),
                lambda: self._replicas.discard(replica),
            )
            replica = _Replica(channel)
            channel.send(WELCOME)
            self._replicas.add(replica)

    def _on_message(self, replica: _Replica, data: bytes, descriptors: list[int]) -> None:
        now = replica.heard = time.monotonic()
        told = parse(data)
        work = told.requests_per_second if isinstance(told, Back) else 0.0
        self._waiting.extend(_Waiting(each, now + WAIT_SECONDS_MAX, work) for each in descriptors)
        if isinstance(told, Report):
            replica.report = told
        elif not isinstance(told, Back):
            raise ValueError("a replica reports and hands back, nothing else")  # noqa: TRY004
        if self._waiting:
            self._hand_out()

    def _members(self) -> list[tuple[Member, _Replica]]:
        now = time.monotonic()
        found = ((each.member(now), each) for each in self._replicas)
        return [(member, each) for member, each in found if member is not None]

    def _even_out(self) -> None:
        members = self._members()
        is_settled = time.monotonic() >= self._settled_at
        if is_settled:
            for _, replica in members:
                replica.sent_work = 0.0
        wishes = surplus([member for member, _ in members], is_settled=is_settled)
        for (_, replica), wish in zip(members, wishes, strict=True):
            if wish.count or wish.requests_per_second:
                replica.channel.send(wish.packed())

    # Clients

    def _accept_while_there_is_room(self) -> None:
        if self._clients is None:
            return
        there = sum(member.connections for member, _ in self._members()) + len(self._waiting)
        wanted = there < self._settings.connections_max and len(self._waiting) < WAITING_MAX
        if wanted and not self._accepts:
            self._loop.add_reader(self._clients.fileno(), self._accept, self._clients)
        elif self._accepts and not wanted:
            self._loop.remove_reader(self._clients.fileno())
        self._accepts = wanted

    def _accept(self, clients: socket.socket) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                client, _ = clients.accept()
            except BlockingIOError:
                break
            except OSError as problem:  # no descriptor is left, or its client has gone
                logger.warning("a connection could not be accepted: %s", problem.strerror)
                self._loop.remove_reader(clients.fileno())
                self._accepts = False  # until the next look: it would fail at once again
                break
            until = time.monotonic() + WAIT_SECONDS_MAX
            self._waiting.append(_Waiting(client.detach(), until))
        self._hand_out()

    def _hand_out(self) -> None:
        """Give what waits to whoever can take it; refuse what has waited for too long."""
        while self._waiting:
            first = self._waiting[0]
            if not self._hand(first):
                if time.monotonic() < first.until:
                    return
                self._refuse(first.descriptor)
            self._waiting.popleft()

    def _hand(self, client: _Waiting) -> bool:
        members, work = self._members(), client.requests_per_second
        while members:
            best = chosen([member for member, _ in members], is_busy=work > 0)
            if best is None:
                return False
            place = next(n for n, (member, _) in enumerate(members) if member is best)
            replica = members.pop(place)[1]
            if replica.channel.send(TAKE, [client.descriptor]):
                replica.sent += 1
                os.close(client.descriptor)
                if work:
                    replica.sent_work += work
                    self._settled_at = time.monotonic() + SETTLE_SECONDS
                return True
        return False

    def _refuse(self, descriptor: int) -> None:
        client = socket.socket(fileno=descriptor)
        client.setblocking(False)
        task = self._loop.create_task(refuse(client))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)

    async def _end(self) -> None:
        """Nobody is left without a replica or an answer."""
        self._hand_out()
        while self._waiting:
            self._refuse(self._waiting.popleft().descriptor)
        if self._refusals:
            await asyncio.wait(self._refusals)
        for replica in tuple(self._replicas):
            replica.channel.close()
