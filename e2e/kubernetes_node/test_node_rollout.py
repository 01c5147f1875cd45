"""Replacing backends costs no request: the old ones drain, the new ones are ready first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from node_exchange import SMALL, NodeExchange, small_document

from operator_process import Kubectl, until
from test_survives_kills import crowd_of, judge, wait_for_acknowledgements

pytestmark = pytest.mark.kubernetes
# Answers that say something of the order and nothing of the backend: it was filled or cancelled.
OF_THE_ORDER = ("cancel fail -2011", "query fail -2013")


def test_no_request_fails_while_backends_are_replaced_and_scaled(
    operator: Kubectl, namespace: str, tmp_path: Path, times: dict[str, Any]
) -> None:
    exchange = NodeExchange(operator, namespace, "steady")
    operator("apply", "-n", namespace, "-f", "-", stdin=small_document("steady"))
    exchange.wait_ready(180)
    crowd, accounts = crowd_of(exchange, tmp_path, "r")  # type: ignore[arg-type]
    until(lambda: all(exchange.knows(key) for key in accounts), "the keys are there", 120)
    before = {pod["metadata"]["uid"] for pod in exchange.pods("replica")}
    other = {**SMALL, "cpu": "21m"}
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        for replicas, resources in ((2, other), (4, other), (2, other)):
            backends = {"replicas": replicas, "resources": resources}
            document = small_document("steady", backends=backends)
            operator("apply", "-n", namespace, "-f", "-", stdin=document)
            exchange.wait_ready(180)
            until(lambda: _are_gone(exchange), "those on their way out are gone", 90)
            wait_for_acknowledgements(crowd, 50, 60)
    assert not before & {pod["metadata"]["uid"] for pod in exchange.pods("replica")}
    failed = {
        told: number for told, number in crowd.counts().items()
        if " ok" not in told and told not in (*OF_THE_ORDER, "resent and acknowledged")
    }  # fmt: skip
    assert not failed, crowd.counts()
    times["requests_during_rollout"] = sum(crowd.counts().values())
    judge(exchange, tmp_path, accounts)  # type: ignore[arg-type]


def _are_gone(exchange: NodeExchange) -> bool:
    selector = f"hft.trading/cluster={exchange.name},hft.trading/role=replica"
    items = exchange.kubectl.get("pods", exchange.namespace, selector=selector)["items"]
    return not any("deletionTimestamp" in pod["metadata"] for pod in items)
