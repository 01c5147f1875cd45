"""Three members of which each commit waits for two: one goes, then two at once, under orders."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from node_exchange import SMALL, NodeExchange, small_document

from judged import crowd_of, judge, wait_for_acknowledgements
from operator_process import Kubectl, until

pytestmark = pytest.mark.kubernetes
MEMBERS = 3


def _primary_first(exchange: NodeExchange) -> list[str]:
    """The pods of the shard by name; the standbys in no particular order."""
    role = "hft.trading/patroni-role"
    pods = {
        pod["metadata"]["name"]: pod["metadata"]["labels"].get(role, "")
        for pod in exchange.pods("shard")
    }
    return sorted(pods, key=lambda name: pods[name] not in ("primary", "master"))


def test_required_durability_loses_nothing_though_two_of_three_members_go_at_once(
    operator: Kubectl, namespace: str, tmp_path: Path, times: dict[str, Any]
) -> None:
    exchange = NodeExchange(operator, namespace, "safe")
    shards = {
        "members": MEMBERS, "durability": "required", "resources": SMALL,
        "storage": {"size": "1Gi", "reclaim": "delete"},
    }  # fmt: skip
    operator("apply", "-n", namespace, "-f", "-", stdin=small_document("safe", shards=shards))
    times["required_ready"] = round(exchange.wait_ready(240), 1)
    crowd, accounts = crowd_of(exchange, tmp_path, "d")  # type: ignore[arg-type]
    until(lambda: all(exchange.knows(key) for key in accounts), "the keys are there", 120)
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        for count in (1, 2):
            begun = time.monotonic()
            for name in _primary_first(exchange)[:count]:
                exchange.delete_pod_at_once(name)
            wait_for_acknowledgements(crowd, 20, 120)
            times[f"required_{count}_gone_orders_again"] = round(time.monotonic() - begun, 1)
            exchange.wait_ready(240)
            until(lambda: _is_durable(exchange), "commits wait for a standby", 60)
            times[f"required_{count}_gone_ready_again"] = round(time.monotonic() - begun, 1)
            wait_for_acknowledgements(crowd, 20, 60)
    judge(exchange, tmp_path, accounts)  # type: ignore[arg-type]


def _is_durable(exchange: NodeExchange) -> bool:
    told = exchange.kubectl.condition(exchange.namespace, exchange.name, "DurabilityDegraded")
    return told.get("status") == "False" and len(exchange.pods("shard")) == MEMBERS
