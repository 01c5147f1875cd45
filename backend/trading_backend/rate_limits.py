"""Rate limits per account, shared by all replicas through Redis.

Decisions are local and immediate: what all replicas had used when last heard, plus what this one
has used since. About every 100 ms the replica adds its share to the counters in Redis and learns
the sums. With Redis away each replica grants its part of what was left. A counter that was lost
with its node or its hash slot begins anew, and replicas remember what it had told them before.
Limits of 0 cost nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from trading_backend.background import BackgroundLoop
from trading_backend.channels import Channels, Increment
from trading_backend.order_entry import Verdict
from trading_contract.topology import Limits

SYNC_SECONDS = 0.1
AWAY_SECONDS = 1.0  # without an answer of Redis
ROLL_CALL_SECONDS = 1.0
ABSENT_SECONDS = 5.0
ROLL = "{limits}:replicas"
ACCOUNTS_MAX = 100_000
ACCOUNTS_PER_SYNC_MAX = 1000
REFUSALS_MAX = 100  # in one minute; who goes on after these is insistent


@dataclass(slots=True)
class Window:
    """One counter: use of one account in the running window."""

    name: str
    seconds: int
    number: int = -1  # which window
    known: int = 0  # of all replicas, when last heard
    unsent: int = 0
    lost: int = 0  # of `known`, what the counter does not know any more

    def used(self, now: float) -> int:
        """Use in the window of `now`."""
        number = int(now // self.seconds)
        if number != self.number:
            self.number, self.known, self.unsent, self.lost = number, 0, 0, 0
        return self.known + self.unsent

    def learn(self, amount: int, total: int) -> None:
        """The counter's total after `amount` of what was unsent was added to it."""
        counted = self.known - self.lost + amount
        self.lost += max(0, counted - total)  # counters only rise: this one has begun anew
        self.known = self.lost + total
        self.unsent -= amount

    def left(self, limit: int, replicas: int) -> int:
        """What may still be used here; `replicas` share what was left when last heard."""
        return max(0, limit - self.known) // replicas - self.unsent

    def seconds_left(self, now: float) -> int:
        """Until the window ends, at least 1."""
        return max(1, int((self.number + 1) * self.seconds - now) + 1)


@dataclass(slots=True)
class Account:
    """The counters of one account."""

    orders_10s: Window = field(default_factory=lambda: Window("orders", 10))
    orders_1d: Window = field(default_factory=lambda: Window("orders", 86_400))
    weight_1m: Window = field(default_factory=lambda: Window("weight", 60))
    refusals: Window = field(default_factory=lambda: Window("refusals", 60))


