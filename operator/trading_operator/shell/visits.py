"""One visit to one cluster: look, plan, say, do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from trading_contract.errors import TradingError, UserError, WorldError
from trading_contract.manifest import parse_cluster
from trading_contract.status import ClusterStatus
from trading_contract.symbolmove import MoveReason, MoveState, SymbolMoveStatus
from trading_contract.tradingcluster import TradingCluster
from trading_operator.effects import Effects, Seam
from trading_operator.planner.actions import (
    Action,
    CommandNode,
    PrepareShard,
    TakeHashSlots,
    prepare_task,
    subject,
)
from trading_operator.planner.autoscale.plan import ScaleMemory, news
from trading_operator.planner.child_actions import (
    ApplyChild,
    ConfigureShard,
    SwitchPrimary,
)
from trading_operator.planner.kubernetes.children import COMPONENT_LABEL
from trading_operator.planner.kubernetes.intent import Builder, KubernetesIntent
from trading_operator.planner.kubernetes.invalid import status_of_invalid
from trading_operator.planner.kubernetes.plan import make_kubernetes_plan
from trading_operator.planner.kubernetes.seen import ChildKey
from trading_operator.planner.observed import Failure
from trading_operator.planner.plan import Plan
from trading_operator.shell.api_keys import ApiKeysCheck
from trading_operator.shell.reports import Reporter
from trading_operator.substrates.kubernetes.api import MOVE, Body, KubernetesApi
from trading_operator.substrates.kubernetes.apply import Applier, CollisionError, UnservedError
from trading_operator.substrates.kubernetes.children.all import wanted_children
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity
from trading_operator.substrates.kubernetes.children.differences import differences
from trading_operator.substrates.kubernetes.components import Components
from trading_operator.substrates.kubernetes.mirror import ClusterKey, Mirror
from trading_operator.substrates.kubernetes.observe import ask, broken_moves, is_ended, look
from trading_operator.substrates.load_watch import LoadWatch

logger = logging.getLogger("trading_operator.visits")
RETRY_SECONDS = 5.0
COLLISION_SECONDS = 15.0
INVALID_SECONDS = 60.0
Count = Callable[[Action, bool], None]


@dataclass(frozen=True)
class Surroundings:
    """What all visits share."""

    api: KubernetesApi
    mirror: Mirror
    seam: Seam
    count: Count


class Visitor:
    """Visits one cluster. It remembers failures, to slow them down, and averages of load."""

    def __init__(self, key: ClusterKey, around: Surroundings, components: Components) -> None:
        self._key = key
        self._mirror = around.mirror
        self._components = components
        self._applier = Applier(key, around.api, around.mirror, components)
        self._effects = Effects(
            self._applier.apply,
            lambda action: _at(around.seam.before, action),
            lambda action: _at(around.seam.after, action),
        )
        self._count = around.count
        self._reporter = Reporter(key, around.api, around.mirror)
        self._api_keys = ApiKeysCheck(key, around.api)
        self.loads = LoadWatch(time.time)
        self._failures: dict[str, Failure] = {}
        self._collisions: dict[ChildKey, tuple[str, float]] = {}
        self._unserved: dict[ChildKey, float] = {}
        self._scale: ScaleMemory | None = None

    async def visit(self) -> float | None:
        """One pass. Returns seconds until the next one at the latest; None = the cluster is gone.

        Raises TradingError when an action failed; the next visit looks again.
        """
        body = self._mirror.cluster(self._key)
        if body is None:
            await self._tell_lonely_moves()
            return None
        previous = _previous_status(body)
        try:
            cluster = parse_cluster({k: v for k, v in body.items() if k != "status"})
        except UserError as error:
            generation = body["metadata"].get("generation", 0)
            status = status_of_invalid(str(error), generation, previous, time.time())
            await self._reporter.report(status, previous, body)
            return INVALID_SECONDS
        plan = await self._plan(body, cluster, previous)
        await self._report_moves(plan.moves.statuses)  # first: orders follow from what they say
        await self._reporter.report(plan.status, previous, body)
        self._scale = plan.scale  # what is in effect was told before
        said = previous.autoscaling if previous else None
        for text in news(said, plan.status.autoscaling):
            await self._reporter.decision(body, text)
        for action in plan.actions:
            await self._perform(action, body)
        return plan.wake_after_seconds

    async def _report_moves(self, statuses: Mapping[str, SymbolMoveStatus]) -> None:
        members = self._mirror.members(self._key)
        for move in [each for each in members if each["kind"] == MOVE.name]:
            if (status := statuses.get(move["metadata"]["name"])) is not None:
                await self._reporter.report_move(status, move)
        for move, problem in broken_moves(members):
            refused = SymbolMoveStatus(
                state=MoveState.REFUSED, reason=MoveReason.INVALID_SPEC, message=problem[:2000],
                observed_generation=move["metadata"].get("generation", 0),
            )  # fmt: skip
            await self._reporter.report_move(refused, move)

    async def _tell_lonely_moves(self) -> None:
        text = f"there is no TradingCluster {self._key.name} in namespace {self._key.namespace}"
        waiting = SymbolMoveStatus(
            state=MoveState.WAITING, reason=MoveReason.CLUSTER_MISSING, message=text
        )
        await self._report_moves({
            body["metadata"]["name"]: waiting for body in self._mirror.members(self._key)
            if body["kind"] == MOVE.name and not is_ended(body)
        })  # fmt: skip

    async def _plan(
        self, body: Body, cluster: TradingCluster, previous: ClusterStatus | None
    ) -> Plan:
        uid, now = body["metadata"]["uid"], time.time()
        seen, credentials = look(self._key, uid, self._mirror)
        seen = await ask(seen, credentials or {}, self._components, self.loads)
        self._collisions = {k: each for k, each in self._collisions.items() if each[1] > now}
        self._unserved = {k: until for k, until in self._unserved.items() if until > now}
        seen = replace(
            seen,
            unserved=frozenset(self._unserved),
            failures=dict(self._failures),
            collisions={key: text for key, (text, _) in self._collisions.items()},
            api_keys_problem=await self._api_keys.problem(cluster, seen),
        )
        self._applier.uid, self._applier.seen = uid, seen
        self._applier.credentials = credentials or {}
        intent = KubernetesIntent(
            cluster=cluster,
            namespace=self._key.namespace,
            build=self._builder(uid),
            differences=differences,
            is_deleting="deletionTimestamp" in body["metadata"],
            previous=previous,
            scale=self._scale,
        )
        return make_kubernetes_plan(intent, seen, now)

    def _builder(self, uid: str) -> Builder:
        identity = ClusterIdentity(self._key.name, self._key.namespace, uid)
        return lambda spec, topology: wanted_children(identity, spec, topology)

    async def _perform(self, action: Action, body: Body) -> None:
        task = _task(action)
        try:
            await self._effects.perform(action)
        except CollisionError as error:
            until = time.time() + COLLISION_SECONDS
            self._collisions[error.key] = (str(error), until)
        except UnservedError as error:
            self._unserved[error.key] = time.time() + COLLISION_SECONDS
        except TradingError as error:
            before = self._failures.get(task)
            count = before.count + 1 if before else 1
            retry_at = time.time() + min(RETRY_SECONDS * count, 60.0)
            self._failures[task] = Failure(str(error), count, retry_at)
            self._count(action, False)
            await self._reporter.event(body, action, str(error))
            raise WorldError(f"{action.describe()}: {error}") from error
        else:
            self._failures.pop(task, None)
            self._count(action, True)
            await self._reporter.event(body, action)


def _at(hook: Callable[[str], None], action: Action) -> None:
    """Calls of the API tell the seam themselves, also what notes a prepared shard."""
    if isinstance(action, CommandNode | TakeHashSlots | SwitchPrimary | ConfigureShard):
        hook(action.describe())


def _task(action: Action) -> str:
    """Whose failure it is, so that the status of the right component tells it."""
    match action:
        case PrepareShard(shard=shard):
            return prepare_task(shard)
        case ApplyChild(manifest=manifest):
            labels: dict[str, Any] = manifest["metadata"].get("labels") or {}
            return str(labels.get(COMPONENT_LABEL) or action.name)
        case _:
            return subject(action)


def _previous_status(body: Body) -> ClusterStatus | None:
    """What we said last; of an older version that said it otherwise, nothing."""
    try:
        return ClusterStatus.model_validate(body["status"]) if body.get("status") else None
    except ValidationError:
        return None
