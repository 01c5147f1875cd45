"""Predictions know that a commit costs about the same for one command and for a hundred."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from trading_contract.policies import PartitionAutoscaling
from trading_operator.planner.scaling.decisions import Action, Decision, History, Why
from trading_operator.planner.scaling.memory import TierMemory
from trading_operator.planner.scaling.predictions import (
    COMMIT_COST,
    expected,
    overhead,
    remember,
)
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.scaling.tier_case import TierCase
from trading_operator.planner.scaling.tier_state import Attribution, TierCount, TierState

PARTITIONS = TierState(
    Tier.PARTITIONS, TierCount(1, 1, ("partition-0",)), 0.8, 0.8, 400.0, batch=4.0
)
GROWS = Decision(
    Tier.PARTITIONS, 1000.0, Action.GROW, Why.LOAD_ABOVE_TARGET, 1, 2, 2, {"work_per_second": 400.0}
)


def commits_per_second(rate: float, commit_seconds: float) -> float:
    """Of a partition that commits all that waits whenever it is free; arrivals by chance."""
    chance, now, commits = Random(3), 0.0, 0
    arrival = chance.expovariate(rate)
    while now < 400.0:
        now = max(now, arrival)  # free: it waits for the next one
        while arrival <= now:
            arrival += chance.expovariate(rate)
        now, commits = now + commit_seconds, commits + 1
    return commits / now


@pytest.mark.parametrize("halves", [1, 2])
@pytest.mark.parametrize("commit_seconds", [0.001, 0.01, 0.1])
def test_half_of_the_commands_cost_more_than_half_as_in_a_queue_played_through(
    commit_seconds: float, halves: int
) -> None:
    rate, factor = 400.0, 0.5**halves
    whole = commits_per_second(rate, commit_seconds)
    part = commits_per_second(rate * factor, commit_seconds)
    played = (COMMIT_COST * part + rate * factor) / (COMMIT_COST * whole + rate) / factor
    assert overhead(rate / whole, factor) == pytest.approx(played, rel=0.03)
    assert played > 1


def test_nothing_is_added_where_a_commit_has_one_command_or_nobody_tells() -> None:
    assert overhead(1.0, 0.5) == pytest.approx(1.0)
    assert overhead(None, 0.5) == 1.0
    assert overhead(0.7, 0.5) == pytest.approx(1.0)  # a reading between two looks


def test_two_partitions_are_expected_to_use_more_together_than_one() -> None:
    effect = expected(GROWS, PARTITIONS, Attribution(), {})
    assert effect.utilisation == pytest.approx(0.4 * overhead(4.0, 0.5))
    assert effect.utilisation > 0.5
    plain = expected(GROWS, replace(PARTITIONS, batch=None), Attribution(), {})
    assert plain.utilisation == pytest.approx(0.4)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_prediction_that_came_true_has_no_error_whatever_became_of_the_load(
    factor: float,
) -> None:
    work, commit_seconds = 400.0 * factor, 0.01
    before = commits_per_second(400.0, commit_seconds)
    effect = expected(GROWS, replace(PARTITIONS, batch=400.0 / before), Attribution(), {})
    commits = commits_per_second(work / 2, commit_seconds)  # of each of the two
    used = 0.8 * (COMMIT_COST * commits + work / 2) / (COMMIT_COST * before + 400.0)
    seen = TierState(
        Tier.PARTITIONS, TierCount(2, 2), 2 * used, used, work, batch=work / 2 / commits
    )
    hold = replace(GROWS, at_seconds=1200.0, action=Action.HOLD, from_count=2)
    history = History((replace(GROWS, expected=effect),))
    for now_seconds in (1060.0, 1200.0):
        history = remember(
            history, {Tier.PARTITIONS: hold}, {Tier.PARTITIONS: seen}, Attribution(), now_seconds
        )
        is_told = history.decisions[0].observed is not None
        assert is_told is (now_seconds == 1200.0)
    assert history.decisions[0].prediction_error == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(("batch", "load", "needed"), [
    (None, 1.75, 3), (1.0, 1.75, 3), (6.0, 1.75, 4),  # 3 would be fuller than the target
    (6.0, 1.0, 2), (6.0, 40.0, 67),  # fewer cost no more; more than twice as many come later
])  # fmt: skip
def test_as_many_units_are_asked_for_as_smaller_commits_need(
    batch: float | None, load: float, needed: int
) -> None:
    state = TierState(Tier.PARTITIONS, TierCount(2, 2), 1.75, 0.9, 400.0, batch=batch)
    case = TierCase(PartitionAutoscaling(), state, TierMemory(), 1000.0)
    assert case.needed(load) == needed
