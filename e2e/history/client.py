"""Clients that trade while things break, and record what they were told.

Each sends single orders, cancels some, asks for some, at a bounded rate. What stays unknown, or was
refused as overloaded, is sent again under the same client order id until the answer is clear.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import httpx

from history.records import Operation, Outcome, Recorder
from history.rows import Grid

ANSWER_SECONDS_MAX = 8.0  # longer than a replica's own deadline of 5 s
ATTEMPTS_MAX = 400
PAUSE_SECONDS = 0.1
IN_FLIGHT_MAX = 16
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Plan:
    """What a client does: operations per second, and where its prices lie."""

    rate_per_second: float = 40
    middle: Decimal = Decimal(100)
    levels: int = 20
    lots_max: int = 50
    lots_min: int = 1
    cancel_share: float = 0.25
    query_share: float = 0.05
    cross_share: float = 0.3
    weights: Mapping[str, float] = field(default_factory=dict)  # of symbols; others count 1


@dataclass(frozen=True)
class Answer:
    """One answer, or that there was none."""

    outcome: Outcome
    code: str = ""
    order_id: int | None = None

    @property
    def says_try_again(self) -> bool:
        """Whether sending the same once more can make it clear."""
        return self.outcome == "unknown" or self.code in ("-1008", "not sent")


def read_answer(response: httpx.Response) -> Answer:
    """2xx = ok; 4xx, and a 503 that says so, = surely not applied; all else = unknown."""
    try:
        body = response.json()
    except ValueError:
        return Answer("unknown", str(response.status_code))
    code = str(body.get("code", response.status_code)) if isinstance(body, dict) else ""
    if response.status_code == 200:
        order_id = body.get("orderId") if isinstance(body, dict) else None
        return Answer("ok", "", order_id) if order_id else Answer("unknown", "no orderId")
    refused = 400 <= response.status_code < 500 or (response.status_code, code) == (503, "-1008")
    return Answer("fail" if refused else "unknown", code)


@dataclass
class Client:
    """One account's trader. `grids`: the symbols it trades, with their steps."""

    name: str
    url: str
    key: tuple[str, str]
    grids: Mapping[str, Grid]
    recorder: Recorder
    plan: Plan = Plan()
    seed: int = 1
    counts: Counter[str] = field(default_factory=Counter)
    acknowledged_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)
        self._number = 0
        self._open: list[tuple[str, str]] = []

    async def run(self, stopped: asyncio.Event) -> None:
        """Trade until told to stop, then wait for what is still open to become clear."""
        limits = httpx.Limits(max_connections=IN_FLIGHT_MAX)
        timeout = httpx.Timeout(ANSWER_SECONDS_MAX)
        free = asyncio.Semaphore(IN_FLIGHT_MAX)
        async with (
            httpx.AsyncClient(base_url=self.url, limits=limits, timeout=timeout) as http,
            asyncio.TaskGroup() as tasks,
        ):
            while not stopped.is_set():
                await free.acquire()
                task = tasks.create_task(self._step(http))
                task.add_done_callback(lambda _: free.release())
                await asyncio.sleep(1 / self.plan.rate_per_second)

    async def _step(self, http: httpx.AsyncClient) -> None:
        drawn = self._chance.random()
        if self._open and drawn < self.plan.cancel_share:
            symbol, client_id = self._open.pop(self._chance.randrange(len(self._open)))
            await self._repeat(http, "cancel", symbol, client_id, {})
        elif self._open and drawn < self.plan.cancel_share + self.plan.query_share:
            # Taken out meanwhile: two calls at once about one order could not be told apart.
            asked = self._open.pop(self._chance.randrange(len(self._open)))
            await self._repeat(http, "query", *asked, {})
            self._open.append(asked)
        else:
            symbol, order = self._draw()
            self._number += 1
            client_id = f"{self.name}-{self._number}"
            answer = await self._repeat(http, "place", symbol, client_id, order)
            if answer.outcome == "ok":
                self._open.append((symbol, client_id))

    def _draw(self) -> tuple[str, dict[str, str]]:
        plan, chance = self.plan, self._chance
        names = sorted(self.grids)
        if plan.weights:
            (symbol,) = chance.choices(names, [plan.weights.get(name, 1.0) for name in names])
        else:
            symbol = chance.choice(names)
        grid, sells = self.grids[symbol], chance.random() < 0.5
        away = chance.randint(1, plan.levels) * (1 if sells else -1)
        if chance.random() < plan.cross_share:
            away = -away
        lots = chance.randint(plan.lots_min, plan.lots_max)
        middle = plan.middle // grid.tick
        return symbol, {
            "side": "SELL" if sells else "BUY",
            "price": str((middle + away) * grid.tick),
            "quantity": str(lots * grid.lot),
        }

    async def _repeat(self, http: httpx.AsyncClient, operation: Operation, symbol: str,
                      client_id: str, order: dict[str, str]) -> Answer:  # fmt: skip
        """The same call until its answer is clear; each attempt is in the history."""
        answer = Answer("unknown", "never sent")
        for attempt in range(ATTEMPTS_MAX):
            self.recorder.invoke(operation, self.key[0], symbol, client_id, **order)
            answer = await self._send(http, operation, symbol, client_id, order)
            told = {"code": answer.code} if answer.code else {}
            named = {"order_id": answer.order_id} if answer.order_id else {}
            self.recorder.finish(
                answer.outcome, operation, self.key[0], symbol, client_id, **told, **named
            )
            self.counts[f"{operation} {answer.outcome} {answer.code}".strip()] += 1
            if answer.outcome == "ok":
                self.acknowledged_at.append(time.monotonic())
                self.counts["resent and acknowledged"] += attempt > 0
            if not answer.says_try_again:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        return answer

    async def _send(self, http: httpx.AsyncClient, operation: Operation, symbol: str,
                    client_id: str, order: dict[str, str]) -> Answer:  # fmt: skip
        fields = {"symbol": symbol, "timestamp": str(time.time_ns() // 1_000_000)}
        if operation == "place":
            fields |= order | {
                "type": "LIMIT", "timeInForce": "GTC", "newClientOrderId": client_id,
                "newOrderRespType": "ACK",
            }  # fmt: skip
        else:
            fields["origClientOrderId"] = client_id
        text = urlencode(fields)
        signature = hmac.new(self.key[1].encode(), text.encode(), hashlib.sha256).hexdigest()
        text += f"&signature={signature}"
        headers = {"X-MBX-APIKEY": self.key[0]}
        try:
            if operation == "place":
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                response = await http.post("/api/v3/order", content=text, headers=headers)
            else:
                method = "DELETE" if operation == "cancel" else "GET"
                response = await http.request(method, f"/api/v3/order?{text}", headers=headers)
        except NOT_SENT:
            return Answer("fail", "not sent")
        except httpx.HTTPError as error:
            return Answer("unknown", type(error).__name__)
        return read_answer(response)

    def longest_silence_seconds(self) -> float:
        """The longest time between two acknowledgements."""
        times = sorted(self.acknowledged_at)
        return max((after - before for before, after in pairwise(times)), default=0.0)


class Crowd:
    """Clients in a thread of their own, so that a test may block meanwhile. A context manager."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self.clients = clients
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="crowd")
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()
        for client in self.clients:
            client.recorder.close()
        if self._failure is not None and error is None:
            raise self._failure

    @property
    def acknowledged(self) -> int:
        """Calls answered with success so far."""
        return sum(len(client.acknowledged_at) for client in self.clients)

    def counts(self) -> dict[str, int]:
        """Outcomes of all clients together."""
        return dict(sum((client.counts for client in self.clients), Counter()))

    def _run(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(client.run(self._stopped) for client in self.clients))

        try:
            self._loop.run_until_complete(all_of_them())
        except BaseException as error:  # told to the test when it ends
            self._failure = error


def recorder_in(folder: Path, name: str) -> Recorder:
    """A recorder with a file of its own."""
    return Recorder(folder / f"{name}.jsonl")
