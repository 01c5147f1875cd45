"""Backends, partitions and a shard in real pods come with load and go with it; nobody asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moving_cluster import SPEC, Moving, kill_operators, moving_cluster

from judged import pace, wait_for_acknowledgements
from operator_process import Kubectl, until

pytestmark = [pytest.mark.kubernetes, pytest.mark.long]
BUSY, QUIET = 150, 2  # calls a second of each of the two clients
ON = {"mode": "on", "min": 1, "max": 2, "cooldownSeconds": 10}
WAIT_SECONDS = 300


def _units(cpu: str) -> dict[str, Any]:
    """So small that the load fills several; what they use is not limited by it."""
    return {"cpu": cpu, "memory": "256Mi"}


BREATHING: dict[str, Any] = {
    "backends": {"replicas": 1, "resources": _units("30m")},
    "partitions": {"count": 1, "resources": _units("60m")},
    "shards": {**SPEC["shards"], "count": 1, "resources": _units("5m")},
    "autoscaling": {
        "backends": ON, "partitions": ON, "shards": ON, "scaleInAfterSeconds": 60,
    },
    "rebalancing": {"mode": "on"},
}  # fmt: skip


@pytest.fixture
def breathing(
    operator: Kubectl, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Moving]:
    """Ready, with one of each tier that scales."""
    with moving_cluster(operator, request, tmp_path, **BREATHING) as made:
        yield made


def test_each_tier_follows_its_load_there_and_back(
    breathing: Moving, times: dict[str, Any]
) -> None:
    before = _spec(breathing)
    crowd = breathing.traders("b", QUIET)
    with crowd:
        wait_for_acknowledgements(crowd, 20, 60)
        begun = time.monotonic()
        pace(crowd, BUSY)
        _until(breathing, lambda: _units_of(breathing) == (2, 2, 2), "all have grown")
        times["scaled_out_by_load"] = round(time.monotonic() - begun, 1)
        kill_operators(breathing.exchange.kubectl)
        wait_for_acknowledgements(crowd, 300, 120)
        breathing.exchange.wait_ready(120)
        assert _units_of(breathing) == (2, 2, 2)
        begun = time.monotonic()
        pace(crowd, QUIET)
        more = {"partition-1", "shard-1"}
        _until(breathing, lambda: _units_of(breathing) == (1, 1, 1), "all are small again")
        _until(breathing, lambda: not more & breathing.sets(), "what came is gone")
        times["scaled_in_by_load"] = round(time.monotonic() - begun, 1)
        wait_for_acknowledgements(crowd, 20, 60)
    assert _spec(breathing) == before
    assert {each["spec"]["requestedBy"] for each in breathing.moves()} == {"Planner"}
    breathing.nobody_noticed()


def _spec(breathing: Moving) -> Any:
    exchange = breathing.exchange
    return exchange.kubectl.get("tradingcluster", exchange.namespace, exchange.name)["spec"]


def _units_of(breathing: Moving) -> tuple[int, int, int]:
    """Backends that were asked for, partitions and shards that own symbols."""
    exchange = breathing.exchange
    body = exchange.kubectl.get("deployment", exchange.namespace, f"{exchange.name}-backend")
    slots = exchange.topology()["slots"]
    owners = [len({slot[tier] for slot in slots}) for tier in ("partition", "shard")]
    return body["spec"]["replicas"], owners[0], owners[1]


def _until(breathing: Moving, check: Callable[[], bool], what: str) -> None:
    """What autoscaling says is told when it does not come."""
    try:
        until(check, what, WAIT_SECONDS)
    except AssertionError as problem:
        exchange = breathing.exchange
        words = ("get", "tradingcluster", exchange.name, "-n", exchange.namespace)
        told = exchange.kubectl(*words, "-o", "jsonpath={.status.autoscaling}")
        raise AssertionError(f"{problem}; {_units_of(breathing)}; {told}") from problem
