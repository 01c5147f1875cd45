"""The load balancer as a process, replicas behind it, and clients that keep their connections."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from trading_backend.balancer.choosing import SURPLUS_MIN
from trading_backend.balancer_link import RATES_SECONDS, BalancerLink
from trading_backend.hand_over import (
    REPORT_SECONDS,
    WELCOME,
    Give,
    Report,
    Serves,
    connect,
    parse,
)
from trading_backend.tests.integration.servers import free_port
from trading_backend.tests.unit.live_replica import (
    Replica,
    live_replica,
    order_http,
    read_response,
    run,
    wait_for,
)
from trading_backend.tests.unit.order_desk import ORDER

CLIENTS = 12
Served = tuple[Replica, BalancerLink]
_NUMBERS = itertools.count()


@dataclass
class Balanced:
    """A load balancer that can be killed and started anew."""

    socket: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    connections_max: int = 4096

    def start(self) -> None:
        """Start it, without waiting."""
        environment = {
            **os.environ,
            "TRADING_BALANCER_LISTEN_PORT": str(self.port),
            "TRADING_BALANCER_REPLICAS_SOCKET": str(self.socket),
            "TRADING_BALANCER_CONNECTIONS_MAX": str(self.connections_max),
        }
        argv = [sys.executable, "-m", "trading_backend", "balance"]
        self.process = subprocess.Popen(argv, env=environment)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, and wait."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None

    async def client(self) -> Client:
        """A client's connection, as soon as somebody listens."""
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    return Client(*await asyncio.open_connection("127.0.0.1", self.port))
                await asyncio.sleep(0.02)


