"""Order entry: the replica's side of the order path, around the native parser and renderer.

`OrderEntry` is confined to the event loop. It is asked by the order lane, by the routes and by the
streams, and answers each request exactly once. Every queue behind it is bounded; past a bound the
answer is 503, -1008.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from trading_backend import _native
from trading_backend.background import end_tasks
from trading_backend.partitions import Partitions
from trading_backend.slot_owners import HOLD_SECONDS
from trading_backend.symbol_rows import symbol_row
from trading_contract.topology import Topology
from trading_contract.wire import Reply

logger = logging.getLogger(__name__)

LOOKUPS_MAX = 4096
TICK_SECONDS = 0.02
IDLE_CHECK_SECONDS = 1.0


class Verdict(NamedTuple):
    """What the rate limiter says. Counts of -1 are not shown to the client."""

    allowed: bool = True
    retry_after_seconds: int = 0
    used_weight_1m: int = -1
    order_count_10s: int = -1
    order_count_1d: int = -1
    orders_exceeded: bool = True  # what was exceeded: orders (-1015) or request weight (-1003)


class OrderLimits(Protocol):
    """Rate limits. Answers at once, from local knowledge."""

    def take_orders(self, account: int, count: int) -> Verdict:
        """Count one request with `count` new orders; 0 (cancels, queries) must be allowed."""


class Unlimited:
    """Limits for clusters and tests without any."""

    def take_orders(self, account: int, count: int) -> Verdict:
        """Everything is allowed, nothing is counted."""
        return _UNLIMITED


_UNLIMITED = Verdict(used_weight_1m=0)


class OrderLookups(Protocol):
    """What must be read from the shard, after a barrier: never a bare read of a lagging copy."""

    async def first_answer(self, symbol: str, account: int, order_id: int) -> Reply | None:
        """The order as its first answer told it, with its fills as taker."""

    async def find_order(
        self, symbol: str, account: int, order_id: int, client_id: str
    ) -> Reply | None:
        """The order as it is now, by id or (id 0) by client id; None: there is no such order."""


class NoLookups:
    """A shard that nothing can be read from: duplicates stay unknown, old orders are not found."""

    async def first_answer(self, symbol: str, account: int, order_id: int) -> Reply | None:
        """Nothing."""
        return None

    async def find_order(
        self, symbol: str, account: int, order_id: int, client_id: str
    ) -> Reply | None:
        """Nothing."""
        return None


class Lookup(NamedTuple):
    """What the native side wants to know from the shard before it can answer a command."""

    command: int
    first_answer: bool  # else: the order as it is now
    symbol: str
    account: int
    order_id: int
    client_id: str
    cancelled_id: int  # cancelReplace: its target, too
    cancelled_client_id: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key. Scopes: `read`, `trade`."""

    key: str
    secret: str
    account: int
    scopes: frozenset[str]


class HttpAnswer(NamedTuple):
    """A whole answer, with raw headers."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class StreamWriter(Protocol):
    """A client's WebSocket, as seen from here."""

    @property
    def is_open(self) -> bool:
        """Whether anything sent can still arrive."""

    def send_text(self, message: bytes) -> None:
        """Send one text message; does nothing once the stream is closed."""

    def announce_shutdown(self) -> None:
        """Tell the client that this replica goes away soon."""

    def write_frames(self, frames: bytes) -> None:
        """Send ready frames."""


class IdleConnection(Protocol):
    """A connection that wants to be looked at now and then."""

    def check_idle(self, now_us: int) -> None:
        """Close yourself when nobody is there any more."""


# (stream, method, id as JSON, account, params as JSON): serves userDataStream.*
UserStreamHandler = Callable[[StreamWriter, str, bytes, int, bytes], Awaitable[None] | None]


def now_microseconds() -> int:
    """Unix time."""
    return time.time_ns() // 1000


