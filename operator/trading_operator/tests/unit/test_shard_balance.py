"""Balance of shards: what moves, after how long, where to, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from trading_contract.policies import RebalancingSpec, TierMode
from trading_contract.symbols import HIGHEST, LOWEST
from trading_operator.planner.scaling.averages import Averages, fold_loads
from trading_operator.planner.scaling.explain import explain_balance
from trading_operator.planner.scaling.layout import (
    BalancePlan,
    BalanceWhy,
    Layout,
    MoveSeen,
    PartitionPlace,
    SlotPlace,
)
from trading_operator.planner.scaling.memory import ShardMemory
from trading_operator.planner.scaling.shard_balance import ShardCase, balance_shards
from trading_operator.planner.scaling.signals import SlotLoad, SymbolLoad, Tier

NOON = 4 * 86_400 + 12 * 3600.0  # of a Monday
UNEVEN = {"shard-0": [0.2] * 4, "shard-1": [0.1] * 4, "shard-2": [0.1] * 4}
WARM, LASTING = 300, 600  # seconds that a shard is watched, then above the band


def case_of(loads: Mapping[str, Sequence[float]], **changes: Any) -> ShardCase:
    """Slots of two symbols each, all of one partition; a slot's load is also its CPU time."""
    homes = [shard for shard, of_slots in loads.items() for _ in of_slots]
    work = [load for of_slots in loads.values() for load in of_slots]
    names = [f"S{at:02}{end}" for at in range(len(work)) for end in "AB"]
    bounds = [LOWEST, *names[2::2], HIGHEST]
    slots = tuple(
        SlotPlace(at, first, past, "partition-0", homes[at])
        for at, (first, past) in enumerate(pairwise(bounds))
    )
    readings = {
        at: SlotLoad(at, load, 0.0, tuple(SymbolLoad(f"S{at:02}{end}", load / 2) for end in "AB"))
        for at, load in enumerate(work)
    }
    averages = fold_loads(Averages(), dict(enumerate(work)), range(len(work)), NOON)
    told = {shard: sum(of_slots) for shard, of_slots in loads.items()}
    shards = tuple(map(PartitionPlace, loads))
    layout = Layout(slots, (PartitionPlace("partition-0"),), names, (), shards)
    policy = RebalancingSpec.model_validate({"mode": "on"})
    case = ShardCase(policy, TierMode.ON, layout, averages, readings, told, told, NOON)
    return replace(case, **changes)


def watched(
    case: ShardCase, seconds: float = WARM + LASTING, memory: ShardMemory | None = None
) -> tuple[BalancePlan, ShardMemory]:
    """The plan after looking at the same for so long, every five seconds."""
    plan, memory = None, memory or ShardMemory()
    for at in range(0, int(seconds) + 1, 5):
        now_seconds = case.now_seconds + at
        plan, memory = balance_shards(replace(case, now_seconds=now_seconds), memory)
    assert plan is not None
    return plan, memory


def with_layout(case: ShardCase, **changes: Any) -> ShardCase:
    """The case with another layout."""
    return replace(case, layout=replace(case.layout, **changes))


def moved(target: str = "shard-2", ended: float | None = NOON, **changes: Any) -> MoveSeen:
    """A move of nobody's symbols from shard-0."""
    return MoveSeen((("X", "Y"),), "shard-0", target, NOON - 60, ended, **changes)


def test_what_is_above_the_band_for_ten_minutes_gives_what_fits_to_the_emptiest() -> None:
    case = case_of(UNEVEN)
    assert watched(case, WARM - 5)[0].why is BalanceWhy.TOO_LITTLE_KNOWN
    assert watched(case, WARM + LASTING - 5)[0].why is BalanceWhy.LOOKING
    plan, _ = watched(case)
    (move,) = plan.moves
    assert (move.source, move.target) == ("shard-0", "shard-1")
    assert move.source_before == pytest.approx(0.8)
    assert move.source_after == pytest.approx(0.6)
    assert (move.target_before, move.target_after) == pytest.approx((0.4, 0.6))
    assert len(move.ranges) == 1


def test_within_the_band_nothing_moves() -> None:
    loads = {"shard-0": [0.15] * 4, "shard-1": [0.125] * 4, "shard-2": [0.125] * 4}
    assert watched(case_of(loads))[0].why is BalanceWhy.BALANCED


def test_a_slot_has_the_share_of_its_shard_that_it_has_of_its_slots_cpu_time() -> None:
    case = case_of({"shard-0": [0.1, 0.3], "shard-1": [0.1], "shard-2": [0.1]})
    told = {"shard-0": 0.8, "shard-1": 0.3, "shard-2": 0.3}
    plan, _ = watched(replace(case, told=told, full=told))
    (move,) = plan.moves
    assert move.load == pytest.approx(0.8 / 4)
    assert move.ranges == (("", "S01A"),)


