"""A cluster follows its load by itself, there and back, and says why; no client notices."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange import Exchange, brought_up
from judged import (
    crowd_of,
    judge,
    pace,
    pid_of,
    unclear_after_one_retry,
    wait_for_acknowledgements,
)

EXAMPLE = Path(__file__).parents[1] / "examples" / "11-scaling-by-load" / "cluster.yaml"
BUSY, QUIET = 150, 2  # calls a second of each of the two clients
# So small that this load fills several, and so short that a test can wait for it.
SMALL = {"partitions": {"resources": {"cpu": "60m"}}, "redis": {"resources": {"cpu": "10m"}}}
# What a part takes at rest differs by machine, up to all of a small unit: before the load and after
# it units are large. Only the planner looks at their size here; nothing restarts for it.
LARGE = {"partitions": {"resources": {"cpu": "1"}}, "redis": {"resources": {"cpu": "500m"}}}
QUICK: dict[str, Any] = {
    "partitions": {"mode": "on", "min": 1, "max": 3, "cooldownSeconds": 5},
    "redis": {"mode": "on", "min": 3, "max": 4, "cooldownSeconds": 5},
    "scaleInAfterSeconds": 60,
}


@pytest.fixture
def breathing(tmp_path: Path) -> Iterator[Exchange]:
    """The example's cluster, for one test alone."""
    with brought_up("breathing", written(tmp_path, LARGE)) as running:
        yield running


def written(folder: Path, units: dict[str, Any]) -> Path:
    """The specification with such units."""
    document = yaml.safe_load(EXAMPLE.read_text())
    backends = {"resources": {"cpu": "1"}}  # so that they never are what limits
    document["spec"] |= {**units, "backends": backends, "autoscaling": QUICK}
    path = folder / "breathing.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML without aliases
    return path


def until(holds: Callable[[], bool], exchange: Exchange, what: str) -> None:
    """Wait for it; what autoscaling says is told when it does not come."""
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline, f"not yet: {what}\n{exchange.ctl('explain')}"
        time.sleep(1)


def count(exchange: Exchange, tier: str) -> int:
    """The count in effect."""
    tiers = exchange.status()["autoscaling"]["tiers"]
    return next(int(each["count"]) for each in tiers if each["name"] == tier)


def owners(exchange: Exchange) -> set[str]:
    """Partitions that own anything."""
    return {slot["partition"] for slot in exchange.status()["slots"]}


def names(exchange: Exchange) -> set[str]:
    """What runs."""
    return {each["name"] for each in exchange.status()["processes"] if each["pid"]}


def redis_masters(exchange: Exchange) -> int:
    """How many nodes of Redis own hash slots, by the account of the first one."""
    with exchange.redis_nodes()[0] as node:
        nodes: dict[str, dict[str, Any]] = node.execute_command("CLUSTER NODES")
    return sum(bool(each["slots"]) for each in nodes.values())


def test_partitions_and_redis_masters_come_with_load_and_go_with_it(
    breathing: Exchange, tmp_path: Path
) -> None:
    crowd, accounts = crowd_of(breathing, tmp_path, "b", QUIET)
    with crowd:
        wait_for_acknowledgements(crowd, 20, 60)
        assert owners(breathing) == {"partition-0"}
        breathing.ctl("apply", "-f", str(written(tmp_path, SMALL)))
        pace(crowd, BUSY)
        until(lambda: "partition-1" in names(breathing), breathing, "one came")
        until(lambda: len(owners(breathing)) > 1, breathing, "symbols moved to the new one")
        until(lambda: redis_masters(breathing) == 4, breathing, "Redis has another master")
        grown = count(breathing, "partitions")
        assert "partitions: " in breathing.ctl("explain", "--tier", "partitions")
        os.kill(pid_of(breathing, "supervisor"), signal.SIGKILL)
        wait_for_acknowledgements(crowd, 300, 120)
        breathing.wait_ready(120)
        assert count(breathing, "partitions") >= grown
        pace(crowd, QUIET)
        breathing.ctl("apply", "-f", str(written(tmp_path, LARGE)))
        until(lambda: owners(breathing) == {"partition-0"}, breathing, "all came back")
        until(lambda: "partition-1" not in names(breathing), breathing, "it went")
        until(lambda: "redis-3" not in names(breathing), breathing, "the other master went")
        assert redis_masters(breathing) == 3
        wait_for_acknowledgements(crowd, 20, 60)
    assert unclear_after_one_retry(tmp_path, accounts) == []
    judge(breathing, tmp_path, accounts)
    told = json.loads(breathing.ctl("explain", "-o", "json"))
    changes = [each["action"] for each in told["history"] if each["tier"] == "partitions"]
    assert changes.index("Grow") < changes.index("Shrink")
    moves = json.loads(breathing.ctl("moves", "-o", "json"))["moves"]
    assert moves
    assert {each["spec"]["requestedBy"] for each in moves} == {"Planner"}
