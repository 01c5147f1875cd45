"""Durations in classes: cumulative counts, and quantiles of the last seconds."""

from __future__ import annotations

import pytest

from trading_contract.durations import BOUNDS_SECONDS, CLASSES, Durations, quantile_seconds
from trading_contract.load import DurationsTold


def test_bounds_rise_and_a_duration_at_a_bound_is_below_it() -> None:
    assert list(BOUNDS_SECONDS) == sorted(set(BOUNDS_SECONDS))
    durations = Durations()
    for bound in BOUNDS_SECONDS:
        durations.add(bound)
    durations.add(BOUNDS_SECONDS[-1] * 2)
    assert durations.counts == [1] * CLASSES
    assert durations.sum_seconds == pytest.approx(sum(BOUNDS_SECONDS) + 2 * BOUNDS_SECONDS[-1])


def test_quantiles_lie_within_their_class() -> None:
    durations = Durations()
    for _ in range(99):
        durations.add(0.0015)
    durations.add(0.4)
    told = DurationsTold.of(durations)
    assert 1.0 < (told.recent_milliseconds(0.5) or 0) <= 1.5
    assert 1.0 < (told.recent_milliseconds(0.99) or 0) <= 1.5
    assert 300 < (told.recent_milliseconds(0.999) or 0) <= 500


def test_nothing_counted_has_no_quantile_and_the_last_class_has_its_lower_bound() -> None:
    assert quantile_seconds([0] * CLASSES, 0.5) is None
    assert quantile_seconds([0] * (CLASSES - 1) + [3], 0.5) == BOUNDS_SECONDS[-1]


def test_what_lies_two_turns_back_is_not_recent_but_still_counted() -> None:
    durations = Durations()
    durations.add(5.0)
    durations.turn()
    durations.add(0.001)
    assert sum(durations.recent()) == 2
    durations.turn()
    assert sum(durations.recent()) == 1
    assert quantile_seconds(durations.recent(), 0.99) == pytest.approx(0.001, rel=0.3)
    durations.turn()
    assert sum(durations.recent()) == 0
    assert sum(durations.counts) == 2
