"""The operator process: follow the Lease; leading, watch, list, and visit clusters."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable

from trading_contract.errors import TradingError, UserError, WorldError
from trading_operator.effects import Seam
from trading_operator.planner.actions import Action
from trading_operator.planner.scaling.observed_load import ClusterLoad
from trading_operator.shell.health import Metrics, Vitals, serve_health
from trading_operator.shell.leadership import Leadership
from trading_operator.shell.load_metrics import LoadCollector
from trading_operator.shell.settings import OperatorSettings
from trading_operator.shell.visits import Surroundings, Visitor
from trading_operator.shell.watches import WATCHED, watch_all
from trading_operator.shell.worklist import Worklist
from trading_operator.substrates.kubernetes.api import (
    KINDS,
    NOT_FOUND,
    OWN,
    ApiError,
    KubernetesApi,
    connect,
)
from trading_operator.substrates.kubernetes.components import Components, PodComponents
from trading_operator.substrates.kubernetes.mirror import MANAGED_SELECTOR, ClusterKey, Mirror

logger = logging.getLogger("trading_operator.operator")
BEAT_SECONDS = 1.0
LIST_RETRY_SECONDS = 2.0


class Operator:
    """One operator process. `components` gives those of one cluster."""

    def __init__(
        self,
        settings: OperatorSettings,
        api: KubernetesApi,
        components: Callable[[ClusterKey], Components] = lambda _: PodComponents(),
        seam: Seam | None = None,
    ) -> None:
        self._settings = settings
        self._api = api
        self._components = components
        self._visitors: dict[ClusterKey, Visitor] = {}
        self.metrics = Metrics()
        self.metrics.registry.register(LoadCollector(self._looks, time.time))
        self.worklist: Worklist[ClusterKey] = Worklist(time.monotonic)
        self.mirror = Mirror(time.monotonic, self._changed)
        self.mirror.watched = frozenset(kind.name for kind in WATCHED)
        self._around = Surroundings(api, self.mirror, seam or Seam(), self._count)
        self._phases: dict[ClusterKey, str] = {}
        self._beat_at = time.monotonic()
        self._stop = asyncio.Event()
        self._leadership = Leadership(
            api, settings.lease_name, settings.lease_namespace, settings.identity,
            settings.lease_seconds,
        )  # fmt: skip

    async def run(self) -> None:
        """Until SIGTERM. Raises `UserError` when the CustomResourceDefinition is missing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        server = await serve_health(
            self._vitals(), self.metrics, self._refresh, self._settings.health_host,
            self._settings.health_port,
        )  # fmt: skip
        beat = asyncio.create_task(self._beat())
        work = asyncio.create_task(self._serve())
        ending = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait({work, ending}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            beat.cancel()
            await self._leadership.release()
            work.cancel()
            await server.cleanup()
            await self._api.close()

    async def _serve(self) -> None:
        await self._require_definition()
        await self._leadership.run(self._lead)

    async def _lead(self) -> None:
        """Watch, list and visit. Ends only by failing."""
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(ready))
            tasks.create_task(self._resync())
            for _ in range(self._settings.workers):
                tasks.create_task(self._work())

    async def _watch(self, ready: asyncio.Event) -> None:
        """kopf takes the signals over while it runs: ending without an error, it was asked to."""
        await watch_all(self.mirror, self._settings, asyncio.Event(), ready)
        self._stop.set()
        await asyncio.Event().wait()

    async def _resync(self) -> None:
        """Full lists: at first, and now and then because a watch can lose a deletion."""
        while True:
            try:
                await self._list_all()
            except TradingError as error:
                logger.warning("listing: %s", error)
                await asyncio.sleep(LIST_RETRY_SECONDS)
                continue
            for key in (*self.mirror.clusters(), *self.mirror.waiting_for_a_cluster()):
                self.worklist.add(key)
            await asyncio.sleep(self._settings.resync_seconds)

    async def _list_all(self) -> None:
        for place in self._settings.places:
            for kind in KINDS.values():
                selector = "" if kind in OWN else MANAGED_SELECTOR
                mark = self.mirror.mark()
                items = await self._api.list(kind, place, selector)
                self.mirror.replace(kind.name, place, items, mark)

    def _is_listed(self) -> bool:
        return self.mirror.is_listed(KINDS, [place or "" for place in self._settings.places])

    def _changed(self, key: ClusterKey) -> None:
        if key.name:
            self.worklist.add(key)

    async def _work(self) -> None:
        while True:
            key = await self.worklist.take()
            if not self._is_listed():  # half a world looks like one where things are missing
                self.worklist.done(key)
                self.worklist.add_after(key, BEAT_SECONDS)
                continue
            await self._visit(key)

    async def _visit(self, key: ClusterKey) -> None:
        try:
            seconds = await self._visitor(key).visit()
        except WorldError as error:
            self.metrics.visits.labels("failed").inc()
            wait = self.worklist.failed(key)
            logger.warning("%s/%s: %s; again in %.1f s", *key, error, wait)
        except Exception:
            self.metrics.visits.labels("broken").inc()
            wait = self.worklist.failed(key)
            logger.exception("%s/%s: a defect; again in %.1f s", *key, wait)
        else:
            self.metrics.visits.labels("done").inc()
            self.worklist.done(key)
            if seconds is None:
                self._visitors.pop(key, None)
                self.worklist.forget(key)
            else:
                self.worklist.add_after(key, seconds)

    def _visitor(self, key: ClusterKey) -> Visitor:
        if key not in self._visitors:
            self._visitors[key] = Visitor(key, self._around, self._components(key))
        return self._visitors[key]

    def _looks(self) -> list[tuple[ClusterKey, ClusterLoad]]:
        looks = [(key, visitor.loads.newest) for key, visitor in self._visitors.items()]
        return [(key, look) for key, look in looks if look is not None]

    def _count(self, action: Action, is_done: bool) -> None:
        result = "done" if is_done else "failed"
        self.metrics.actions.labels(type(action).__name__, result).inc()

    async def _beat(self) -> None:
        while True:
            self._beat_at = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def _vitals(self) -> Vitals:
        return Vitals(
            heartbeat_seconds=lambda: time.monotonic() - self._beat_at,
            unheard_seconds=self.mirror.unheard_seconds,
            visiting_seconds=self.worklist.visiting_seconds,
            is_following=lambda: self._leadership.is_following,
            is_leader=lambda: self._leadership.is_leader,
            is_listed=self._is_listed,
        )

    def _refresh(self) -> None:
        """Bring the gauges up to now."""
        for (verb, kind), count in self._api.calls.items():
            self.metrics.calls.labels(verb, kind).set(count)
        self.metrics.depth.set(self.worklist.depth)
        self.metrics.longest.set(self.worklist.visiting_seconds())
        self.metrics.leader.set(self._leadership.is_leader)
        self.metrics.clusters.clear()
        for key in self.mirror.clusters():
            body = self.mirror.cluster(key) or {}
            phase = (body.get("status") or {}).get("phase", "Pending")
            self.metrics.clusters.labels(phase).inc()

    async def _require_definition(self) -> None:
        """Without our kinds a watch would run on silently and serve nothing.

        Raises `UserError` when one is missing; an API server that is away is waited for.
        """
        missing = list(OWN)
        while missing:
            kind = missing[-1]
            try:
                await self._api.list(kind, self._settings.places[0])
            except ApiError as error:
                if error.code == NOT_FOUND:
                    text = f"the CustomResourceDefinition {kind.plural}.hft.trading is missing"
                    raise UserError(f"{text}: apply crds/{kind.plural}.yaml") from error
                logger.warning("%s", error)
                await asyncio.sleep(LIST_RETRY_SECONDS)
            else:
                missing.pop()


async def run_operator(settings: OperatorSettings) -> None:
    """The operator as the chart starts it."""
    # One line per event of every object says nothing that a visit does not say better.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    await Operator(settings, await connect()).run()
