"""On a real node: every part of a trading cluster tells its load, and Prometheus can read it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from node_exchange import NodeExchange, small_document

from operator_process import Kubectl, until

pytestmark = pytest.mark.kubernetes
TIERS = ("backends", "partitions", "shards", "redis")
SAID_SECONDS = 30.0


def load_of(exchange: NodeExchange) -> dict[str, Any]:
    """`status.load`; empty until there is one."""
    body = exchange.kubectl.get("tradingclusters.hft.trading", exchange.namespace, exchange.name)
    found: dict[str, Any] = body["status"].get("load", {})
    return found


def is_known(load: dict[str, Any]) -> bool:
    """Every part has figures."""
    return all(load.get(tier) and not any(p["unknown"] for p in load[tier]) for tier in TIERS)


def text_at(address: str, port: int) -> str:
    """`GET /metrics` of a pod."""
    answer = httpx.get(f"http://{address}:{port}/metrics", timeout=10)
    assert answer.status_code == 200
    return answer.text


def test_status_and_metrics_tell_the_load(operator: Kubectl, namespace: str) -> None:
    document = small_document("loaded")
    operator("apply", "-n", namespace, "-f", "-", stdin=document)
    exchange = NodeExchange(operator, namespace, "loaded")
    exchange.wait_ready(240)
    until(lambda: is_known(load_of(exchange)), "the load of every part", 150)
    load = load_of(exchange)
    assert {part["name"] for part in load["backends"]} == {
        pod["metadata"]["name"] for pod in exchange.pods("replica")
    }
    assert [part["name"] for part in load["partitions"]] == ["partition-0"]
    assert [part["name"] for part in load["shards"]] == ["shard-0"]
    assert load["shards"][0]["walBytesPerSecond"] >= 0
    (partition,) = exchange.pods("partition")
    text = text_at(partition["status"]["podIP"], 9001)
    assert 'trading_partition_open_orders{partition="partition-0"} 0.0' in text
    for replica in exchange.pods("replica"):
        assert "trading_replica_requests_total{" in text_at(replica["status"]["podIP"], 8080)
    where = f'cluster="loaded",namespace="{namespace}",shard="shard-0"'
    assert any(f"trading_shard_wal_bytes_total{{{where}}}" in said for said in _operators(operator))
    assert operator("diff", "-n", namespace, "-f", "-", stdin=document) == ""


def test_the_load_is_written_seldom(operator: Kubectl, namespace: str) -> None:
    operator("apply", "-n", namespace, "-f", "-", stdin=small_document("quiet"))
    exchange = NodeExchange(operator, namespace, "quiet")
    exchange.wait_ready(240)
    until(lambda: is_known(load_of(exchange)), "the load of every part", 150)
    times = _observed_at(lambda: str(load_of(exchange)["observedAt"]), 3 * SAID_SECONDS)
    assert len(times) <= 1 + 3


def _observed_at(read: Callable[[], str], seconds: float) -> set[str]:
    """The different times that are told within this time."""
    found: set[str] = set()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found.add(read())
        time.sleep(1)
    return found


def _operators(kubectl: Kubectl) -> list[str]:
    """The metrics of both operators; the one that follows knows no clusters."""
    selector = "app.kubernetes.io/name=trading-operator"
    pods = kubectl.get("pods", "trading-system", selector=selector)["items"]
    return [text_at(pod["status"]["podIP"], 8081) for pod in pods]
