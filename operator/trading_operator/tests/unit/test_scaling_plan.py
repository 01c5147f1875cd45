"""The planner of scale: which tier it changes, what stops it, and how it says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trading_contract.manifest import load_cluster
from trading_contract.tests.builders import cluster_text
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.decisions import Action, Blocker, Decision, Why
from trading_operator.planner.scaling.explain import explain, explain_at, explain_balance
from trading_operator.planner.scaling.layout import (
    Layout,
    MoveSeen,
    PartitionPlace,
    SlotPlace,
)
from trading_operator.planner.scaling.memory import Memory
from trading_operator.planner.scaling.plan import ScalingPlan, ScalingWorld, plan_scaling
from trading_operator.planner.scaling.signals import Rates, SlotLoad, Tier, UnitLoad
from trading_operator.planner.scaling.tier_state import TierCount

NOON = 4 * 86_400 + 12 * 3600.0  # of a Monday
KINDS = {
    Tier.SHARDS: ("rows_per_second", 40_000.0),
    Tier.REDIS: ("operations_per_second", 60_000.0),
}
NAMES = {Tier.BACKENDS: "backend", Tier.PARTITIONS: "partition", Tier.SHARDS: "shard",
         Tier.REDIS: "redis"}  # fmt: skip


def spec_of(text: str = "") -> TradingClusterSpec:
    """All tiers on, unless the text says otherwise."""
    on = (
        "autoscaling: {backends: {mode: on}, partitions: {mode: on}, shards: {mode: on}, "
        "redis: {mode: on}}"
    )
    return load_cluster(cluster_text(text or on)).spec


def unit(tier: Tier, index: int, used: float, wait: float) -> UnitLoad:
    """A unit that uses that share of its capacity."""
    kind, capacity = KINDS.get(tier, ("cpu_milliseconds_per_second", 850.0))
    return UnitLoad(f"{NAMES[tier]}-{index}", NOON, used * 1000, {kind: used * capacity}, {}, wait)


def world(
    used: dict[Tier, float], counts: dict[Tier, int] | None = None,
    waits: dict[Tier, float] | None = None, moves: tuple[MoveSeen, ...] = (),
) -> ScalingWorld:  # fmt: skip
    """Units of each tier that are used alike; one slot per partition."""
    numbers = {
        Tier.BACKENDS: 4,
        Tier.PARTITIONS: 2,
        Tier.SHARDS: 1,
        Tier.REDIS: 3,
        **(counts or {}),
    }
    units = {
        tier: tuple(unit(tier, at, used.get(tier, 0.5), (waits or {}).get(tier, 1.0))
                    for at in range(number))
        for tier, number in numbers.items()
    }  # fmt: skip
    partitions = numbers[Tier.PARTITIONS]
    bounds = ["", *(chr(ord("A") + at) for at in range(1, partitions)), "~"]
    slots = tuple(
        SlotPlace(at, bounds[at], bounds[at + 1], f"partition-{at}") for at in range(partitions)
    )
    load = used.get(Tier.PARTITIONS, 0.5) * 850.0
    return ScalingWorld(
        {tier: TierCount(n, n, tuple(u.name for u in units[tier])) for tier, n in numbers.items()},
        Layout(slots, tuple(PartitionPlace(slot.partition) for slot in slots), ("A", "B"), moves),
        Rates(units, tuple(SlotLoad(slot.slot_id, load) for slot in slots)),
    )


def looks(
    spec: TradingClusterSpec, seen: ScalingWorld, count: int, memory: Memory | None = None,
    begin: float = NOON,
) -> ScalingPlan:  # fmt: skip
    """The plan of the last of so many looks at the same world, five seconds apart."""
    assert count > 0
    memory = memory or Memory()
    for at in range(count):
        plan = plan_scaling(spec, seen, memory, begin + 5 * at)
        memory = plan.memory
    return plan


def blockers(decision: Decision) -> set[Blocker]:
    """What stood in the way."""
    return {each.blocker for each in decision.blocked_by}


def test_load_within_the_band_changes_nothing() -> None:
    plan = looks(spec_of(), world({}), 5)
    assert plan.counts == {}
    assert {each.why for each in plan.decisions.values()} == {Why.WITHIN_BAND}


def test_the_trap_of_the_seed_a_full_shard_gets_company_and_the_backends_do_not() -> None:
    used = {Tier.BACKENDS: 0.82, Tier.PARTITIONS: 0.4, Tier.SHARDS: 0.98}
    plan = looks(spec_of(), world(used, waits={Tier.SHARDS: 40.0}), 1)
    assert plan.counts == {Tier.SHARDS: 2}
    plan = looks(spec_of(), world(used, waits={Tier.SHARDS: 40.0}), 3)
    assert plan.attribution.limiting is Tier.SHARDS
    backends = plan.decisions[Tier.BACKENDS]
    assert backends.action is Action.HOLD
    assert backends.wanted_count == 6
    assert Blocker.TIER_DOES_NOT_LIMIT in blockers(backends)
    assert "work waits up to 40 ms there; more backends would wait" in explain(backends)


def test_a_full_shard_gets_company_though_backends_use_more_than_they_ask_for() -> None:
    """Nothing waits there, so nobody knows what they can do: that is no limit."""
    used = {Tier.BACKENDS: 2.5, Tier.PARTITIONS: 0.4, Tier.SHARDS: 0.8}
    plan = looks(spec_of(), world(used, waits={Tier.SHARDS: 40.0}), 1)
    assert plan.counts == {Tier.SHARDS: 2}


@pytest.mark.parametrize(("others", "count"), [(0.25, 3), (0.98, None)])
def test_a_backend_that_has_most_connections_holds_no_partitions_back(
    others: float, count: int | None
) -> None:
    seen = world({Tier.PARTITIONS: 0.8})
    used = (1.2, others, others, others)
    backends = tuple(unit(Tier.BACKENDS, at, each, 1.0) for at, each in enumerate(used))
    units = {**seen.rates.units, Tier.BACKENDS: backends}
    plan = looks(spec_of(), replace(seen, rates=replace(seen.rates, units=units)), 2)
    assert plan.attribution.limiting is Tier.BACKENDS
    is_held = Blocker.TIER_DOES_NOT_LIMIT in blockers(plan.decisions[Tier.PARTITIONS])
    assert is_held == (count is None)
    assert plan.counts.get(Tier.PARTITIONS) == count


@pytest.mark.parametrize(("tier", "count"), [
    (Tier.BACKENDS, 5), (Tier.PARTITIONS, 5), (Tier.SHARDS, 2),
])  # fmt: skip
def test_four_cheap_units_come_at_once_and_shards_at_most_double(tier: Tier, count: int) -> None:
    used = dict.fromkeys(Tier, 0.1) | {tier: 4.0}  # of units that ask for little CPU
    counts = {Tier.BACKENDS: 1, Tier.PARTITIONS: 1}
    assert looks(spec_of(), world(used, counts=counts), 1).counts == {}
    plan = looks(spec_of(), world(used, counts=counts), 2)
    assert plan.counts == {tier: count}
    assert plan.decisions[tier].wanted_count > count


@pytest.mark.parametrize(("tier", "count"), [(Tier.PARTITIONS, 5), (Tier.SHARDS, 2)])
def test_cheap_units_come_for_what_the_last_look_says_once_there_were_two(
    tier: Tier, count: int
) -> None:
    def look(used: float, at: float, memory: Memory) -> ScalingPlan:
        counts = {Tier.BACKENDS: 1, Tier.PARTITIONS: 1}
        seen = world(dict.fromkeys(Tier, 0.1) | {tier: used}, counts)
        return plan_scaling(spec_of(), seen, memory, NOON + at)

    first = look(1.0, 5, look(0.1, 0, Memory()).memory)  # the load rose in the middle of it
    assert first.counts == {}
    second = look(2.9, 10, first.memory)
    assert second.counts == {tier: count}


def test_backends_that_limit_are_scaled_to_the_target_after_two_looks() -> None:
    seen = world({Tier.BACKENDS: 0.80})
    assert looks(spec_of(), seen, 1).counts == {}
    plan = looks(spec_of(), seen, 2)
    assert plan.counts == {Tier.BACKENDS: 6}
    expected = plan.decisions[Tier.BACKENDS].expected
    assert expected is not None
    assert expected.utilisation == pytest.approx(0.8 * 4 / 6)


def test_after_a_change_the_tier_cools_down() -> None:
    seen = world({Tier.BACKENDS: 0.80})
    memory = looks(spec_of(), seen, 2).memory
    plan = looks(spec_of(), seen, 3, memory, NOON + 10)
    assert plan.counts == {}
    assert Blocker.COOLDOWN in blockers(plan.decisions[Tier.BACKENDS])


def test_a_clock_that_went_back_does_not_cool_for_ever() -> None:
    seen = world({Tier.BACKENDS: 0.80})
    memory = looks(spec_of(), seen, 2).memory
    plan = looks(spec_of(), seen, 2, memory, NOON - 86_400)
    assert plan.counts == {Tier.BACKENDS: 6}


def test_nobody_grows_for_a_load_that_is_over() -> None:
    """What held it back is gone together with the load; the slow average still remembers it."""
    off = spec_of("autoscaling: {backends: {mode: off}}")
    memory = looks(off, world({Tier.BACKENDS: 0.80}), 60).memory
    begin = NOON + 5 * 60
    plan = looks(spec_of(), world({Tier.BACKENDS: 0.78}), 1, memory, begin)
    assert plan.counts == {Tier.BACKENDS: 6}
    plan = looks(
        spec_of(), world({**dict.fromkeys(Tier, 0.05), Tier.BACKENDS: 0.1}), 1, memory, begin
    )
    assert plan.counts == {}
    assert plan.decisions[Tier.BACKENDS].action is Action.HOLD


def low(spec: TradingClusterSpec, count: int = 130) -> ScalingPlan:
    """Eleven minutes of little to do."""
    used = {Tier.BACKENDS: 0.2, Tier.PARTITIONS: 0.5, Tier.SHARDS: 0.5}
    return looks(spec, world(used), count)


def test_fewer_only_after_ten_minutes_of_less() -> None:
    plan = low(spec_of(), 110)
    assert blockers(plan.decisions[Tier.BACKENDS]) == {Blocker.NOT_LOW_LONG_ENOUGH}
    made = [e for e in low(spec_of()).memory.history.decisions if e.is_change]
    assert [(e.tier, e.from_count, e.to_count) for e in made] == [(Tier.BACKENDS, 4, 3)]


def quietly(seen: ScalingWorld, **changes: Any) -> ScalingPlan:
    """What becomes of the wish for fewer backends when something differs in the end."""
    spec = changes.pop("spec", spec_of())
    memory = low(spec, 119).memory
    return looks(spec, replace(seen, **changes), 3, memory, NOON + 5 * 119)


@pytest.mark.parametrize("jump_seconds", [3600, 90, -60, -3600, -86_400])
def test_a_clock_that_jumps_proves_no_ten_minutes_of_less(jump_seconds: float) -> None:
    used = world({Tier.BACKENDS: 0.2, Tier.PARTITIONS: 0.5, Tier.SHARDS: 0.5})
    memory = looks(spec_of(), used, 100).memory
    begin = NOON + 500 + jump_seconds
    for count in (1, 20):
        plan = looks(spec_of(), used, count, memory, begin)
        assert plan.counts == {}
        assert Blocker.NOT_LOW_LONG_ENOUGH in blockers(plan.decisions[Tier.BACKENDS])
    made = looks(spec_of(), used, 130, memory, begin).memory.history.decisions
    assert {e.to_count for e in made if e.is_change} == {3}, "it goes on after ten minutes"


USED_LITTLE = {Tier.BACKENDS: 0.2, Tier.PARTITIONS: 0.5, Tier.SHARDS: 0.5}


def test_a_silent_backend_means_hold() -> None:
    seen = world(USED_LITTLE)
    units = {**seen.rates.units, Tier.BACKENDS: seen.rates.units[Tier.BACKENDS][1:]}
    plan = quietly(seen, rates=replace(seen.rates, units=units))
    assert plan.counts == {}
    assert blockers(plan.decisions[Tier.BACKENDS]) == {Blocker.METRICS_MISSING}
    assert "told nothing sound" in explain(plan.decisions[Tier.BACKENDS])


def test_when_nobody_tells_anything_everything_holds() -> None:
    seen = world(USED_LITTLE)
    plan = quietly(seen, rates=Rates())
    assert plan.counts == {}
    assert {each.why for each in plan.decisions.values()} == {Why.NOT_KNOWN_ENOUGH}


def test_outside_windows_and_in_trading_hours_nothing_shrinks() -> None:
    for text in (
        "windows: [{fromTime: '01:00', toTime: '02:00'}]",
        "tradingHours: [{fromTime: '09:00', toTime: '12:00'}]",
    ):
        spec = spec_of(f"autoscaling: {{backends: {{mode: on}}, {text}}}")
        plan = quietly(world(USED_LITTLE), spec=spec)
        assert blockers(plan.decisions[Tier.BACKENDS]) == {Blocker.OUTSIDE_WINDOW}


def test_the_budget_stops_what_it_does_not_cover() -> None:
    text = "autoscaling: {backends: {mode: on}, budget: {processesMax: 11}}"
    plan = looks(spec_of(text), world({Tier.BACKENDS: 0.80}), 2)
    assert plan.counts == {Tier.BACKENDS: 5}
    assert blockers(plan.decisions[Tier.BACKENDS]) == {Blocker.PROCESSES_BUDGET}
    prices = "prices: {cpuCore: '20', memoryGibibyte: '4', storageGibibyte: '0'}"
    text = f"autoscaling: {{backends: {{mode: on}}, budget: {{costPerMonthMax: '58'}}}}, {prices}"
    plan = looks(spec_of(text), world({Tier.BACKENDS: 0.80}), 2)
    decision = plan.decisions[Tier.BACKENDS]
    assert decision.cost_per_month_change is None
    assert plan.counts == {}
    assert blockers(decision) == {Blocker.COST_BUDGET}


def test_modes_decide_what_is_done_with_a_decision() -> None:
    seen = world({Tier.BACKENDS: 0.80})
    dry = looks(spec_of("autoscaling: {backends: {mode: dryRun}}"), seen, 40)
    assert dry.counts == {}
    assert dry.decisions[Tier.BACKENDS].to_count == 6
    assert "4 would become 6, more" in explain(dry.decisions[Tier.BACKENDS])
    assert len([e for e in dry.memory.history.decisions if e.is_change]) == 1
    off = looks(spec_of("paused: false"), seen, 3)
    assert off.decisions[Tier.BACKENDS].why is Why.SWITCHED_OFF
    external = "backends: {managedBy: External}, autoscaling: {backends: {mode: external}}"
    assert looks(spec_of(external), seen, 3).decisions[Tier.BACKENDS].why is Why.SCALED_BY_ANOTHER


def test_min_and_max_of_the_specification_hold() -> None:
    text = "autoscaling: {backends: {mode: on, min: 5, max: 6}}"
    assert looks(spec_of(text), world({}), 1).counts == {Tier.BACKENDS: 5}
    text = "autoscaling: {backends: {mode: on, max: 3}}"
    plan = looks(spec_of(text), world({Tier.BACKENDS: 0.9}), 1)
    assert plan.counts == {Tier.BACKENDS: 3}
    text = "autoscaling: {backends: {mode: on, max: 4}}"
    plan = looks(spec_of(text), world({Tier.BACKENDS: 0.9}), 3)
    assert blockers(plan.decisions[Tier.BACKENDS]) == {Blocker.AT_MAX}


def test_another_unit_must_be_worth_its_cost() -> None:
    used = {Tier.BACKENDS: 0.80, Tier.PARTITIONS: 0.79}
    text = "autoscaling: {backends: {mode: on}, benefitPerCostPercentMin: 100}"
    plan = looks(spec_of(text), world(used), 3)
    decision = plan.decisions[Tier.BACKENDS]
    assert blockers(decision) == {Blocker.BENEFIT_TOO_SMALL}
    assert "by 1.3% and its cost by 20.0%" in explain(decision)


def test_slots_that_do_not_pack_need_another_partition() -> None:
    seen = world({Tier.PARTITIONS: 0.55})
    slots = tuple(
        SlotPlace(at, bound, past, f"partition-{at % 2}")
        for at, (bound, past) in enumerate((("", "B"), ("B", "C"), ("C", "~")))
    )
    loads = tuple(SlotLoad(at, 0.5 * 850) for at in range(3))
    seen = replace(
        seen, layout=replace(seen.layout, slots=slots), rates=replace(seen.rates, slots=loads)
    )
    plan = looks(spec_of(), seen, 2)
    assert plan.decisions[Tier.PARTITIONS].why is Why.SLOTS_DO_NOT_FIT
    assert plan.counts == {Tier.PARTITIONS: 3}


def test_what_a_change_brought_is_set_against_what_was_expected() -> None:
    memory = looks(spec_of(), world({Tier.BACKENDS: 0.80}), 2).memory
    after = world({Tier.BACKENDS: 0.56}, {Tier.BACKENDS: 6})
    plan = looks(spec_of(), after, 30, memory, NOON + 10)
    decision = next(e for e in plan.memory.history.decisions if e.is_change)
    assert decision.observed is not None
    then_by_now = (0.80 * 4) / (0.56 * 6)
    assert decision.observed.utilisation == pytest.approx(0.56 * then_by_now)
    assert decision.prediction_error == pytest.approx(0.0, abs=1e-6)
    assert "Observed at the same load: 53%" in explain(decision)


def test_the_history_answers_for_a_time_and_says_how_far_it_reaches() -> None:
    plan = looks(spec_of(), world({Tier.BACKENDS: 0.80}), 3)
    history = plan.memory.history
    assert "4, unchanged" in explain_at(history, Tier.BACKENDS, NOON + 4)
    assert "4 become 6, more" in explain_at(history, Tier.BACKENDS, NOON + 7)
    assert "does not reach back" in explain_at(history, Tier.BACKENDS, NOON - 1)


def test_the_same_arguments_give_the_same_plan() -> None:
    seen = world({Tier.BACKENDS: 0.80})
    assert looks(spec_of(), seen, 4) == looks(spec_of(), seen, 4)


def test_a_slot_that_was_cut_is_judged_anew() -> None:
    spec, seen = spec_of("rebalancing: {mode: on}"), world({Tier.PARTITIONS: 0.5})
    memory = looks(spec, seen, 10).memory
    left, right = seen.layout.slots
    slots = (
        replace(left, past="0"),
        SlotPlace(7, "0", left.past, "partition-1"),
        right,
    )
    loads = (SlotLoad(0, 10.0), SlotLoad(1, 425.0), SlotLoad(7, 415.0))
    cut = replace(seen, layout=replace(seen.layout, slots=slots), rates=Rates({}, loads))
    after = looks(spec, cut, 1, memory, NOON + 50).memory.slots
    assert after.ids == (0, 1, 7)
    assert after.slow == pytest.approx((10.0, 425.0, 415.0))


def test_a_round_of_rebalancing_is_explained() -> None:
    spec = spec_of("rebalancing: {mode: on}")
    plan = looks(spec, world({}), 2)
    assert "every partition is within the band" in explain_balance(plan.balance)
