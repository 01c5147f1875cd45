"""Packing and averages, against plain definitions."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trading_operator.planner.scaling.averages import Averages, fold_loads
from trading_operator.planner.scaling.packing import (
    bins_needed,
    first_fit,
    highest_after_removal,
)

sizes = st.lists(st.floats(0.001, 1.5), max_size=40)


def plain_first_fit(items: list[float]) -> int:
    """The definition."""
    free: list[float] = []
    for item in items:
        at = next((at for at, room in enumerate(free) if room >= min(item, 1.0)), None)
        if at is None:
            free.append(1.0)
            at = len(free) - 1
        free[at] = max(0.0, free[at] - item) if item <= 1.0 else 0.0
    return len(free)


@given(sizes)
def test_the_tree_packs_as_first_fit_does(items: list[float]) -> None:
    ordered = sorted(items, reverse=True)
    assert first_fit(ordered, 1.0) == plain_first_fit(ordered)


@given(sizes)
def test_bins_hold_what_is_packed(items: list[float]) -> None:
    fit = [item for item in items if item <= 1.0]
    beside = len(items) - len(fit)
    assert bins_needed(items, 1.0) >= math.ceil(round(sum(fit), 6)) + beside
    assert bins_needed(items, 1.0) <= 2 * sum(fit) + beside + 1


@given(sizes, st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 2), min_size=1))
def test_after_a_removal_nothing_is_lost(items: list[float], others: dict[str, float]) -> None:
    highest = highest_after_removal(items, others, 1.0)
    mean = (sum(items) + sum(others.values())) / len(others)
    assert highest >= mean - 1e-6
    assert highest <= max(*others.values(), mean + max(items, default=0.0)) + 1e-6
    assert highest_after_removal(items, {}, 1.0) == math.inf


looks = st.lists(
    st.tuples(st.dictionaries(st.integers(0, 5), st.floats(0, 1000)), st.floats(0, 1e6)),
    min_size=1,
    max_size=12,
)


@given(looks, st.lists(st.integers(0, 5), unique=True).map(sorted))
def test_averages_stay_within_what_was_seen(
    seen: list[tuple[dict[int, float], float]], known: list[int]
) -> None:
    averages = Averages()
    for loads, now in seen:
        averages = fold_loads(averages, loads, known, now)
    highest = max((load for loads, _ in seen for load in loads.values()), default=0.0)
    assert averages.ids == tuple(known)
    for column in (averages.fast, averages.slow, averages.peak()):
        assert len(column) == len(known)
        assert all(-1e-6 <= value <= highest + 1e-6 for value in column)


@given(st.floats(0, 1000))
def test_a_slot_that_is_not_told_of_keeps_its_averages(load: float) -> None:
    averages = fold_loads(Averages(), {1: load, 2: load}, [1, 2], 0.0)
    later = fold_loads(averages, {2: load}, [1, 2], 300.0)
    assert later.fast[0] == averages.fast[0]
    assert later.slow[0] == averages.slow[0]
