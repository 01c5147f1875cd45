"""Standbys that follow nobody begin anew: which, when, and which never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trading_operator.planner.kubernetes.reviving import ALONE_SECONDS_MAX, revivals
from trading_operator.planner.kubernetes.seen import KubernetesSeen, PodSeen
from trading_operator.planner.observed import ShardSeen
from trading_operator.probes.patroni import parse_member

NOW = 10_000.0
SHARD = "shard-0"
LONG_AGO = NOW - ALONE_SECONDS_MAX


def _pod(number: int, **known: Any) -> PodSeen:
    return PodSeen(f"demo-{SHARD}-{number}", f"u{number}", "shard", SHARD, "t", **known)


def _seen(states: list[str], **known: Any) -> KubernetesSeen:
    """A shard whose first member leads, by Patroni's states; who does not stream is late."""
    pods = [
        _pod(n, unready_since=LONG_AGO if n and state != "streaming" else 0.0)
        for n, state in enumerate(states)
    ]
    members = [
        parse_member(pod.name, _told(state, is_primary=n == 0))
        for n, (pod, state) in enumerate(zip(pods, states, strict=True))
    ]
    seen = KubernetesSeen(
        pods=tuple(pods), members={SHARD: tuple(members)},
        shards={SHARD: ShardSeen(accepts_writes=True)},
    )  # fmt: skip
    return replace(seen, **known)


def _told(state: str, *, is_primary: bool) -> dict[str, Any]:
    """What Patroni answers; what a standby that serves gets is told apart from its state."""
    told = {"state": state, "role": "primary" if is_primary else "replica"}
    if state in ("streaming", "in archive recovery"):
        told |= {"state": "running", "replication_state": state}
    return told


def _names(seen: KubernetesSeen, now: float = NOW) -> list[str]:
    return [action.name for action in revivals(seen, now)]


def test_a_standby_that_follows_nobody_begins_anew() -> None:
    seen = _seen(["running", "streaming", "running"])
    (action,) = revivals(seen, NOW)
    assert (action.name, action.uid) == ("demo-shard-0-2", "u2")
    assert "follows nobody" in action.reason


def test_it_has_time_to_find_its_primary_first() -> None:
    assert _names(_seen(["running", "running"]), NOW - 1) == []


@pytest.mark.parametrize(
    "state", ["streaming", "starting", "creating replica", "in archive recovery", "stopped"]
)
def test_who_follows_starts_or_is_made_is_left_alone(state: str) -> None:
    assert _names(_seen(["running", state])) == []


def test_one_after_the_other() -> None:
    seen = _seen(["running", "running", "running"])
    assert _names(seen) == ["demo-shard-0-1"]
    pods = (*seen.pods[:1], replace(seen.pods[1], is_deleting=True), *seen.pods[2:])
    assert _names(replace(seen, pods=pods)) == []


@pytest.mark.parametrize("accepts_writes", [False, None])
def test_without_a_primary_there_is_nobody_to_follow(accepts_writes: bool | None) -> None:
    shards = {SHARD: ShardSeen(accepts_writes=accepts_writes)}
    assert _names(_seen(["running", "running"], shards=shards)) == []
    assert _names(_seen(["running", "running"], shards={})) == []


def test_who_is_not_known_to_be_unready_is_left_alone() -> None:
    assert _names(_seen(["running", "running"], pods=(_pod(0), _pod(1)))) == []