def test_a_cut_slot_gives_the_symbols_that_fit() -> None:
    case = case_of({"shard-0": [0.3, 0.3], "shard-1": [0.3], "shard-2": [0.3]})
    (move,) = watched(case)[0].moves
    assert move.load == pytest.approx(0.15)


def test_nothing_goes_where_it_would_be_too_much() -> None:
    case = case_of({"shard-0": [0.4, 0.4], "shard-1": [0.45], "shard-2": [0.45]})
    loads = {slot: replace(load, hottest=()) for slot, load in case.loads.items()}
    alone = [name for name in case.layout.symbols if name.endswith("A")]
    plan, _ = watched(with_layout(replace(case, loads=loads), symbols=alone))
    assert (plan.why, plan.moves) == (BalanceWhy.OPTIONS_EXHAUSTED, ())


def test_nothing_goes_where_it_would_be_nearly_full() -> None:
    case = case_of({"shard-0": [0.2] * 5, "shard-1": [0.7], "shard-2": [0.7]})
    alone = [name for name in case.layout.symbols if name.endswith("A")]
    plan, _ = watched(with_layout(case, symbols=alone))
    assert (plan.why, plan.moves) == (BalanceWhy.OPTIONS_EXHAUSTED, ())


def test_a_load_that_has_just_jumped_has_not_lasted() -> None:
    _, memory = watched(case_of({shard: [0.1] * 4 for shard in UNEVEN}), 2 * WARM)
    jumped = {"shard-0": [0.15] * 4, "shard-1": [0.1] * 4, "shard-2": [0.1] * 4}
    case = replace(case_of(jumped), now_seconds=NOON + 2 * WARM + 5)
    assert watched(case, 60, memory)[0].why is BalanceWhy.BALANCED
    assert watched(case, 600, memory)[0].why is BalanceWhy.LOOKING


def test_a_symbol_that_is_too_much_for_any_share_stays_and_the_others_go() -> None:
    case = case_of({"shard-0": [0.6, 0.1, 0.1], "shard-1": [0.2], "shard-2": [0.2]})
    alone = [name for name in case.layout.symbols if name.endswith("A")]
    (move,) = watched(with_layout(case, symbols=alone))[0].moves
    assert move.load == pytest.approx(0.2)
    assert "" not in {first for first, _ in move.ranges}


def test_a_shard_without_disk_is_given_nothing() -> None:
    case = case_of(UNEVEN)
    (move,) = watched(replace(case, full={**case.told, "shard-1": 0.9}))[0].moves
    assert move.target == "shard-2"


def test_who_was_full_within_the_window_is_given_nothing() -> None:
    before = case_of({"shard-0": [0.1] * 4, "shard-1": [0.2] * 4, "shard-2": [0.1] * 4})
    _, memory = watched(before, WARM)
    uneven = {"shard-0": [0.2] * 4, "shard-1": [0.09] * 4, "shard-2": [0.1] * 4}
    after = replace(case_of(uneven), now_seconds=NOON + WARM + 5)
    plan, _ = watched(after, 1200, memory)
    (move,) = plan.moves
    assert move.target == "shard-2"
    late, _ = watched(after, 2400, memory)
    assert late.moves[0].target == "shard-1"


def test_less_than_half_of_the_band_ends_it() -> None:
    _, memory = watched(case_of(UNEVEN))
    assert set(memory.over_since_seconds) == {"shard-0"}
    then = NOON + WARM + LASTING + 5
    near = {"shard-0": [0.155] * 4, "shard-1": [0.12] * 4, "shard-2": [0.12] * 4}
    plan, after = watched(replace(case_of(near), now_seconds=then), 2400, memory)
    assert set(after.over_since_seconds) == {"shard-0"}  # within the band, beyond half of it
    assert (plan.why, plan.moves) == (BalanceWhy.LOOKING, ())
    even = {shard: [0.125] * 4 for shard in UNEVEN}
    _, after = watched(replace(case_of(even), now_seconds=then), 1200, memory)
    assert after.over_since_seconds == {}


def test_an_operator_that_begins_watches_for_as_long_again() -> None:
    _, memory = watched(case_of(UNEVEN), WARM + LASTING - 5)
    again = replace(case_of(UNEVEN), now_seconds=NOON + 2000)
    assert watched(again, LASTING, ShardMemory())[0].moves == ()
    assert watched(again, 5, memory)[0].moves


