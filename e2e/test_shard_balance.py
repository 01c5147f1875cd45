"""Two shards, one with three quarters of the load: by load alone a range goes to the other."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange import Exchange, brought_up
from judged import crowd_of, judge, unclear_after_one_retry, wait_for_acknowledgements

EXAMPLE = Path(__file__).parents[1] / "examples" / "11-scaling-by-load" / "cluster.yaml"
BUSY = 150  # calls a second of each of the two clients
SECONDS_MAX = 300
# Nine of the twelve symbols on one shard; units so small that this load is much for them; no
# growth, and so short that a test can wait for it.
UNEVEN: dict[str, Any] = {
    "shards": {"count": 2, "resources": {"cpu": "8m"}},
    "placement": [
        {"range": "..T", "shard": 0, "partition": 0},
        {"range": "T..", "shard": 1, "partition": 0},
    ],
    "autoscaling": {"shards": {"mode": "on", "min": 2, "max": 2}, "scaleInAfterSeconds": 60},
    "rebalancing": {"mode": "on"},
}
pytestmark = pytest.mark.long


@pytest.fixture
def uneven(tmp_path: Path) -> Iterator[Exchange]:
    """The example's symbols on two shards, for one test alone."""
    document = yaml.safe_load(EXAMPLE.read_text())
    document["spec"] = {"symbols": document["spec"]["symbols"], **UNEVEN}
    path = tmp_path / "uneven.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML without aliases
    with brought_up("breathing", path) as running:
        yield running


def until(holds: Callable[[], bool], exchange: Exchange, what: str) -> None:
    """Wait for it; what is said of shards is told when it does not come."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        told = exchange.ctl("explain", "--tier", "shards") if time.monotonic() > deadline else ""
        assert not told, f"not yet: {what}\n{told}"
        time.sleep(1)


def of_planner(exchange: Exchange) -> list[dict[str, Any]]:
    """Its moves."""
    moves = json.loads(exchange.ctl("moves", "-o", "json"))["moves"]
    return [each for each in moves if each["spec"]["requestedBy"] == "Planner"]


def homes(exchange: Exchange) -> Counter[str]:
    """How many slots each shard has."""
    return Counter(slot["shard"] for slot in exchange.status()["slots"])


def test_the_fuller_shard_gives_a_range_to_the_other_while_it_trades(
    uneven: Exchange, tmp_path: Path
) -> None:
    crowd, accounts = crowd_of(uneven, tmp_path, "s", BUSY)
    with crowd:
        wait_for_acknowledgements(crowd, 100, 60)
        before = homes(uneven)
        until(lambda: bool(of_planner(uneven)), uneven, "a move was asked for")
        until(lambda: homes(uneven)["shard-1"] > before["shard-1"], uneven, "a slot moved")
        wait_for_acknowledgements(crowd, 300, 120)
        said = uneven.ctl("explain", "--tier", "shards")
    (move, *_) = of_planner(uneven)
    assert move["spec"]["toShard"] == "shard-1"
    assert move["spec"]["reason"].startswith("shard-0 is fuller than the others: ")
    assert "rebalancing of shards: " in said
    assert unclear_after_one_retry(tmp_path, accounts) == []
    judge(uneven, tmp_path, accounts)
