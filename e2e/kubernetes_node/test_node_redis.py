"""Redis masters in real pods come and go under orders, and their operators die meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from moving_cluster import Moving, kill_operators, moving_cluster
from node_exchange import SMALL_NODE

from judged import wait_for_acknowledgements
from operator_process import Kubectl, until

pytestmark = [pytest.mark.kubernetes, pytest.mark.long]
WAIT_SECONDS = 180


def _redis(masters: int) -> dict[str, Any]:
    return {"masters": masters, "replicasPerMaster": 1, "resources": SMALL_NODE}


@pytest.fixture
def trading(operator: Kubectl, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Moving]:
    """Ready, with three masters and a follower for each."""
    with moving_cluster(operator, request, tmp_path, redis=_redis(3)) as made:
        yield made


def test_masters_come_and_go_under_orders_though_operators_die(
    trading: Moving, times: dict[str, Any]
) -> None:
    crowd = trading.traders("r")
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        for masters, word in ((4, "redis_master_added"), (3, "redis_master_removed")):
            before, begun = _owners(trading), time.monotonic()
            trading.apply(redis=_redis(masters))
            until(partial(_has_changed, trading, before), "some move", WAIT_SECONDS)
            kill_operators(trading.exchange.kubectl)
            until(partial(_is_done, trading, masters), f"{masters} masters", WAIT_SECONDS)
            trading.exchange.wait_ready(WAIT_SECONDS)
            times[word] = round(time.monotonic() - begun, 1)
            wait_for_acknowledgements(crowd, 50, 60)
    trading.nobody_noticed()


def _owners(trading: Moving) -> dict[str, int]:
    """Masters, and how many hash slots each owns, as the first node tells it."""
    exchange = trading.exchange
    words = ("redis-cli", "-p", "6379", "CLUSTER", "NODES")
    pod = f"{exchange.name}-redis-0"
    text = exchange.kubectl("exec", "-n", exchange.namespace, pod, "--", *words)
    found = {}
    for fields in (line.split() for line in text.splitlines()):
        ranges = [each.partition("-") for each in fields[8:] if not each.startswith("[")]
        if count := sum(int(last or first) - int(first) + 1 for first, _, last in ranges):
            found[fields[0]] = count
    return found


def _has_changed(trading: Moving, before: dict[str, int]) -> bool:
    """Whether hash slots have changed hands."""
    return _owners(trading) != before


def _is_done(trading: Moving, masters: int) -> bool:
    """All hash slots are owned by so many, and nobody is there who is not asked for."""
    owners, pods = _owners(trading), trading.exchange.pods("redis")
    is_even = min(owners.values()) >= 0.9 * 16_384 / masters
    return len(owners) == masters and is_even and len(pods) == 2 * masters
