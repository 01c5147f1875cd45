"""Units of other sizes carry other loads; where work queues, what passes is all that passes."""

from __future__ import annotations

import pytest

from trading_operator.planner.scaling.averages import Averages, fold_loads
from trading_operator.planner.scaling.capacity import default_capacities, learn, sized_capacities
from trading_operator.planner.scaling.decisions import Action, Blocker
from trading_operator.planner.scaling.memory import Memory
from trading_operator.planner.scaling.plan import plan_scaling
from trading_operator.planner.scaling.signals import Rates, Tier, UnitLoad
from trading_operator.planner.scaling.tier_state import TierCount, TierState, tier_states
from trading_operator.tests.unit.test_scaling_plan import NOON, looks, spec_of, world

CPU = "cpu_milliseconds_per_second"


@pytest.mark.parametrize(("cores", "milliseconds"), [(0.1, 85.0), (1.0, 850.0), (4.0, 850.0)])
def test_a_unit_of_a_part_of_a_core_carries_that_part(cores: float, milliseconds: float) -> None:
    capacities = sized_capacities({Tier.PARTITIONS: cores})
    assert capacities.of(Tier.PARTITIONS) == pytest.approx(milliseconds)
    assert capacities.of(Tier.BACKENDS) == pytest.approx(850.0)


def test_a_small_shard_writes_less_and_a_large_one_no_more_than_its_disk() -> None:
    small = sized_capacities({Tier.SHARDS: 0.033})
    assert small.of(Tier.SHARDS, "rows_per_second") == pytest.approx(4_000)
    assert small.of(Tier.SHARDS, "wal_bytes_per_second") == pytest.approx(6e6)
    large = sized_capacities({Tier.SHARDS: 8.0})
    assert large.of(Tier.SHARDS, "rows_per_second") == pytest.approx(40_000)


def test_what_is_learned_stays_near_the_size_of_the_unit() -> None:
    def shown(milliseconds: float) -> Rates:
        unit = UnitLoad("partition-0", NOON, 1.0, {CPU: milliseconds}, {}, 1.0)
        return Rates({Tier.PARTITIONS: (unit,)})

    small, large = sized_capacities({Tier.PARTITIONS: 0.1}), default_capacities()
    for _ in range(500):
        small, large = learn(small, shown(2_000)), learn(large, shown(2_000))
    assert small.of(Tier.PARTITIONS) == pytest.approx(4 * 85.0)
    assert large.of(Tier.PARTITIONS) == pytest.approx(2_000, rel=0.01)
    assert small.defaults != large.defaults


@pytest.mark.parametrize(
    ("cores", "milliseconds", "share"),
    [(0.1, 15.0, 0.0), (0.1, 50.0, 0.5), (0.1, 85.0, 1.0), (0.1, 5.0, 0.0), (0.02, 19.25, 1.0)],
)
def test_what_a_backend_needs_without_work_is_no_load(
    cores: float, milliseconds: float, share: float
) -> None:
    capacities = sized_capacities({Tier.BACKENDS: cores})
    unit = UnitLoad("replica-0", NOON, 1.0, {CPU: milliseconds}, {}, 1.0)
    assert capacities.utilisation(Tier.BACKENDS, unit) == pytest.approx(share)
    learned = learn(capacities, Rates({Tier.BACKENDS: (unit,)}))
    assert learned.idle == capacities.idle


def test_a_shard_at_which_work_queues_gets_another_although_backends_are_fuller() -> None:
    spec = spec_of("autoscaling: {backends: {mode: on}, shards: {mode: on}}")
    seen = world({Tier.SHARDS: 0.6, Tier.BACKENDS: 0.7, Tier.PARTITIONS: 0.3},
                 waits={Tier.SHARDS: 100.0})  # fmt: skip
    plan = plan_scaling(spec, seen, Memory(), NOON)
    assert plan.attribution.limiting is Tier.SHARDS
    assert plan.decisions[Tier.SHARDS].action is Action.GROW
    assert plan.counts == {Tier.SHARDS: 2}


def test_backends_are_not_added_before_a_shard_at_which_work_queues() -> None:
    spec = spec_of("autoscaling: {backends: {mode: on}, shards: {mode: on, max: 1}}")
    seen = world({Tier.SHARDS: 0.6, Tier.BACKENDS: 0.7, Tier.PARTITIONS: 0.3},
                 waits={Tier.SHARDS: 100.0})  # fmt: skip
    decision = looks(spec, seen, 4).decisions[Tier.BACKENDS]
    assert decision.action is Action.HOLD
    assert decision.wanted_count == 5
    assert Blocker.TIER_DOES_NOT_LIMIT in {each.blocker for each in decision.blocked_by}


@pytest.mark.parametrize(
    ("waiting", "ready", "highest", "queues"),
    [(1, 1, 0.5, True), (1, 1, 0.4, False), (1, 3, 0.9, False), (2, 3, 0.9, True),
     (0, 1, 0.9, False), (1, 0, 0.9, False)],
)  # fmt: skip
def test_work_queues_where_it_does_at_most_units(
    waiting: int, ready: int, highest: float, queues: bool
) -> None:
    count = TierCount(ready, ready)
    state = TierState(Tier.SHARDS, count, highest, highest, 1.0, waiting)
    assert state.queues is queues


def test_a_short_window_is_kept_whatever_slots_come_and_go() -> None:
    averages = Averages(slow_seconds=20.0)
    for step in range(5):
        ids = (1,) if step < 2 else (1, 2)
        averages = fold_loads(averages, dict.fromkeys(ids, 1.0), ids, NOON + 5 * step)
        assert averages.slow_seconds == 20.0
        assert averages.is_warm is (step == 4)


def test_a_follower_of_redis_does_its_master_s_work_again_and_none_of_its_own() -> None:
    def node(name: str, *, is_follower: bool, lag: float = 0.0) -> UnitLoad:
        loads = {"operations_per_second": 30_000.0}
        return UnitLoad(name, NOON, 30_000.0, loads, {}, lag, is_follower=is_follower)

    units = (node("redis-0", is_follower=False), node("redis-1", is_follower=True, lag=5_000.0))
    count = TierCount(1, 1, ("redis-0", "redis-1"))
    states = tier_states({Tier.REDIS: count}, Rates({Tier.REDIS: units}), default_capacities())
    state = states[Tier.REDIS]
    assert state.mean == pytest.approx(0.5)
    assert state.work_per_second == 30_000.0
    assert (state.waiting_units, state.missing_share) == (1, 0.0)
