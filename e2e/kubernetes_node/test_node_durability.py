"""Three members of which each commit waits for two: one goes, then two at once, under orders.

A standby that lost its primary's address comes back by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import own_namespace
from node_exchange import SMALL, NodeExchange, small_document

from history.client import Crowd
from judged import crowd_of, judge, wait_for_acknowledgements
from operator_process import Kubectl, until
from trading_operator.planner.kubernetes.reviving import REASON

pytestmark = pytest.mark.kubernetes
MEMBERS = 3
# As after a change of the primary that Patroni believes to have been told of: it looks at its
# server's files only when their times change.
FORGET_PRIMARY = """
set -e
cd /data/pgdata
touch -r postgresql.conf /tmp/changed
sed -i '/^primary_conninfo/d' postgresql.conf
touch -r /tmp/changed postgresql.conf
kill -HUP "$(head -n 1 postmaster.pid)"
"""


@pytest.fixture(scope="module")
def safe(
    operator: Kubectl, request: pytest.FixtureRequest, times: dict[str, Any]
) -> Iterator[NodeExchange]:
    """Ready, with one shard of three members."""
    with own_namespace(operator, request) as namespace:
        exchange = NodeExchange(operator, namespace, "safe")
        shards = {
            "members": MEMBERS, "durability": "required", "resources": SMALL,
            "storage": {"size": "1Gi", "reclaim": "delete"},
        }  # fmt: skip
        operator("apply", "-n", namespace, "-f", "-", stdin=small_document("safe", shards=shards))
        times["required_ready"] = round(exchange.wait_ready(240), 1)
        yield exchange


def _crowd(exchange: NodeExchange, folder: Path, prefix: str) -> tuple[Crowd, dict[str, int]]:
    """Traders whose keys all replicas know."""
    crowd, accounts = crowd_of(exchange, folder, prefix)  # type: ignore[arg-type]
    until(lambda: all(exchange.knows(key) for key in accounts), "the keys are there", 120)
    return crowd, accounts


def _primary_first(exchange: NodeExchange) -> list[str]:
    """The pods of the shard by name; the standbys in no particular order."""
    role = "hft.trading/patroni-role"
    pods = {
        pod["metadata"]["name"]: pod["metadata"]["labels"].get(role, "")
        for pod in exchange.pods("shard")
    }
    return sorted(pods, key=lambda name: pods[name] not in ("primary", "master"))


def test_required_durability_loses_nothing_though_two_of_three_members_go_at_once(
    safe: NodeExchange, tmp_path: Path, times: dict[str, Any]
) -> None:
    crowd, accounts = _crowd(safe, tmp_path, "d")
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        for count in (1, 2):
            begun = time.monotonic()
            for name in _primary_first(safe)[:count]:
                safe.delete_pod_at_once(name)
            wait_for_acknowledgements(crowd, 20, 120)
            times[f"required_{count}_gone_orders_again"] = round(time.monotonic() - begun, 1)
            safe.wait_ready(240)
            until(lambda: _is_durable(safe), "commits wait for a standby", 60)
            times[f"required_{count}_gone_ready_again"] = round(time.monotonic() - begun, 1)
            wait_for_acknowledgements(crowd, 20, 60)
    judge(safe, tmp_path, accounts)  # type: ignore[arg-type]


def test_a_standby_that_lost_its_primarys_address_comes_back_by_itself(
    safe: NodeExchange, tmp_path: Path, times: dict[str, Any]
) -> None:
    crowd, accounts = _crowd(safe, tmp_path, "f")
    standby = _primary_first(safe)[-1]
    first = _uids(safe)[standby]
    with crowd:
        wait_for_acknowledgements(crowd, 20, 60)
        begun = time.monotonic()
        words = ("-n", safe.namespace, standby, "--", "sh", "-c", FORGET_PRIMARY)
        safe.kubectl("exec", *words)
        until(lambda: not safe.is_ready(), "a member is missed", 60)
        until(lambda: _uids(safe).get(standby) not in (None, first), "its pod begins anew", 120)
        safe.wait_ready(120)
        times["lost_primary_ready_again"] = round(time.monotonic() - begun, 1)
        wait_for_acknowledgements(crowd, 20, 60)
    assert REASON in safe.kubectl("get", "events", "-n", safe.namespace, check=False)
    judge(safe, tmp_path, accounts)  # type: ignore[arg-type]


def _uids(exchange: NodeExchange) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in exchange.pods("shard")}


def _is_durable(exchange: NodeExchange) -> bool:
    told = exchange.kubectl.condition(exchange.namespace, exchange.name, "DurabilityDegraded")
    return told.get("status") == "False" and len(exchange.pods("shard")) == MEMBERS
