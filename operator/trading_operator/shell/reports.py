"""What the operator says: the status, in one write and only when it differs, and events."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trading_contract.errors import WorldError
from trading_contract.status import ClusterStatus
from trading_contract.symbolmove import MoveState, SymbolMoveStatus
from trading_operator.planner.actions import Action
from trading_operator.substrates.kubernetes.api import (
    CLUSTER,
    EVENT,
    MOVE,
    Body,
    Kind,
    KubernetesApi,
)
from trading_operator.substrates.kubernetes.mirror import ClusterKey, Mirror

logger = logging.getLogger("trading_operator.reports")
NOTE_CHARACTERS_MAX = 1000
SLOTS_TOLD_MAX = 200


@dataclass(frozen=True)
class _Event:
    """What is told: a word for what was done, one for why, and the same for people."""

    action: str
    reason: str
    note: str
    is_bad: bool


class Reporter:
    """Writes about one cluster."""

    def __init__(self, key: ClusterKey, api: KubernetesApi, mirror: Mirror) -> None:
        self._key = key
        self._api = api
        self._mirror = mirror

    async def report(
        self, status: ClusterStatus, previous: ClusterStatus | None, body: Body
    ) -> None:
        """Write the status if it says something new."""
        told = status.model_copy(update={"slots": status.slots[:SLOTS_TOLD_MAX], "processes": ()})
        if previous is not None and told == previous:
            return
        for condition in told.conditions:
            old = next((c for c in (previous.conditions if previous else ()) if
                        c.type == condition.type), None)  # fmt: skip
            if old is None or (old.status, old.reason) != (condition.status, condition.reason):
                logger.info(
                    "%s/%s: %s is %s, %s: %s", *self._key, condition.type.value, condition.status,
                    condition.reason, condition.message,
                )  # fmt: skip
        document = told.model_dump(mode="json", by_alias=True, exclude_none=True)
        document.pop("processes", None)
        answer = await self._api.apply_status(
            CLUSTER, self._key.namespace, self._key.name, document
        )
        self._mirror.put({**answer, "kind": CLUSTER.name})

    async def report_move(self, status: SymbolMoveStatus, body: Body) -> None:
        """Write the status of a SymbolMove, if it says something new; its turns are events too."""
        document = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        before = body.get("status") or {}
        if document == before:
            return
        metadata = body["metadata"]
        answer = await self._api.apply_status(
            MOVE, metadata["namespace"], metadata["name"], document
        )
        self._mirror.put({**answer, "kind": MOVE.name})
        if (before.get("state"), before.get("reason")) == (document["state"], document["reason"]):
            return
        logger.info(
            "%s/%s: %s, %s: %s", metadata["namespace"], metadata["name"], document["state"],
            document["reason"], document["message"],
        )  # fmt: skip
        is_bad = status.state in (MoveState.REFUSED, MoveState.FAILED)
        told = _Event("Move", status.reason or status.state.value, status.message, is_bad=is_bad)
        await self._tell(MOVE, body, told)

    async def event(self, body: Body, action: Action, problem: str = "") -> None:
        """Tell people what was done or failed; that it cannot be told stops nothing."""
        name = type(action).__name__
        text = f"{action.describe()} ({action.reason})"
        note = f"{text}: {problem}" if problem else text
        reason = f"{name}Failed" if problem else name
        await self._tell(CLUSTER, body, _Event(name, reason, note, is_bad=bool(problem)))

    async def decision(self, body: Body, text: str) -> None:
        """Tell people that load changes the count of a tier, and why."""
        logger.info("%s/%s: %s", *self._key, text)
        await self._tell(CLUSTER, body, _Event("Scale", "ScalesByLoad", text, is_bad=False))

    async def _tell(self, kind: Kind, body: Body, told: _Event) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata = body["metadata"]
        event: dict[str, Any] = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {
                "generateName": f"{metadata['name'][:200]}-",
                "namespace": self._key.namespace,
            },
            "eventTime": now,
            "reportingController": "hft.trading/trading-operator",
            "reportingInstance": "trading-operator",
            "action": told.action,
            "reason": told.reason,
            "type": "Warning" if told.is_bad else "Normal",
            "note": told.note[:NOTE_CHARACTERS_MAX],
            "regarding": {
                "apiVersion": kind.api_version,
                "kind": kind.name,
                "name": metadata["name"],
                "namespace": self._key.namespace,
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
        }
        try:
            await self._api.create(EVENT, self._key.namespace, event)
        except WorldError as error:
            logger.warning("an event could not be written: %s", error)
