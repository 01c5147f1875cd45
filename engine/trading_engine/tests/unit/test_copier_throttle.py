"""How much of its time a copier works, by what commits take meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trading_contract.durations import Durations
from trading_engine.moving.copier import (
    IDLE_SHARE_AMPLE,
    IDLE_SHARE_MIN,
    LEAST_UNCROWDED,
    RESTING,
    SHARING,
    Throttle,
)
from trading_engine.moving.idle_time import IdleTime

FAST, SLOW = 0.004, 0.04
LOOKS = 30


class Pipeline(SimpleNamespace):
    """What a throttle sees of one."""

    def __init__(self) -> None:
        super().__init__(commit_durations=Durations())
        self.commit(FAST)

    def commit(self, seconds: float, count: int = 100) -> None:
        """So many commits that took so long."""
        for _ in range(count):
            self.commit_durations.add(seconds)


def throttle(*pipelines: Any, idle: IdleTime | None = None) -> Throttle:
    """One that begins now."""
    return Throttle(*pipelines, idle=idle)


def test_it_works_more_while_commits_are_as_usual() -> None:
    pipeline = Pipeline()
    made = throttle(pipeline)
    assert made.share == RESTING.first
    for _ in range(LOOKS):
        pipeline.commit(FAST)
        made.look()
    assert made.share == RESTING.most


@pytest.mark.parametrize("slow", [0, 1])
def test_slow_commits_on_either_shard_make_it_rest(slow: int) -> None:
    pipelines = [Pipeline(), Pipeline()]
    made = throttle(*pipelines)
    for _ in range(LOOKS):
        pipelines[slow].commit(SLOW)
        pipelines[1 - slow].commit(FAST)
        made.look()
    assert made.share == RESTING.least


def test_where_nothing_is_committed_nothing_is_slow() -> None:
    made = throttle(Pipeline())
    for _ in range(LOOKS):
        made.look()
    assert made.share == RESTING.most


class Idle(IdleTime):
    """A machine that always has as much of its time left."""

    def __init__(self, share: float | None) -> None:
        super().__init__()
        self._share = share

    def share(self) -> float | None:
        """That."""
        return self._share


def sharing(idle: float | None, *pipelines: Any) -> Throttle:
    """One whose servers are on its machine."""
    made = throttle(*pipelines, idle=Idle(idle))
    made.shares_machine()
    assert made.share == SHARING.first
    return made


@pytest.mark.parametrize("idle", [0.0, IDLE_SHARE_MIN - 0.01])
def test_on_a_machine_that_has_other_work_it_takes_little(idle: float) -> None:
    made = sharing(idle, Pipeline())
    for _ in range(LOOKS):
        made.look()
    assert made.share == SHARING.least


@pytest.mark.parametrize(
    ("idle", "looks"), [(IDLE_SHARE_MIN, LOOKS), (None, LOOKS), (IDLE_SHARE_AMPLE + 0.01, 6)]
)
def test_it_takes_what_is_idle_and_soon_where_there_is_plenty(
    idle: float | None, looks: int
) -> None:
    made = sharing(idle, Pipeline())
    for _ in range(looks):
        made.look()
    assert made.share == SHARING.most


@pytest.mark.parametrize(("idle", "least"), [(1.0, LEAST_UNCROWDED), (0.1, SHARING.least)])
def test_slow_commits_make_it_rest_on_an_idle_machine_too(idle: float, least: float) -> None:
    pipeline = Pipeline()
    made = sharing(idle, pipeline)
    for _ in range(LOOKS):
        pipeline.commit(SLOW)
        made.look()
    assert made.share == least


def test_one_busy_moment_does_not_stop_it() -> None:
    idle = Idle(1.0)
    made = throttle(Pipeline(), idle=idle)
    made.shares_machine()
    for _ in range(LOOKS):
        made.look()
    idle._share = 0.0
    assert made.look() == SHARING.most
    for _ in range(LOOKS):
        made.look()
    assert made.share == SHARING.least


def test_servers_elsewhere_do_not_share_this_machines_time() -> None:
    made = throttle(Pipeline(), idle=Idle(0.0))
    for _ in range(LOOKS):
        made.look()
    assert made.share == RESTING.most


@pytest.mark.parametrize(("slow_before", "rests"), [(0, True), (20, False)])
def test_a_few_slow_commits_of_a_hundred_count_unless_they_are_usual(
    slow_before: int, rests: bool
) -> None:
    pipeline = Pipeline()
    for seconds, count in ((FAST, 100), (SLOW, slow_before)):
        pipeline.commit(seconds, count)
    made = throttle(pipeline)
    for _ in range(LOOKS):
        pipeline.commit(FAST)
        pipeline.commit(SLOW, 8)
        made.look()
    assert made.share == (RESTING.least if rests else RESTING.most)


def test_one_slow_commit_of_few_is_chance() -> None:
    pipeline = Pipeline()
    made = throttle(pipeline)
    pipeline.commit(SLOW, 1)
    pipeline.commit(FAST, 20)
    made.look()
    assert made.share > RESTING.first


@pytest.mark.parametrize(("before", "lately"), [(FAST, SLOW), (SLOW, FAST)])
def test_usual_is_what_commits_took_a_moment_ago(before: float, lately: float) -> None:
    pipeline = Pipeline()
    pipeline.commit(before)
    for _ in range(2):
        pipeline.commit_durations.turn()
        pipeline.commit(lately)
    made = throttle(pipeline)
    for _ in range(LOOKS):
        pipeline.commit(SLOW)
        made.look()
    assert made.share == (RESTING.most if lately == SLOW else RESTING.least)
