"""Whatever parts say, rates are finite, not negative, and every expected part counts or is told."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trading_operator.planner.scaling.rates import LastReadings, fold
from trading_operator.planner.scaling.signals import Readings, ReplicaReading, Source, Tier

numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0, 10.0, -1.0])
)
names = st.sampled_from(["backend-0", "backend-1", "backend-2", ""])
replicas = st.builds(
    ReplicaReading,
    source=st.builds(Source, name=names, at_seconds=numbers, reported_by=names, incarnation=names),
    requests_total=numbers,
    cpu_seconds_total=numbers,
    queued_requests=st.none() | numbers,
)


@given(st.lists(st.tuples(st.lists(replicas, max_size=4), numbers), max_size=6))
def test_rates_are_sound_whatever_was_read(
    looks: list[tuple[list[ReplicaReading], float]],
) -> None:
    last = LastReadings()
    expected = {Tier.BACKENDS: ("backend-0", "backend-1")}
    for given_replicas, now in looks:
        readings = Readings(replicas=tuple(given_replicas))
        rates, last = fold(last, readings, expected, now)
        counted = [unit.name for unit in rates.unit_loads(Tier.BACKENDS)]
        told = {each.name for each in rates.dropped}
        assert len(counted) == len(set(counted))
        assert set(expected[Tier.BACKENDS]) <= told | set(counted)
        assert not told & set(counted) or "backend-2" in told
        for unit in rates.unit_loads(Tier.BACKENDS):
            for value in (unit.work_per_second, *unit.loads.values()):
                assert math.isfinite(value) and value >= 0
