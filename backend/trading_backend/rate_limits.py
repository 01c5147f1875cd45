"""Rate limits per account, shared by all replicas through Redis.

Decisions are local and immediate: what all replicas had used when last heard, plus what this one
has used since. About
every 100 ms the replica adds its share to the counters in Redis and reads the sums. With Redis
away it counts alone. Limits of 0 cost nothing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from redis.exceptions import RedisError

from trading_backend.channels import Channels
from trading_backend.order_entry import Verdict
from trading_contract.topology import Limits

SYNC_SECONDS = 0.1
ACCOUNTS_MAX = 100_000


@dataclass(slots=True)
class Window:
    """One counter: use of one account in the running window."""

    seconds: int
    number: int = -1  # which window
    known: int = 0  # of all replicas, when last heard
    unsent: int = 0

    def used(self, now: float) -> int:
        """Use in the window of `now`."""
        number = int(now // self.seconds)
        if number != self.number:
            self.number, self.known, self.unsent = number, 0, 0
        return self.known + self.unsent

    def left_seconds(self, now: float) -> int:
        """Until the window ends, at least 1."""
        return max(1, int((self.number + 1) * self.seconds - now) + 1)


@dataclass(slots=True)
class Account:
    """The counters of one account."""

    orders_10s: Window
    orders_1d: Window
    weight_1m: Window


class RateLimits:
    """Counts and refuses. Cancels and queries count as weight; cancels are never refused."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._limits = Limits()
        self._active = False
        self._accounts: dict[int, Account] = {}
        self._task: asyncio.Task[None] | None = None

    def set_limits(self, limits: Limits) -> None:
        """Use these from now on."""
        self._limits = limits
        self._active = bool(
            limits.orders_per_10_seconds
            or limits.orders_per_day
            or limits.request_weight_per_minute
        )

    def start(self) -> None:
        """Begin to share."""
        self._task = asyncio.get_running_loop().create_task(self._share())

    async def close(self) -> None:
        """Stop sharing."""
        if self._task is not None:
            self._task.cancel()

    def take_orders(self, account: int, count: int) -> Verdict:
        """Count one request with `count` new orders."""
        if not self._active:
            return _ALLOWED
        now = time.time()
        counters = self._counters(account)
        ten, day = counters.orders_10s.used(now), counters.orders_1d.used(now)
        weight = counters.weight_1m.used(now)
        limits = self._limits
        if count:
            for used, limit, window in (
                (ten, limits.orders_per_10_seconds, counters.orders_10s),
                (day, limits.orders_per_day, counters.orders_1d),
            ):
                if limit and used + count > limit:
                    return Verdict(False, window.left_seconds(now), weight, ten, day, True)
            counters.orders_10s.unsent += count
            counters.orders_1d.unsent += count
        counters.weight_1m.unsent += 1
        return Verdict(True, 0, weight + 1, ten + count, day + count)

    def take_weight(self, account: int, weight: int) -> Verdict:
        """Count a request that reads."""
        if not self._active:
            return _ALLOWED
        now = time.time()
        window = self._counters(account).weight_1m
        used = window.used(now)
        limit = self._limits.request_weight_per_minute
        if limit and used + weight > limit:
            return Verdict(False, window.left_seconds(now), used, -1, -1, False)
        window.unsent += weight
        return Verdict(True, 0, used + weight)

    def _counters(self, account: int) -> Account:
        found = self._accounts.get(account)
        if found is None:
            if len(self._accounts) >= ACCOUNTS_MAX:
                self._accounts.pop(next(iter(self._accounts)))
            found = Account(Window(10), Window(86_400), Window(60))
            self._accounts[account] = found
        return found

    async def _share(self) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            if not self._active:
                continue
            for number, account in list(self._accounts.items()):
                for window in (account.orders_10s, account.orders_1d, account.weight_1m):
                    if window.unsent:
                        await self._sync(number, window)

    async def _sync(self, account: int, window: Window) -> None:
        sent, number = window.unsent, window.number
        key = f"{{limits:{account}}}:{window.seconds}:{number}"
        try:
            total = int(await self._channels.execute(key, "INCRBY", key, sent))
            if total == sent:
                await self._channels.execute(key, "EXPIRE", key, 2 * window.seconds)
        except (OSError, RedisError, TimeoutError, IndexError):
            return  # counting alone until Redis is back
        if window.number == number:
            window.unsent -= sent
            window.known = total


_ALLOWED = Verdict()
