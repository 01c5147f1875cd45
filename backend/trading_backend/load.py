"""What this replica tells of its own load: see `trading_contract/load.py`."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from trading_backend import _native
from trading_backend.background import BackgroundLoop
from trading_contract.durations import Durations
from trading_contract.load import DurationsTold, ReplicaLoad

LAG_SECONDS = 0.1  # how often the event loop is measured
TURN_SECONDS = 5.0  # what is "recent": one to two of these


class LoadMeter:
    """Watches the event loop, and adds up what others count. Confined to the event loop."""

    def __init__(self, replica: str, native: _native.OrderEntry) -> None:
        self.http_requests: Callable[[], int] = lambda: 0  # told by the server, once there is one
        self.connections: Callable[[], int] = lambda: 0
        self._replica = replica
        self._native = native
        self._incarnation = str(uuid.uuid4())
        self._lag = Durations()
        self._latency = Durations()
        self._turned = time.monotonic()
        self._loop = BackgroundLoop("load", self._look)

    def start(self) -> None:
        """Begin to watch."""
        self._loop.start()

    async def close(self) -> None:
        """End it."""
        await self._loop.close()

    async def _look(self) -> None:
        begun = time.monotonic()
        await asyncio.sleep(LAG_SECONDS)
        now = time.monotonic()
        self._lag.add(max(0.0, now - begun - LAG_SECONDS))
        if now - self._turned >= TURN_SECONDS:
            self._turned = now
            self._lag.turn()
            self._latency.replace(*_latencies(self._native))
            self._latency.turn()

    def requests_total(self) -> int:
        """Over HTTP and in order streams, so far."""
        streamed, *_ = self._native.load()
        return self.http_requests() + streamed

    def read(self) -> ReplicaLoad:
        """The load as it is now."""
        streamed, orders, busy, unknown, refused, waiting, in_flight, *_ = self._native.load()
        self._latency.replace(*_latencies(self._native))
        return ReplicaLoad(
            replica=self._replica,
            incarnation=self._incarnation,
            requests_total=self.http_requests() + streamed,
            orders_total=orders,
            busy_total=busy,
            unknown_total=unknown,
            refusals_total=refused,
            cpu_seconds_total=time.process_time(),
            memory_bytes=resident_bytes(),
            commands_queued=waiting,
            commands_in_flight=in_flight,
            connections=self.connections(),
            event_loop_lag=DurationsTold.of(self._lag),
            order_latency=DurationsTold.of(self._latency),
        )


def _latencies(native: _native.OrderEntry) -> tuple[list[int], float]:
    *_, microseconds, counts = native.load()
    return counts, microseconds / 1e6


def resident_bytes() -> int | None:
    """Memory of this process; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