def test_both_shards_of_a_move_rest_and_what_was_moved_stays_for_an_hour() -> None:
    case = with_layout(case_of(UNEVEN), moves=(moved(),))
    assert watched(case, 1795)[0].why is BalanceWhy.RESTING
    assert watched(case, 1805)[0].why is BalanceWhy.MOVES_WANTED
    went = replace(
        moved(ended=NOON), ranges=(("S03A", "S04A"),), source="shard-1", target="shard-0"
    )
    (move,) = watched(with_layout(case_of(UNEVEN), moves=(went,)), 1805)[0].moves
    assert "S03A" not in {first for first, _ in move.ranges}  # the best, else: a neighbour there


Change = Callable[[ShardCase], ShardCase]
LEAVING = (*map(PartitionPlace, ("shard-0", "shard-1")), PartitionPlace("shard-2", True, True))
STARTING = (*map(PartitionPlace, UNEVEN), PartitionPlace("shard-3", False))
CLOSED = {"mode": "on", "windows": [{"fromTime": "22:00", "toTime": "23:00"}]}
STOPPED: Sequence[tuple[BalanceWhy, Change]] = (
    (BalanceWhy.TIER_SWITCHED_OFF, lambda case: replace(case, mode=TierMode.OFF)),
    (BalanceWhy.OUTSIDE_WINDOW,
     lambda case: replace(case, policy=RebalancingSpec.model_validate(CLOSED))),
    (BalanceWhy.SHARDS_CHANGE, lambda case: with_layout(case, shards=LEAVING)),
    (BalanceWhy.SHARDS_CHANGE, lambda case: with_layout(case, shards=STARTING)),
    (BalanceWhy.SHARDS_CHANGE, lambda case: replace(case, is_count_changing=True)),
    (BalanceWhy.SHARDS_CHANGE, lambda case: with_layout(
        case, shards=(*map(PartitionPlace, UNEVEN), PartitionPlace("shard-3")),
        moves=(moved("shard-3", None),))),
    (BalanceWhy.TOO_LITTLE_KNOWN, lambda case: replace(case, told={"shard-0": 0.8})),
    (BalanceWhy.MOVES_UNDER_WAY, lambda case: with_layout(case, moves=(moved(ended=None),))),
    (BalanceWhy.PARTITIONS_FIRST, lambda case: with_layout(
        case, moves=(replace(moved(ended=None), source="partition-0", target="partition-1"),))),
    (BalanceWhy.PARTITIONS_FIRST, lambda case: replace(case, are_partitions_balanced=False)),
    (BalanceWhy.BUDGET_SPENT, lambda case: replace(case, policy=RebalancingSpec.model_validate(
        {"mode": "on", "movesPerHourMax": 0}))),
    (BalanceWhy.JUST_FAILED, lambda case: with_layout(
        case, moves=(moved(ended=NOON + WARM + LASTING - 60, has_failed=True),))),
    (BalanceWhy.NOT_WORTH_IT,
     lambda case: replace(case, told={"shard-0": 0.2, "shard-1": 0.05, "shard-2": 0.05})),
)  # fmt: skip


@pytest.mark.parametrize(("why", "change"), STOPPED)
def test_what_stops_it_is_told(why: BalanceWhy, change: Change) -> None:
    plan, _ = watched(change(case_of(UNEVEN)))
    assert (plan.why, plan.moves) == (why, ())
    assert "rebalancing of shards: " in explain_balance(plan, Tier.SHARDS)


@pytest.mark.parametrize("mode", ["off", "on"])
def test_nothing_is_told_of_a_single_shard_or_without_rebalancing(mode: str) -> None:
    loads = UNEVEN if mode == "off" else {"shard-0": [0.9]}
    case = replace(case_of(loads), policy=RebalancingSpec.model_validate({"mode": mode}))
    assert balance_shards(case, ShardMemory()) == (None, ShardMemory())


def test_a_shard_that_a_person_emptied_stays_empty_and_stops_nothing() -> None:
    shards = (*map(PartitionPlace, UNEVEN), PartitionPlace("shard-3"))
    case = with_layout(case_of(UNEVEN), shards=shards)
    told = {**case.told, "shard-3": 0.0}
    (move,) = watched(replace(case, told=told, full=told))[0].moves
    assert move.target == "shard-1"


def test_slots_of_which_nothing_is_known_are_left_where_they_are() -> None:
    plan, _ = watched(replace(case_of(UNEVEN), unknown=frozenset({1})))
    assert plan.why is BalanceWhy.OPTIONS_EXHAUSTED