class OrderEntry:
    """All order requests of this replica, between clients and partitions."""

    def __init__(
        self,
        replica: str,
        limits: OrderLimits | None = None,
        lookups: OrderLookups | None = None,
        *,
        deadline_seconds: float = 5.0,
        in_flight_max: int = 32768,
    ) -> None:
        self.native = _native.OrderEntry()
        self.limits: OrderLimits = limits or Unlimited()
        self.lookups: OrderLookups = lookups or NoLookups()
        self.partitions = Partitions(self.native, self.deliver, replica)
        self.user_streams: UserStreamHandler | None = None
        self.streams: dict[int, StreamWriter] = {}
        self.connections: set[IdleConnection] = set()
        self.body_bytes_max = 1 << 20
        self._deadline_us = int(deadline_seconds * 1_000_000)
        self._in_flight_max = in_flight_max
        self._waiters: dict[int, Callable[[bytes], None]] = {}
        self._lookup_tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._idle_checked = 0.0
        self._headers_seen: object = None
        self._headers = b""
        self.draining = False  # each answer is the last one of its connection

    # Settings

    def set_topology(self, topology: Topology) -> None:
        """Take symbols, limits and partitions from the topology; may be called at any time.

        Raises `UserError` for a symbol whose grid does not fit into the integers of the engine.
        """
        self.native.set_symbols([symbol_row(rules) for rules in topology.symbols])
        limits = topology.limits
        self.body_bytes_max = limits.body_bytes_max
        self.native.set_limits(
            limits.body_bytes_max, limits.batch_orders_max, self._in_flight_max, self._deadline_us,
            int(HOLD_SECONDS * 1_000_000),
        )  # fmt: skip
        self.native.set_rate_limits(
            limits.orders_per_10_seconds, limits.orders_per_day, limits.request_weight_per_minute
        )
        self.partitions.set_topology(topology)

    def set_keys(self, keys: Sequence[ApiKey]) -> None:
        """Replace all API keys; sessions of keys that are gone lose their rights at once."""
        bits = {"read": 1, "trade": 2}
        self.native.set_keys(
            [(k.key, k.secret, k.account, sum(bits.get(s, 0) for s in k.scopes)) for k in keys]
        )

    def set_default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """The server's own headers for answers of the lane; cheap when they did not change."""
        if headers is not self._headers_seen:
            self._headers_seen = headers
            self._headers = b"".join(b"%s: %s\r\n" % header for header in headers)
            self._set_headers()

    def _set_headers(self) -> None:
        last = b"connection: close\r\n" if self.draining else b""
        self.native.set_common_headers(self._headers + last)

    # Life

    async def start(self) -> None:
        """Connect to the partitions (in the background) and keep time."""
        self.partitions.start()
        self._tick()

    async def close(self) -> None:
        """Stop; requests in flight are answered as unknown."""
        if self._timer is not None:
            self._timer.cancel()
        await self.partitions.close()
        await end_tasks(self._lookup_tasks, "lookups")

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK_SECONDS, self._tick)
        self.native.expire(now_microseconds())
        self.deliver()
        if loop.time() - self._idle_checked >= IDLE_CHECK_SECONDS:
            self._idle_checked = loop.time()
            now_us = now_microseconds()
            for connection in list(self.connections):
                connection.check_idle(now_us)

    def close_after_answers(self) -> None:
        """Answers over HTTP say `Connection: close` from now on."""
        self.draining = True
        self._set_headers()

    def announce_shutdown(self) -> None:
        """Tell all streams that this replica goes away; best well before it does."""
        for stream in list(self.streams.values()):
            stream.announce_shutdown()

    # Requests

    def submit(
        self, request: int, account: int, orders: int, answer: Callable[[bytes], None]
    ) -> bytes | None:
        """Let a begun request through the limits and to its partitions.

        Returns the whole answer when it is known at once; otherwise `answer` is called later.
        """
        verdict = self.limits.take_orders(account, orders) if account >= 0 else _UNLIMITED
        allowed, retry_after, weight, count_10s, count_1d, by_orders = verdict
        if not allowed:
            return self.native.refuse(request, by_orders, weight, count_10s, count_1d, retry_after)
        data = self.native.submit(request, weight, count_10s, count_1d, now_microseconds())
        if data is None:
            self._waiters[request] = answer
            self.partitions.flush_soon()
        return data

    async def handle(
        self,
        method: str,
        path: str,
        query: bytes,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> HttpAnswer:
        """One order request from the ordinary routes; the same answers as in the order lane."""
        found = {name.lower(): value for name, value in reversed(headers)}
        request, account, orders = self.native.begin(
            method, path, query, body,
            found.get(b"content-type", b""), found.get(b"x-mbx-apikey", b""),
            found.get(b"x-mbx-time-unit", b"").lower() == b"microsecond", now_microseconds(),
        )  # fmt: skip
        waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answer(data: bytes) -> None:
            if not waiter.done():
                waiter.set_result(data)

        data = self.submit(request, account, orders, answer)
        return split_answer(data if data is not None else await waiter)

    def deliver(self) -> list[tuple[int, bytes]]:
        """Hand out what is finished; returns the frames that are not answers."""
        done = self.native.drain()
        if done is None:
            return []
        answers, streams, lookups, frames = done
        waiters = self._waiters
        for request, data in answers:
            waiter = waiters.pop(request, None)
            if waiter is not None:
                waiter(data)
            else:
                self.partitions.take_answer(request, data)
        for stream, data in streams:
            writer = self.streams.get(stream)
            if writer is not None:
                writer.write_frames(data)
        for lookup in lookups:
            self._look_up(Lookup(*lookup))
        return frames

    # Lookups

    def _look_up(self, wanted: Lookup) -> None:
        loop = asyncio.get_running_loop()
        if len(self._lookup_tasks) >= LOOKUPS_MAX:
            self.native.resolve_failed(wanted.command)
            loop.call_soon(self.deliver)
            return
        task = loop.create_task(self._resolve(wanted))
        self._lookup_tasks.add(task)
        task.add_done_callback(self._lookup_tasks.discard)

    async def _read(self, wanted: Lookup) -> tuple[Reply | None, Reply | None]:
        order = (wanted.symbol, wanted.account, wanted.order_id)
        if not wanted.first_answer:
            return await self.lookups.find_order(*order, wanted.client_id), None
        found = await self.lookups.first_answer(*order)
        if not (wanted.cancelled_id or wanted.cancelled_client_id):
            return found, None
        target = (wanted.cancelled_id, wanted.cancelled_client_id)
        return found, await self.lookups.find_order(wanted.symbol, wanted.account, *target)

    async def _resolve(self, wanted: Lookup) -> None:
        try:
            found, cancelled = await self._read(wanted)
        except Exception:
            # Whatever went wrong there, the client gets "unknown" and not a broken connection.
            logger.exception("could not read an order from the shard")
            self.native.resolve_failed(wanted.command)
        else:
            self.native.resolve(
                wanted.command,
                b"" if found is None else found.pack(),
                b"" if cancelled is None else cancelled.pack(),
            )
        self.deliver()


def split_answer(data: bytes) -> HttpAnswer:
    """The parts of a whole HTTP response as the native side writes it."""
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    return HttpAnswer(int(status[9:12]), headers, body)


def error_body(code: int, message: str) -> bytes:
    """The JSON body of an error."""
    return json.dumps({"code": code, "msg": message}, separators=(",", ":")).encode()