class RateLimits:
    """Counts and refuses. Cancels and queries of orders count as weight and are never refused."""

    def __init__(self, channels: Channels, replica: str = "") -> None:
        self._channels = channels
        self._replica = replica
        self._limits = Limits()
        self._active = False
        self._accounts: OrderedDict[int, Account] = OrderedDict()
        self._unsent: dict[int, Account] = {}
        self._replicas = 1
        self._heard = time.monotonic()
        self._called = 0.0
        self._loop = BackgroundLoop("rate limits", self._share)

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
        self._heard = time.monotonic()
        self._loop.start()

    async def close(self) -> None:
        """Stop sharing."""
        await self._loop.close()

    # Decisions

    def take_orders(self, account: int, count: int) -> Verdict:
        """Count one request with `count` new orders; all of them or none."""
        if not self._active:
            return _ALLOWED
        now = time.time()
        counters = self._counters(account)
        ten, day = counters.orders_10s, counters.orders_1d
        used = (counters.weight_1m.used(now), ten.used(now), day.used(now))
        limits = self._limits
        if count:
            for limit, window in (
                (limits.orders_per_10_seconds, ten),
                (limits.orders_per_day, day),
            ):
                if limit and count > window.left(limit, self._sharing()):
                    return Verdict(False, window.seconds_left(now), *used, True)
            if not self._fits(counters, 1):
                return Verdict(False, counters.weight_1m.seconds_left(now), *used, False)
            ten.unsent += count
            day.unsent += count
        counters.weight_1m.unsent += 1
        self._unsent[account] = counters
        return Verdict(True, 0, used[0] + 1, used[1] + count, used[2] + count)

    def take_weight(self, account: int, weight: int) -> Verdict:
        """Count a request that reads."""
        if not self._active:
            return _ALLOWED
        now = time.time()
        counters = self._counters(account)
        used = counters.weight_1m.used(now)
        if not self._fits(counters, weight):
            counters.refusals.used(now)
            counters.refusals.unsent += 1
            return Verdict(False, counters.weight_1m.seconds_left(now), used, -1, -1, False)
        counters.weight_1m.unsent += weight
        self._unsent[account] = counters
        return Verdict(True, 0, used + weight)

    def is_insistent(self, account: int) -> bool:
        """Whether the account goes on reading after many refusals within a minute."""
        counters = self._accounts.get(account)
        return counters is not None and counters.refusals.used(time.time()) > REFUSALS_MAX

    def order_counts(self, account: int) -> tuple[int, int]:
        """(orders in the running 10 seconds, orders in the running day), without counting."""
        counters, now = self._counters(account), time.time()
        return counters.orders_10s.used(now), counters.orders_1d.used(now)

    def _fits(self, counters: Account, weight: int) -> bool:
        limit = self._limits.request_weight_per_minute
        return not limit or weight <= counters.weight_1m.left(limit, self._sharing())

    def _sharing(self) -> int:
        """How many replicas share what is left: 1 as long as Redis tells the sums."""
        return self._replicas if time.monotonic() - self._heard > AWAY_SECONDS else 1

    def _counters(self, account: int) -> Account:
        found = self._accounts.get(account)
        if found is None:
            if len(self._accounts) >= ACCOUNTS_MAX:
                self._accounts.popitem(last=False)
            found = self._accounts[account] = Account()
        return found

    # Sharing

    async def _share(self) -> None:
        """One turn."""
        await asyncio.sleep(SYNC_SECONDS)
        if self._active:
            await self._call_the_roll()
        if self._active and not self._loop.ending:
            await self._sync()

    async def _sync(self) -> None:
        """Add what is unsent, learn the sums; the rest waits for the next time."""
        sent: dict[str, tuple[Window, int, int]] = {}
        owners: dict[str, tuple[int, Account]] = {}
        increments = []
        now = time.time()
        for number in list(self._unsent)[:ACCOUNTS_PER_SYNC_MAX]:
            account = self._unsent.pop(number)
            for window in (account.orders_10s, account.orders_1d, account.weight_1m):
                # Zero is sent too: an account that only reads here may order elsewhere.
                window.used(now)
                key = f"{{limits:{number}}}:{window.name}:{window.seconds}:{window.number}"
                sent[key] = (window, window.number, window.unsent)
                increments.append(Increment(key, window.unsent, 2 * window.seconds))
                owners[key] = (number, account)
        totals = await self._channels.add(increments)
        if totals:
            self._heard = time.monotonic()
        for key, (window, number, amount) in sent.items():
            if key not in totals:
                self._unsent.setdefault(*owners[key])
            elif window.number == number:
                window.learn(amount, totals[key])

    async def _call_the_roll(self) -> None:
        """Say that this replica is here, learn how many are."""
        now = time.time()
        if time.monotonic() - self._called < ROLL_CALL_SECONDS:
            return
        self._called = time.monotonic()
        execute = self._channels.execute
        try:
            await execute(ROLL, "ZADD", ROLL, now, self._replica)
            await execute(ROLL, "ZREMRANGEBYSCORE", ROLL, "-inf", now - ABSENT_SECONDS)
            self._replicas = max(1, int(await execute(ROLL, "ZCARD", ROLL)))
            self._heard = time.monotonic()
        except (OSError, RedisError, TimeoutError):
            return  # the number known before stays in use


_ALLOWED = Verdict(used_weight_1m=0)