class Client:
    """One connection, never made anew."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @property
    def name(self) -> tuple[str, int]:
        """What the other end sees."""
        name: tuple[str, int] = self._writer.get_extra_info("sockname")
        return name

    async def order(self) -> bytes:
        """Place one; the whole response."""
        self._writer.write(order_http({**ORDER, "newClientOrderId": f"c{next(_NUMBERS)}"}))
        return await read_response(self.reader)

    async def trade(self, ended: asyncio.Event, pause_seconds: float = 0.001) -> int:
        """Place one after another; how many. Raises when the connection ends."""
        placed = 0
        while not ended.is_set():
            assert (await self.order()).startswith(b"HTTP/1.1 200")
            placed += 1
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
        return placed

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@pytest.fixture(params=["at hand", "deep"])
def balanced(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Balanced]:
    """Its socket lies near, or deeper than the name of a UNIX socket may be long."""
    folder = tmp_path if request.param == "at hand" else tmp_path / ("d" * 100)
    folder.mkdir(exist_ok=True)
    it = Balanced(folder / "load-balancer.sock", free_port())
    it.start()
    yield it
    it.end()


@contextlib.asynccontextmanager
async def replica(balanced: Balanced, name: str) -> AsyncIterator[tuple[Replica, BalancerLink]]:
    """One that serves all."""
    link = BalancerLink(balanced.socket, name)
    link.state = lambda: Serves.ALL
    async with live_replica(link=link) as it:
        yield it, link


@contextlib.asynccontextmanager
async def clients_of_one(
    balanced: Balanced,
) -> AsyncIterator[tuple[list[Client], Served, Served]]:
    """Connections, a replica that gets them all, and one that serves nobody yet."""
    async with replica(balanced, "r0") as one, replica(balanced, "r1") as other:
        other[1].state = lambda: Serves.LEAVES  # as if it were not there
        await asyncio.sleep(2 * REPORT_SECONDS)
        clients = [await balanced.client() for _ in range(CLIENTS)]
        yield clients, one, other
        for client in clients:
            client.close()


def connections(it: Replica) -> int:
    """That it has now."""
    return len(it.server.server_state.connections)


def test_connections_are_spread_and_outlive_the_balancer(balanced: Balanced) -> None:
    async def scenario() -> None:
        async with replica(balanced, "r0") as (one, _), replica(balanced, "r1") as (two, _):
            clients = [await balanced.client() for _ in range(CLIENTS)]
            for client in clients:
                assert (await client.order()).startswith(b"HTTP/1.1 200")
            await wait_for(lambda: connections(one) + connections(two) == CLIENTS)
            balanced.end()
            for client in clients:
                assert (await client.order()).startswith(b"HTTP/1.1 200")
            balanced.start()
            late = await balanced.client()
            assert (await late.order()).startswith(b"HTTP/1.1 200")
            await wait_for(lambda: abs(connections(one) - connections(two)) <= 2)
            for client in (*clients, late):
                client.close()

    run(scenario())


def test_a_replica_that_comes_gets_its_share_and_one_that_leaves_gives_all(
    balanced: Balanced,
) -> None:
    async def scenario() -> None:
        ended = asyncio.Event()
        async with clients_of_one(balanced) as (clients, (one, link), (two, other)):
            work = [asyncio.ensure_future(client.trade(ended)) for client in clients]
            await wait_for(lambda: connections(one) == CLIENTS)
            other.state = lambda: Serves.ALL
            await wait_for(lambda: connections(two) >= CLIENTS // 2 - 1)
            link.state = lambda: Serves.LEAVES
            await wait_for(lambda: (connections(one), connections(two)) == (0, CLIENTS))
            placed = len(two.cluster.partitions[0].commands)
            await wait_for(lambda: len(two.cluster.partitions[0].commands) > placed + CLIENTS)
            ended.set()
            assert all(await asyncio.gather(*work)), "none was hung up on"

    run(scenario())


def test_a_replica_that_comes_gets_its_share_of_the_busy_connections(balanced: Balanced) -> None:
    async def scenario() -> None:
        ended = asyncio.Event()
        async with clients_of_one(balanced) as (clients, (one, _), (two, other)):
            busy = clients[: CLIENTS // 3]
            for client in clients:
                assert (await client.order()).startswith(b"HTTP/1.1 200")
            work = [asyncio.ensure_future(client.trade(ended, 0)) for client in busy]
            await asyncio.sleep(2 * RATES_SECONDS + 2 * REPORT_SECONDS)
            other.state = lambda: Serves.ALL
            await wait_for(lambda: connections(two) >= CLIENTS // 2 - 1)
            before = [len(it.cluster.partitions[0].commands) for it in (one, two)]
            await wait_for(lambda: len(two.cluster.partitions[0].commands) > before[1] + 50)
            assert len(one.cluster.partitions[0].commands) > before[0] + 25
            ended.set()
            assert all(await asyncio.gather(*work)), "none was hung up on"

    run(scenario())


def test_a_replica_that_has_all_the_busy_connections_gives_half_of_them(
    balanced: Balanced,
) -> None:
    async def scenario() -> None:
        ended = asyncio.Event()
        async with replica(balanced, "r0") as (one, _), replica(balanced, "r1") as (two, _):
            clients = [await balanced.client() for _ in range(CLIENTS)]
            for client in clients:
                assert (await client.order()).startswith(b"HTTP/1.1 200")
            await wait_for(lambda: connections(one) == connections(two))
            there = {
                each.transport.get_extra_info("peername")
                for each in one.server.server_state.connections
            }
            busy = [client for client in clients if client.name in there]
            assert len(busy) == CLIENTS // 2
            work = [
                asyncio.ensure_future(client.trade(ended, 0.01 if client in busy else 1.0))
                for client in clients
            ]
            placed = len(two.cluster.partitions[0].commands)
            await wait_for(lambda: len(two.cluster.partitions[0].commands) > placed + 200, 20)
            await wait_for(lambda: abs(connections(one) - connections(two)) < CLIENTS // 3)
            ended.set()
            assert all(await asyncio.gather(*work)), "none was hung up on"
            for client in clients:
                client.close()

    run(scenario())


def test_connections_that_cannot_be_evened_do_not_keep_work_from_it(balanced: Balanced) -> None:
    """One has many that are all a little busy, the other one few that carry more."""

    async def scenario() -> None:
        (await balanced.client()).close()  # it listens
        few = Report("r0", Serves.ALL, 4, 0, 200.0)
        many = Report("r1", Serves.ALL, 16, 0, 80.0)
        with connect(balanced.socket) as one, connect(balanced.socket) as other:
            asked: dict[socket.socket, set[object]] = {one: set(), other: set()}

            def hear() -> bool:
                for end, report in ((one, few), (other, many)):
                    end.send(report.packed())
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            asked[end].add(parse(end.recv(100, socket.MSG_DONTWAIT)))
                return Give(0, 60.0) in asked[one]

            await wait_for(hear, 15)
            wishes = [each for each in asked[other] if isinstance(each, Give)]
            assert {each.requests_per_second for each in wishes} == {0.0}
            assert min(each.count for each in wishes) >= SURPLUS_MIN

    run(scenario())


def test_whoever_comes_early_is_served_when_a_replica_comes(balanced: Balanced) -> None:
    async def scenario() -> None:
        client = await balanced.client()
        answer = asyncio.ensure_future(client.order())
        await asyncio.sleep(0.3)
        assert not answer.done()
        async with replica(balanced, "r0"):
            assert (await answer).startswith(b"HTTP/1.1 200")
            client.close()

    run(scenario())


def test_without_a_replica_the_answer_is_not_applied(balanced: Balanced) -> None:
    async def scenario() -> None:
        client = await balanced.client()
        head, _, body = (await client.order()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert (json.loads(body)["code"], "not applied" in json.loads(body)["msg"]) == (-1008, True)
        assert await client.reader.read() == b"", "and it hangs up"
        client.close()

    run(scenario())


def test_nobody_waits_for_a_replica_that_hangs_or_talks_nonsense(balanced: Balanced) -> None:
    async def scenario() -> None:
        async with replica(balanced, "r1") as (good, _):
            (await balanced.client()).close()  # it listens
            with connect(balanced.socket) as silent, connect(balanced.socket) as mad:
                silent.send(b'R{"replica": "r0", "serves": "all", "connections": 0, "taken": 0}')
                for nonsense in (b"?", b"R", b"R[]", b"R{}", b'R{"replica": 1}', b"Gx", b"T"):
                    with connect(balanced.socket) as other:
                        other.settimeout(5)
                        assert other.recv(10) == WELCOME
                        other.send(nonsense)
                        assert await asyncio.to_thread(other.recv, 10) == b"", nonsense
                mad.send(b"x" * 10_000)
                await asyncio.sleep(1.2)  # longer than it may be silent
                for _ in range(4):
                    client = await balanced.client()
                    assert (await client.order()).startswith(b"HTTP/1.1 200")
                    client.close()
                assert connections(good)

    run(scenario())


def test_the_next_one_takes_over_and_a_stopped_one_serves_who_waits(balanced: Balanced) -> None:
    async def scenario() -> None:
        async with replica(balanced, "r0"):
            first = await balanced.client()
            assert (await first.order()).startswith(b"HTTP/1.1 200")
            older, balanced.process = balanced.process, None
            assert older is not None
            balanced.start()
            await asyncio.sleep(0.5)
            older.terminate()
            assert await asyncio.to_thread(older.wait, 10) == 0
            for _ in range(5):
                client = await balanced.client()
                assert (await client.order()).startswith(b"HTTP/1.1 200")
                client.close()
            assert (await first.order()).startswith(b"HTTP/1.1 200")
            first.close()

    run(scenario())


def test_more_than_it_may_have_wait_until_others_go(tmp_path: Path) -> None:
    it = Balanced(tmp_path / "b.sock", free_port(), connections_max=2)
    it.start()

    async def scenario() -> None:
        async with replica(it, "r0") as (one, _):
            first, second = await it.client(), await it.client()
            assert (await first.order()).startswith(b"HTTP/1.1 200")
            assert (await second.order()).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.5)
            third = await it.client()
            answer = asyncio.ensure_future(third.order())
            await asyncio.sleep(0.5)
            assert not answer.done()
            assert connections(one) == 2
            first.close()
            assert (await answer).startswith(b"HTTP/1.1 200")
            second.close()
            third.close()

    try:
        run(scenario())
    finally:
        it.end()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        environment = {
            **os.environ, "TRADING_BALANCER_LISTEN_PORT": str(port),
            "TRADING_BALANCER_REPLICAS_SOCKET": str(tmp_path / "b.sock"),
        }  # fmt: skip
        ended = subprocess.run(
            [sys.executable, "-m", "trading_backend", "balance"],
            env=environment, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
