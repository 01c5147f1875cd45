"""A replica's order entry behind real sockets, against fake partitions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI

from trading_backend.balancer_link import BalancerLink
from trading_backend.order_entry import ApiKey, OrderEntry, OrderLimits, OrderLookups, Verdict
from trading_backend.order_lane import FROM_CLIENTS, order_lane
from trading_backend.routes.batch_orders import batch_order_routes
from trading_backend.routes.orders import order_routes
from trading_backend.tests.unit.fake_partition import Cluster, make_cluster
from trading_backend.tests.unit.order_desk import ACCOUNT, KEY, SECRET, signed


@dataclass
class CountedLimits:
    """Allows `left` orders, remembers what was asked."""

    left: int = 1 << 30
    asked: list[tuple[int, int]] = field(default_factory=list)

    def take_orders(self, account: int, count: int) -> Verdict:
        """As the protocol says."""
        self.asked.append((account, count))
        if count > self.left:
            return Verdict(allowed=False, retry_after_seconds=7, used_weight_1m=3)
        self.left -= count
        return Verdict(used_weight_1m=3, order_count_10s=4, order_count_1d=5)


@dataclass
class Replica:
    """What a test needs of it."""

    entry: OrderEntry
    cluster: Cluster
    server: uvicorn.Server
    port: int
    limits: CountedLimits

    async def exchange(self, *parts: bytes, until: int = 1) -> bytes:
        """Send the parts one by one on one connection; what comes back, `until` responses."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        found = b"".join([await read_response(reader) for _ in range(until)])
        writer.close()
        return found


async def read_response(reader: asyncio.StreamReader) -> bytes:
    """One whole HTTP response with a Content-Length."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head + await reader.readexactly(size)


def without_date(response: bytes) -> bytes:
    """A response without what changes each second."""
    return b"\r\n".join(line for line in response.split(b"\r\n") if not line.startswith(b"date:"))


def http(
    method: str, path: str, query: str = "", body: str = "", headers: tuple[str, ...] = ()
) -> bytes:
    """A request as most clients write it."""
    target = f"{path}?{query}" if query else path
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"X-MBX-APIKEY: {KEY}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
        if not any(h.lower().startswith("content-type") for h in headers):
            lines.append("Content-Type: application/x-www-form-urlencoded")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def order_http(params: dict[str, str], **options: object) -> bytes:
    """A signed order in a form body."""
    now_us = time.time_ns() // 1000
    return http("POST", "/api/v3/order", "", signed(params, now_us=now_us), **options)  # type: ignore[arg-type]


async def wait_for(condition: Callable[[], object], seconds: float = 5) -> None:
    """Until the condition holds, or a failure after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition did not come true"
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def live_replica(
    *,
    lane: bool = True,
    partitions: int = 1,
    lookups: OrderLookups | None = None,
    limits: OrderLimits | None = None,
    deadline_seconds: float = 5,
    link: BalancerLink | None = None,
) -> AsyncIterator[Replica]:
    """A replica that is ready; with `lane=False` every request takes the ordinary routes.

    Over a `link` it takes connections of a load balancer besides.
    """
    cluster = await make_cluster(partitions)
    counted = CountedLimits()
    entry = OrderEntry("r0", limits or counted, lookups, deadline_seconds=deadline_seconds)
    entry.set_topology(cluster.topology)
    entry.set_keys([ApiKey(KEY, SECRET, ACCOUNT, frozenset({"read", "trade"}))])
    await entry.start()
    app = FastAPI()
    app.include_router(order_routes(entry))
    app.include_router(batch_order_routes(entry))
    protocol = order_lane(entry, link) if lane else "httptools"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, http=protocol, log_level="critical", access_log=False, lifespan="off",
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = uvicorn.Server(config)
        port = listener.getsockname()[1]
        serving = asyncio.get_running_loop().create_task(server._serve([listener]))
        try:
            await wait_for(lambda: server.started and entry.partitions.ready)
            if link is not None:
                link.connections = lambda: len(server.server_state.connections)
                link.requests = lambda: server.server_state.total_requests
                link.make = lambda: config.http_protocol_class(  # type: ignore[call-arg]
                    config=config, server_state=server.server_state, app_state={FROM_CLIENTS: True}
                )
                link.start()
            yield Replica(entry, cluster, server, port, counted)
        finally:
            if link is not None:
                await link.close()
            server.should_exit = True
            await asyncio.wait_for(serving, 15)
            await entry.close()
            for partition in cluster.partitions:
                await partition.stop()


def run(test: Awaitable[None]) -> None:
    """Run a test's coroutine."""

    async def main() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(main())
