"""One round of rebalancing: what moves, where to, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from trading_contract.policies import RebalancingSpec
from trading_contract.symbols import HIGHEST, LOWEST
from trading_operator.planner.scaling.averages import Averages, Changes, fold_loads
from trading_operator.planner.scaling.balance import rebalance
from trading_operator.planner.scaling.capacity import CPU, default_capacities
from trading_operator.planner.scaling.layout import (
    BalancePlan,
    BalanceWhy,
    Layout,
    MoveSeen,
    MoveWhy,
    PartitionPlace,
    SlotPlace,
)
from trading_operator.planner.scaling.memory import Memory
from trading_operator.planner.scaling.plan import ScalingWorld, plan_scaling
from trading_operator.planner.scaling.round_sums import BalanceCase
from trading_operator.planner.scaling.signals import Rates, SlotLoad, SymbolLoad, Tier, UnitLoad
from trading_operator.planner.scaling.tier_state import TierCount
from trading_operator.simulation.acceptance import moving_only
from trading_operator.tests.unit.test_scaling_plan import NOON, spec_of

CAPACITY = 1000.0
Loads = Mapping[str, Sequence[float]]  # of the slots of each partition, as shares of one


def case_of(
    loads: Loads, symbols: Mapping[int, Sequence[float]] | None = None, *,
    leaving: Sequence[str] = (), before: Loads | None = None,
) -> BalanceCase:  # fmt: skip
    """Slots in order, each with four symbols, or with those of the given loads."""
    names: list[str] = []
    slots: list[tuple[str, str]] = []
    told: list[SlotLoad] = []
    for partition, of_slots in loads.items():
        for load in of_slots:
            number = len(slots)
            of_symbols = (symbols or {}).get(number) or [load / 4] * 4
            mine = [f"S{number:02}{at}" for at in range(len(of_symbols))]
            names += mine
            hottest = tuple(
                SymbolLoad(name, each * CAPACITY)
                for name, each in zip(mine, of_symbols, strict=True)
            )
            slots.append((partition, mine[0]))
            told.append(SlotLoad(number, load * CAPACITY, 0.0, hottest))
    bounds = [LOWEST, *(first for _, first in slots[1:]), HIGHEST]
    places = tuple(
        SlotPlace(at, first, past, slots[at][0])
        for at, (first, past) in enumerate(pairwise(bounds))
    )
    averages = Averages()
    if before is not None:
        old = [load * CAPACITY for of_slots in before.values() for load in of_slots]
        for at in range(100):
            averages = fold_loads(averages, dict(enumerate(old)), range(len(old)), 5.0 * at - 505)
    now = {each.slot_id: each.cpu_milliseconds_per_second for each in told}
    for at in range(3):
        averages = fold_loads(averages, now, sorted(now), 5.0 * at - 5)
    partitions = tuple(PartitionPlace(name, True, name in leaving) for name in loads)
    return BalanceCase(
        RebalancingSpec.model_validate({"mode": "on"}), Layout(places, partitions, names),
        averages, dict(enumerate(told)), CAPACITY, 10.0,
    )  # fmt: skip


def third_look(case: BalanceCase) -> BalancePlan:
    """The plan once everybody has been looked at often enough."""
    return rebalance(case, dict.fromkeys((p.name for p in case.layout.partitions), 3))[0]


def test_pieces_too_small_for_a_move_of_their_own_go_together() -> None:
    small = [0.03] * 4
    others = {"p1": [0.3], "p2": [0.4], "p3": [0.4], "p4": [0.4]}
    plan = third_look(case_of({"p0": [0.5, *small], **others}, {0: [0.5]}))
    (move,) = plan.moves
    assert (move.source, len(move.ranges)) == ("p0", 4)
    assert move.source_after == pytest.approx(0.5)


def test_a_slot_is_cut_where_the_piece_fits_the_gap() -> None:
    others = {f"p{at}": [0.44] for at in range(2, 7)}
    loads = {"p0": [0.6, 0.03], "p1": [0.2, 0.05], **others}
    plan = third_look(case_of(loads, {0: [0.1, 0.14, 0.12, 0.14, 0.1]}))
    (move,) = plan.moves
    assert move.ranges == ((LOWEST, "S001"), ("S004", "S010"))
    assert move.source_after == pytest.approx(0.43)
    assert move.target_after == pytest.approx(0.45)


def test_what_is_beside_a_hot_symbol_leaves_it_on_both_sides() -> None:
    hot = [0.04, 0.55, 0.04]
    plan = third_look(case_of({"p0": [0.63], "p1": [0.3], "p2": [0.3]}, {0: hot}))
    (move,) = plan.moves
    assert move.ranges == ((LOWEST, "S001"), ("S002", "S010"))
    assert move.source_after == pytest.approx(0.55)


def test_a_symbol_above_any_fair_share_may_have_an_empty_partition() -> None:
    plan = third_look(
        case_of({"p0": [0.5, 0.4], "p1": [0.4], "p2": [0.4], "p3": []}, {0: [0.5], 1: [0.4]})
    )
    (move,) = plan.moves
    assert (move.source, move.target, move.why) == ("p0", "p3", MoveWhy.HOT_SYMBOL)
    assert max(move.source_after, move.target_after) <= 0.5 + 1e-9


def test_nobody_becomes_fuller_than_the_source_is_left_or_the_band_allows() -> None:
    plan = third_look(case_of({"p0": [0.25] * 3, "p1": [0.35], "p2": [0.2, 0.2]}))
    assert plan.moves
    for move in plan.moves:
        assert move.target_after <= plan.mean + plan.band / 2 + 1e-9
        assert move.target_after < move.source_before


def test_in_an_emergency_all_are_judged_by_the_same_hurried_look() -> None:
    """Both rose alike; only one is above 85 % yet, and no move would help."""
    before = {"p0": [0.38] * 2, "p1": [0.38] * 2}
    plan = third_look(case_of({"p0": [0.47] * 2, "p1": [0.43] * 2}, before=before))
    assert plan.utilisation["p0"] > 0.85 > plan.utilisation["p1"] > 0.8
    assert plan.moves == ()


def test_a_leaving_partition_gives_its_largest_slot_and_what_fits_beside_it() -> None:
    loads = {"p0": [0.4], "p1": [0.2], "p2": [0.15, 0.2, 0.02, 0.03]}
    (move,) = third_look(case_of(loads, leaving=["p2"])).moves
    assert (move.source, move.target, move.why) == ("p2", "p1", MoveWhy.LEAVING)
    assert move.load == pytest.approx(0.25)
    assert len(move.ranges) == 3


def test_what_has_cooled_down_leaves_room_at_once() -> None:
    before = {"p0": [0.15] * 4, "p1": [0.15] * 4, "p2": [0.15] * 4}
    now = {"p0": [0.4, 0.15, 0.15, 0.15], "p1": [0.05] * 4, "p2": [0.15] * 4}
    plan = third_look(case_of(now, before=before))
    assert plan.mean == pytest.approx(0.55, abs=0.02)
    (move,) = plan.moves
    assert (move.source, move.target) == ("p0", "p1")
    assert move.target_before == pytest.approx(0.2, abs=0.03)
    assert max(move.source_after, move.target_after) < 0.6


def test_a_hot_symbol_that_fits_nowhere_goes_to_whom_can_give_its_own_to_others() -> None:
    """Two hot ones at home together, and nobody has room for one: no single move would do."""
    loads = {"p0": [0.8], "p1": [0.12] * 3, "p2": [0.12] * 3, "p3": [0.12] * 3}
    (move,) = third_look(case_of(loads, {0: [0.4, 0.4]})).moves
    assert move.target_after <= move.source_before
    assert (move.source, move.target, move.ranges) == ("p0", "p1", ((LOWEST, "S001"),))
    loads["p0"], loads["p1"] = [0.4], [0.4, *loads["p1"]]
    (then,) = third_look(case_of(loads)).moves
    assert then.source == "p1"
    assert then.load < 0.4


def test_a_hot_symbol_stays_where_its_target_could_not_give_enough_to_others() -> None:
    loads = {"p0": [0.8], "p1": [0.7], "p2": [0.7], "p3": [0.7]}
    assert third_look(case_of(loads, {0: [0.4, 0.4]})).moves == ()


def test_a_piece_that_is_more_than_the_band_moves_where_it_clearly_helps() -> None:
    loads = {"p0": [0.15] * 5, "p1": [0.15] * 3, "p2": [0.15] * 3}
    (move,) = third_look(case_of(loads, {at: [0.15] for at in range(11)})).moves
    assert move.source_before == pytest.approx(0.75)
    assert move.source_after == pytest.approx(0.6)


def moved(case: BalanceCase, slot: int, source: str, target: str, *ages: float) -> BalanceCase:
    """The case some seconds after moves of one slot."""
    place = case.layout.slots[slot]
    moves = tuple(
        MoveSeen(((place.first, place.past),), source, target, case.now_seconds - age - 1,
                 case.now_seconds - age) for age in ages
    )  # fmt: skip
    return replace(case, layout=replace(case.layout, moves=moves))


def test_a_slot_goes_on_to_another_partition_but_not_back_for_little() -> None:
    loads = {"p0": [0.5, 0.09], "p1": [0.42], "p2": [0.46]}
    case = case_of(loads)
    (move,) = third_look(case).moves
    assert (move.source, move.target) == ("p0", "p1")
    (move,) = third_look(moved(case, 1, "p1", "p0", 300.0)).moves
    assert (move.source, move.target) == ("p0", "p2")


@pytest.mark.parametrize(("shifted_seconds_ago", "target"), [(None, "p2"), (60, "p1"), (95, "p2")])
def test_after_a_shift_of_load_a_slot_may_go_back_until_all_is_even(
    shifted_seconds_ago: float | None, target: str
) -> None:
    case = moved(case_of({"p0": [0.5, 0.09], "p1": [0.42], "p2": [0.46]}), 1, "p1", "p0", 700.0)
    if shifted_seconds_ago is not None:
        case = replace(case, shifted_at_seconds=case.now_seconds - shifted_seconds_ago)
    (move,) = third_look(case).moves
    assert (move.source, move.target) == ("p0", target)


def test_the_time_of_a_shift_of_load_is_remembered() -> None:
    steady = two_slots(SlotLoad(1, 400.0), SlotLoad(2, 400.0))
    memory = Memory()
    for at in range(100):
        memory = plan_scaling(moving_only(), steady, memory, NOON + 5 * at).memory
    assert memory.shifted_at_seconds is None
    hot = two_slots(SlotLoad(1, 700.0), SlotLoad(2, 100.0))
    memory = plan_scaling(moving_only(), hot, memory, NOON + 500).memory
    assert memory.shifted_at_seconds == NOON + 500
    memory = plan_scaling(moving_only(), steady, memory, NOON + 505).memory
    assert memory.shifted_at_seconds is not None


def test_a_slot_that_just_left_a_partition_does_not_go_back_for_anything() -> None:
    case = case_of({"p0": [0.5, 0.3], "p1": [0.29], "p2": [0.3]}, {0: [0.5], 1: [0.3]})
    (move,) = third_look(moved(case, 0, "p1", "p0", 700.0)).moves
    assert (move.target, move.load) == ("p1", 0.5)
    (move,) = third_look(moved(case, 0, "p1", "p0", 500.0)).moves
    assert (move.target, move.load) != ("p1", 0.5)


def test_a_slot_moves_twice_in_ten_minutes_at_most() -> None:
    case = case_of({"p0": [0.5, 0.09], "p1": [0.4], "p2": [0.4]}, {0: [0.5]})
    assert third_look(moved(case, 1, "p3", "p0", 300.0)).moves
    assert third_look(moved(case, 1, "p3", "p0", 300.0, 500.0)).moves == ()
    assert third_look(moved(case, 1, "p3", "p0", 300.0, 700.0)).moves
    assert third_look(moved(case, 1, "p3", "p0", 30.0)).moves == ()


def test_what_jumps_is_followed_within_two_looks_and_noise_is_not() -> None:
    averages = Averages()
    for at in range(60):
        averages = fold_loads(averages, {1: 100.0, 2: 100.0}, [1, 2], 5.0 * at)
    for at in (60, 61):
        averages = fold_loads(averages, {1: 300.0, 2: 115.0}, [1, 2], 5.0 * at)
    assert averages.fast[0] > 270
    assert averages.fast[1] < 108
    assert averages.present()[0] == averages.fast[0]
    assert averages.present()[1] == averages.slow[1]


def test_loads_that_change_for_a_known_reason_are_followed_quickly_and_peaks_stay() -> None:
    averages = Averages()
    for at in range(60):
        averages = fold_loads(averages, {1: 100.0, 2: 100.0}, [1, 2], 5.0 * at)
    for at in (60, 61):
        changes = Changes(known={1})
        averages = fold_loads(averages, {1: 85.0, 2: 85.0}, [1, 2], 5.0 * at, changes)
    assert averages.slow[0] < 88
    assert averages.slow[1] > 99
    assert list(averages.peak()) == [pytest.approx(100.0)] * 2


def test_ranges_whose_partition_saves_by_large_commits_count_as_in_others() -> None:
    """Half of all commands, in commits of six: they use less than half, and cost it elsewhere."""
    slots = (
        SlotPlace(1, LOWEST, "M", "partition-0"), SlotPlace(2, "M", HIGHEST, "partition-1")
    )  # fmt: skip
    used = {"partition-0": (300.0, 600.0, 100.0), "partition-1": (305.0, 300.0, 300.0)}
    units = tuple(
        UnitLoad(name, NOON, work, {CPU: cpu}, {}, 1.0, batches_per_second=commits)
        for name, (cpu, work, commits) in used.items()
    )
    loads = tuple(SlotLoad(slot.slot_id, used[slot.partition][0]) for slot in slots)
    partitions = (PartitionPlace("partition-0"), PartitionPlace("partition-1"))
    seen = ScalingWorld(
        {Tier.PARTITIONS: TierCount(2, 2, tuple(used))}, Layout(slots, partitions, ("A", "N")),
        Rates({Tier.PARTITIONS: units}, loads),
    )  # fmt: skip
    idle = replace(default_capacities(), idle={Tier.PARTITIONS: 5.0})
    plan = plan_scaling(spec_of(), seen, Memory(capacities=idle), NOON)
    first, second = plan.balance.utilisation["partition-0"], plan.balance.utilisation["partition-1"]
    # 100 commands' worth a commit: 1 + 100/6 a command here, 1 + 100 there.
    assert first / second == pytest.approx(295 / 300 * 101 / (1 + 100 / 6))


def two_slots(*loads: SlotLoad) -> ScalingWorld:
    """Of two partitions, each half full; the first one with two symbols."""
    slots = (
        SlotPlace(1, LOWEST, "M", "partition-0"), SlotPlace(2, "M", HIGHEST, "partition-1")
    )  # fmt: skip
    names = ("partition-0", "partition-1")
    units = tuple(UnitLoad(name, NOON, 100.0, {CPU: 500.0}, {}, 1.0) for name in names)
    layout = Layout(slots, tuple(map(PartitionPlace, names)), ("A", "C", "N"))
    counts = {Tier.PARTITIONS: TierCount(2, 2, names)}
    return ScalingWorld(counts, layout, Rates({Tier.PARTITIONS: units}, loads))


def test_a_cut_slot_counts_as_its_symbols_did_until_it_is_told_of() -> None:
    hot = (SymbolLoad("C", 400.0),)
    seen = two_slots(SlotLoad(1, 500.0, hottest=hot), SlotLoad(2, 500.0))
    memory = plan_scaling(moving_only(), seen, Memory(), NOON).memory
    slots = seen.layout.slots
    cut = (SlotPlace(1, LOWEST, "B", "partition-0"), SlotPlace(3, "B", "M", "partition-0"))
    seen = replace(seen, layout=replace(seen.layout, slots=(*cut, slots[1])))
    untold = replace(seen, rates=replace(seen.rates, slots=(SlotLoad(2, 500.0),)))
    plan = plan_scaling(moving_only(), untold, memory, NOON + 5)
    assert plan.memory.slots.fast == pytest.approx((100.0, 500.0, 400.0))
    assert plan.memory.loads[3].hottest == hot
    assert plan.balance.why is BalanceWhy.BALANCED
    loads = (SlotLoad(1, 50.0), SlotLoad(2, 500.0), SlotLoad(3, 450.0))
    told = replace(seen, rates=replace(seen.rates, slots=loads))
    plan = plan_scaling(moving_only(), told, plan.memory, NOON + 10)
    assert plan.memory.slots.fast == (50.0, 500.0, 450.0)
    assert not plan.memory.unread


def test_nothing_is_decided_by_a_slot_of_which_nothing_was_ever_told() -> None:
    plan = plan_scaling(moving_only(), two_slots(SlotLoad(2, 800.0)), Memory(), NOON)
    assert plan.balance.why is BalanceWhy.TOO_LITTLE_KNOWN
    seen = two_slots(SlotLoad(1, 300.0), SlotLoad(2, 400.0))
    plan = plan_scaling(moving_only(), seen, plan.memory, NOON + 5)
    assert plan.balance.why is not BalanceWhy.TOO_LITTLE_KNOWN
    assert plan.memory.slots.fast[0] == 300.0
