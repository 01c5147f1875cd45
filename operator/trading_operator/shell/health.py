"""The operator's own port: is it alive, is it ready, what has it done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

HEARTBEAT_SECONDS_MAX = 10.0
UNHEARD_SECONDS_MAX = 60.0
VISIT_SECONDS_MAX = 300.0


@dataclass
class Vitals:
    """What liveness and readiness follow from; each answers with the present value.

    `unheard_seconds`: for how long a change that a list showed was not told by the watch.
    """

    heartbeat_seconds: Callable[[], float]
    unheard_seconds: Callable[[], float]
    visiting_seconds: Callable[[], float]
    is_following: Callable[[], bool]
    is_leader: Callable[[], bool]
    is_listed: Callable[[], bool]

    def sickness(self) -> str:
        """Why the process should be restarted; "" = it should not.

        An API server that is away is no reason.
        """
        if self.heartbeat_seconds() > HEARTBEAT_SECONDS_MAX:
            return f"the event loop stood still for {self.heartbeat_seconds():.0f} s"
        if self.unheard_seconds() > UNHEARD_SECONDS_MAX:
            return f"a watch is deaf: a change of {self.unheard_seconds():.0f} s ago was not told"
        if self.visiting_seconds() > VISIT_SECONDS_MAX:
            return f"one visit takes {self.visiting_seconds():.0f} s already"
        return ""

    def unreadiness(self) -> str:
        """Why it does not do its part yet; "" = it does."""
        if self.is_leader():
            return "" if self.is_listed() else "not every kind has been listed yet"
        return "" if self.is_following() else "it does not follow the Lease yet"


class Metrics:
    """Counters of the operator."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory and CPU time of this process
        self.actions = Counter(
            "trading_operator_actions", "Actions by kind and result.", ("kind", "result"),
            registry=self.registry,
        )  # fmt: skip
        self.visits = Counter(
            "trading_operator_visits", "Visits by result.", ("result",), registry=self.registry
        )
        self.calls = Gauge(
            "trading_operator_api_calls", "Calls of the API server so far.", ("verb", "kind"),
            registry=self.registry,
        )  # fmt: skip
        self.depth = Gauge(
            "trading_operator_worklist_depth", "Clusters that wait.", registry=self.registry
        )
        self.longest = Gauge(
            "trading_operator_visit_in_progress_seconds", "The longest visit in progress.",
            registry=self.registry,
        )  # fmt: skip
        self.clusters = Gauge(
            "trading_operator_clusters", "TradingClusters by phase.", ("phase",),
            registry=self.registry,
        )  # fmt: skip
        self.leader = Gauge("trading_operator_leader", "1 = leads.", registry=self.registry)


async def serve_health(
    vitals: Vitals, metrics: Metrics, refresh: Callable[[], None], host: str, port: int
) -> web.AppRunner:
    """Serve /livez, /readyz and /metrics; the caller cleans the runner up."""

    async def livez(_: web.Request) -> web.Response:
        sickness = vitals.sickness()
        return web.Response(text=sickness or "ok", status=500 if sickness else 200)

    async def readyz(_: web.Request) -> web.Response:
        unreadiness = vitals.unreadiness()
        return web.Response(text=unreadiness or "ok", status=503 if unreadiness else 200)

    async def show(_: web.Request) -> web.Response:
        refresh()
        body = generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([
        web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", show)
    ])  # fmt: skip
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
