"""Moves between shards, as people ask for them: orders, refusals, the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trading_contract.moves import MoveOrder
from trading_contract.symbolmove import MoveReason, MoveState, SymbolMove
from trading_operator.planner.actions import StopComponent
from trading_operator.planner.moves.attempts import ATTEMPT_SECONDS_MAX, COPY_BYTES_PER_SECOND
from trading_operator.planner.moves.soak import SOAK_SECONDS
from trading_operator.planner.observed import SlotRow
from trading_operator.planner.plan import WAKE_SECONDS_IDLE
from trading_operator.tests.builders import cluster, verdict
from trading_operator.tests.scenes import LETTERS, Scene, move

TWO = cluster(shards={"count": 2}, partitions={"count": 2})
MIB = 1 << 20


def to(shard: str = "shard-1", name: str = "m", /, symbols: str = "ADAUSDT", **spec: Any) -> Any:
    """A SymbolMove to a shard."""
    return move(name, symbols=symbols, toShard=shard, **spec)


def begun(*moves: SymbolMove, wanted: Any = TWO) -> tuple[Scene, MoveOrder]:
    """Its order is in the topology."""
    scene = Scene(wanted, *(moves or (to(),)))
    scene.step()
    (order,) = scene.orders()
    return scene, order


def done(*moves: SymbolMove) -> tuple[Scene, MoveOrder]:
    """The rows have it on the other shard, and the topology too."""
    scene, order = begun(*moves)
    scene.carry_out(order)
    scene.step()
    scene.step()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)
    return scene, order


def row_of(scene: Scene, shard: str, slot: int) -> SlotRow:
    """What a shard has of a slot."""
    return next(row for row in scene.world.shards[shard].rows or () if row.slot_id == slot)


def placed(scene: Scene, slot: int) -> tuple[str, str, int]:
    """Partition, shard and epoch in the published topology."""
    topology = scene.world.topology
    assert topology is not None
    found = next(each for each in topology.slots if each.id == slot)
    return found.partition, found.shard, found.epoch


def test_a_slot_gets_another_shard_at_the_same_partition() -> None:
    scene, order = begun()
    assert (order.kind, order.source_shard, order.target_shard) == ("shard", "shard-0", "shard-1")
    assert (order.source_partition, order.target_partition) == ("partition-0", None)
    assert scene.verdict() == (MoveState.MOVING, MoveReason.IN_PROGRESS)
    scene.carry_out(order)
    plan = scene.step()
    told = next(slot for slot in plan.status.slots if slot.first <= "ADAUSDT" < slot.past)
    assert (told.partition, told.shard, told.epoch) == ("partition-0", "shard-1", 2)
    assert placed(scene, order.slots[0]) == ("partition-0", "shard-1", 2)
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)
    assert (scene.status().source, scene.status().target) == ("shard-0", "shard-1")
    assert scene.step().actions == ()


def test_passes_are_no_closer_while_a_shard_copies() -> None:
    scene, _ = begun()
    assert scene.plan().wake_after_seconds == WAKE_SECONDS_IDLE


def test_a_part_of_a_slot_is_split_off_first_and_nothing_else_moves() -> None:
    wanted = cluster(LETTERS, shards={"count": 2}, partitions={"count": 2})
    scene = Scene(wanted, to(symbols="BUSDT"))
    before = scene.shards()
    scene.step()
    assert [order.kind for order in scene.orders()] == ["split"]
    scene.settle()
    after = scene.shards()
    assert {name for name in after if after[name] != before[name]} == {"BUSDT"}
    assert after["BUSDT"] == "shard-1"


@pytest.mark.parametrize("moment", ["order", "sealed", "decided", "published"])
def test_the_cluster_stays_available_and_ready_all_along(moment: str) -> None:
    scene, order = begun()
    if moment == "sealed":
        rows = tuple(
            replace(row, state="SEALED") if row.slot_id in order.slots else row
            for row in scene.world.shards["shard-0"].rows or ()
        )
        sealed = replace(scene.world.shards["shard-0"], rows=rows)
        scene.world = replace(scene.world, shards={**scene.world.shards, "shard-0": sealed})
    elif moment != "order":
        scene.carry_out(order)
    if moment == "published":
        scene.step()
    plan = scene.plan()
    assert verdict(plan.status, "Available")[0] == "True"
    assert verdict(plan.status, "Ready")[0] == "True"


def test_a_slot_with_two_owners_is_told_and_stops_all_moves() -> None:
    scene = Scene(TWO, to())
    rows = scene.world.shards["shard-0"].rows or ()
    other = scene.world.shards["shard-1"]
    both = replace(other, rows=(*(other.rows or ()), replace(rows[0], epoch=9)))
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-1": both})
    plan = scene.step()
    assert verdict(plan.status, "Degraded") == ("True", "SlotsWithTwoOwners")
    assert scene.verdict()[0] is not MoveState.MOVING
    assert scene.orders() == ()


def test_a_slot_that_stays_sealed_when_nothing_moves_is_told() -> None:
    scene = Scene(TWO)
    rows = tuple(replace(r, state="SEALED") for r in scene.world.shards["shard-0"].rows or ())
    shard = replace(scene.world.shards["shard-0"], rows=rows)
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-0": shard})
    assert verdict(scene.plan().status, "Available")[0] == "False"


def test_a_slot_that_its_partition_does_not_serve_is_told_though_its_row_is_sealed() -> None:
    scene, order = begun()
    rows = tuple(replace(r, state="SEALED") for r in scene.world.shards["shard-0"].rows or ())
    shard = replace(scene.world.shards["shard-0"], rows=rows)
    partition = replace(scene.world.partitions["partition-0"], slots=())
    scene.world = replace(
        scene.world, shards={**scene.world.shards, "shard-0": shard},
        partitions={**scene.world.partitions, "partition-0": partition},
    )  # fmt: skip
    assert order.slots
    assert verdict(scene.plan().status, "Available") == ("False", "SlotsWithoutOwner")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (to(symbols="DOGECOIN"), MoveReason.UNKNOWN_SYMBOLS),
        (to(symbols="A..C,B..D"), MoveReason.SYMBOLS_OVERLAP),
        (to("shard-0"), MoveReason.ALREADY_THERE),
        (to("shard-7"), MoveReason.TARGET_MISSING),
    ],
)
def test_nonsense_is_refused_with_its_field(wish: SymbolMove, reason: MoveReason) -> None:
    scene = Scene(TWO, wish)
    assert scene.step().actions == ()
    assert scene.verdict() == (MoveState.REFUSED, reason)
    assert scene.status().message.startswith(("toShard: ", "symbols: "))


def test_shards_and_not_partitions_are_named_when_one_is_missing() -> None:
    scene = Scene(TWO, to("shard-7"))
    scene.step()
    assert "there are: shard-0, shard-1" in scene.status().message


def test_a_drained_shard_is_refused() -> None:
    wanted = cluster(shards={"count": 2, "drained": ["shard-1"]}, partitions={"count": 2})
    scene = Scene(wanted, to())
    scene.step()
    assert scene.verdict() == (MoveState.REFUSED, MoveReason.TARGET_LEAVING)


def test_partitions_that_move_nothing_between_shards_are_not_asked() -> None:
    scene = Scene(TWO, to())
    old = {
        name: replace(each, move_kinds=frozenset({"engine", "split", "merge"}))
        for name, each in scene.world.partitions.items()
    }
    scene.world = replace(scene.world, partitions=old)
    assert scene.step().actions == ()
    assert scene.verdict() == (MoveState.REFUSED, MoveReason.SHARD_MOVES_UNSUPPORTED)
    assert "partition-0" in scene.status().message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accepts_writes": False}, MoveReason.TARGET_NOT_READY),
        ({"prepared_hash": "of another schema"}, MoveReason.TARGET_NOT_READY),
        ({"rows": None}, MoveReason.WORLD_UNKNOWN),
    ],
)
def test_it_waits_for_a_target_that_is_not_ready_or_not_prepared_for_this_schema(
    change: dict[str, Any], reason: MoveReason
) -> None:
    scene = Scene(TWO, to())
    well = scene.world.shards
    sick = replace(well["shard-1"], **change)
    scene.world = replace(scene.world, shards={**well, "shard-1": sick})
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, reason)
    assert "shard-1" in scene.status().message
    assert scene.orders() == ()
    scene.world = replace(scene.world, shards=well)
    scene.step()
    assert scene.orders()


@pytest.mark.parametrize(("free_mib", "waits"), [(2000, True), (2001, False)])
def test_it_wants_more_than_twice_the_bytes_to_copy_free(free_mib: int, waits: bool) -> None:
    scene = Scene(TWO, to())
    source = scene.world.shards["shard-0"]
    count = len([slot for slot in scene.shards().values() if slot == "shard-0"])
    source = replace(source, database_bytes=1000 * MIB * count)
    scene.world = replace(
        scene.world, disk_free_bytes=free_mib * MIB,
        shards={**scene.world.shards, "shard-0": source},
    )  # fmt: skip
    scene.step()
    assert bool(scene.orders()) is not waits
    if waits:
        assert scene.verdict() == (MoveState.WAITING, MoveReason.STORAGE_FULL)
        assert "shard-1" in scene.status().message


@pytest.mark.parametrize("tier", ["shards", "partitions"])
def test_one_move_at_a_time_for_each_shard_and_each_partition(tier: str) -> None:
    shards = 2 if tier == "shards" else 4
    wanted = cluster(
        shards={"count": shards}, partitions={"count": 1}, rebalancing={"parallelMovesMax": 8}
    )
    first = next(iter(Scene(wanted).shards()))
    other = next(name for name, shard in Scene(wanted).shards().items() if shard != "shard-0")
    there = "shard-1" if tier == "shards" else "shard-3"
    scene = Scene(wanted, to(there, "a", symbols=first), to("shard-0", "b", symbols=other))
    scene.step()
    assert [order.target_shard for order in scene.orders()] == [there]
    assert scene.verdict("b") == (MoveState.WAITING, MoveReason.MOVES_IN_FLIGHT)
    scene.carry_out(scene.orders()[0])
    scene.settle()
    assert scene.verdict("b")[0] is MoveState.DONE


def test_moves_of_other_shards_and_partitions_go_on_beside_it() -> None:
    wanted = cluster(
        LETTERS, shards={"count": 4}, partitions={"count": 2},
        rebalancing={"parallelMovesMax": 8},
    )  # fmt: skip
    scene = Scene(wanted, to("shard-1", "a", symbols="..D"), to("shard-2", "b", symbols="W.."))
    scene.step()
    ends = [(o.source_partition, o.source_shard, o.target_shard) for o in scene.orders()]
    assert ends == [("partition-0", "shard-0", "shard-1"), ("partition-1", "shard-3", "shard-2")]


def test_one_slot_is_in_one_move() -> None:
    scene = Scene(TWO, to("shard-1", "a"), move("b", symbols="ADAUSDT"))
    scene.step()
    assert len(scene.orders()) == 1
    assert scene.verdict("b") == (MoveState.WAITING, MoveReason.RANGE_BUSY)


def test_edited_while_it_runs_it_is_refused_and_its_order_withdrawn() -> None:
    scene, _ = begun()
    scene.edit(symbols=["BTCUSDT"])
    scene.step()
    assert scene.verdict() == (MoveState.REFUSED, MoveReason.SPEC_EDITED)
    assert scene.orders() == ()


def test_cancelled_before_the_decision_all_stays_where_it_was() -> None:
    scene, order = begun()
    scene.edit(cancel=True)
    scene.settle()
    assert scene.verdict() == (MoveState.CANCELLED, MoveReason.CANCELLED_BY_SPEC)
    assert placed(scene, order.slots[0])[1] == "shard-0"


def test_cancelled_after_the_decision_it_is_done() -> None:
    scene, order = begun()
    scene.edit(cancel=True)
    scene.carry_out(order)
    scene.settle()
    assert scene.verdict()[0] is MoveState.DONE
    assert placed(scene, order.slots[0])[1] == "shard-1"


def test_progress_is_the_partitions_be_it_told_in_one_role_or_two() -> None:
    scene, order = begun()
    scene.now += 10
    scene.tell(order, "source", "Copying", percent=43, bytes=9000, lag_commands=17)
    scene.step()
    status = scene.status()
    assert (status.percent, status.bytes, status.lag_commands) == (40, 9000, 17)
    assert status.step == "Copying"
    assert status.estimated_end_time


def test_the_order_stays_until_the_pause_was_told() -> None:
    scene, order = begun()
    scene.carry_out(order)
    scene.tell(order, "source", "Activating", verified=True)
    scene.step()
    assert scene.verdict()[0] is MoveState.MOVING
    scene.tell(order, "source", "Done", verified=True, pause_milliseconds=31.5, percent=100)
    scene.step()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)
    assert (scene.status().pause_milliseconds, scene.status().verified) == (31.5, True)


def test_a_difference_ends_it_before_the_decision_and_raises_a_condition() -> None:
    scene, order = begun()
    scene.tell(order, "source", "Failed", problem="open orders: 3 and 4", code="differs")
    scene.step()
    assert scene.verdict() == (MoveState.FAILED, MoveReason.NOT_VERIFIED)
    assert scene.status().evidence == "open orders: 3 and 4"
    assert scene.orders() == ()
    assert verdict(scene.plan().status, "Degraded") == ("True", "MoveNotVerified")
    assert placed(scene, order.slots[0])[1] == "shard-0"


def test_a_problem_that_names_the_digest_but_is_none_of_it_is_tried_again() -> None:
    scene, order = begun()
    scene.tell(order, "source", "Failed", problem="the digest took too long", code="other")
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.BACKING_OFF)


def test_a_failed_attempt_names_the_partition_and_is_tried_again() -> None:
    scene, order = begun()
    scene.tell(order, "target", "Failed", problem="shard-1 does not answer")
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.BACKING_OFF)
    assert "partition-0: shard-1 does not answer" in scene.status().message
    scene.now += 6
    scene.step()
    assert [each.attempt for each in scene.orders()] == [2]


def test_a_large_copy_has_more_time() -> None:
    scene = Scene(TWO, to())
    database_bytes = 4 * 1000 * COPY_BYTES_PER_SECOND
    source = replace(scene.world.shards["shard-0"], database_bytes=database_bytes)
    assert len([shard for shard in scene.shards().values() if shard == "shard-0"]) == 4
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-0": source})
    scene.step()
    scene.now += ATTEMPT_SECONDS_MAX + 1000
    scene.step()
    assert scene.verdict()[0] is MoveState.MOVING
    scene.now += 1
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.BACKING_OFF)


def test_the_way_back_is_kept_warm_for_the_soak_and_no_longer() -> None:
    scene, order = done()
    assert scene.orders() == (order,)
    assert row_of(scene, "shard-0", order.slots[0]).state == "FOLLOWER"
    scene.now += SOAK_SECONDS
    assert scene.plan().actions == ()
    scene.now += 1
    scene.step()
    assert scene.orders() == ()
    assert row_of(scene, "shard-0", order.slots[0]).state == "MOVED"
    assert scene.plan().actions == ()


def test_reverse_within_the_soak_is_another_short_move() -> None:
    scene, order = done()
    scene.edit(reverse=True)
    scene.step()
    (back,) = scene.orders()
    assert (back.kind, back.source_shard, back.target_shard) == ("shard", "shard-1", "shard-0")
    assert back.id != order.id
    assert scene.verdict()[0] is MoveState.REVERSING
    scene.carry_out(back)
    scene.settle()
    assert scene.verdict() == (MoveState.REVERSED, MoveReason.REVERSED_BY_SPEC)
    assert placed(scene, order.slots[0]) == ("partition-0", "shard-0", 3)
    assert scene.orders() == ()


def test_reverse_after_the_soak_is_refused() -> None:
    scene, order = done()
    scene.now += SOAK_SECONDS + 60
    scene.edit(reverse=True)
    scene.step()
    assert scene.verdict() == (MoveState.DONE, MoveReason.REVERSE_TOO_LATE)
    assert scene.orders() == ()
    assert placed(scene, order.slots[0])[1] == "shard-1"


def test_whoever_wants_the_symbols_next_ends_the_soak_and_waits_for_its_end() -> None:
    scene, order = done()
    scene.world = replace(
        scene.world, moves=(*(scene.world.moves or ()), move("n", symbols="ADAUSDT"))
    )
    before = scene.world.shards
    scene.step()
    assert scene.orders() == ()
    assert scene.verdict("n") == (MoveState.WAITING, MoveReason.RANGE_BUSY)
    after, scene.world = scene.world.shards, replace(scene.world, shards=before)
    scene.step()
    assert scene.orders() == ()  # as long as a copy is there
    scene.world = replace(scene.world, shards=after)
    scene.settle()
    assert scene.verdict("n")[0] is MoveState.DONE
    assert placed(scene, order.slots[0])[:2] == ("partition-1", "shard-1")


def test_a_move_that_has_not_ended_in_the_row_is_waited_for() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    rows = tuple(replace(r, move_id="some") for r in scene.world.shards["shard-0"].rows or ())
    bound = replace(scene.world.shards["shard-0"], rows=rows)
    free = scene.world.shards
    scene.world = replace(scene.world, shards={**free, "shard-0": bound})
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.RANGE_BUSY)
    scene.world = replace(scene.world, shards=free)
    scene.step()
    assert scene.orders()


def test_the_soak_stands_in_nobodys_way_who_restarts() -> None:
    scene, order = done()
    scene.wanted = cluster(
        shards={"count": 2}, partitions={"count": 2, "update": "Restart"},
        observability={"logLevel": "debug"},
    )  # fmt: skip
    stopped: list[str] = []
    for _ in range(40):
        stopped += [a.name for a in scene.step().actions if isinstance(a, StopComponent)]
    assert {"partition-0", "partition-1"} <= set(stopped)
    assert scene.orders() == (order,)


def test_an_operator_that_forgot_everything_goes_on_by_the_rows() -> None:
    scene, order = begun()
    scene.carry_out(order)
    scene.world = replace(scene.world, moves=(to(),))  # its status is gone
    scene.step()
    scene.step()
    assert placed(scene, order.slots[0])[1] == "shard-1"
    assert scene.status().reason == MoveReason.ALREADY_THERE
    assert scene.orders() == ()


def test_a_copy_on_a_third_shard_is_waited_for() -> None:
    wanted = cluster(shards={"count": 3}, partitions={"count": 2})
    scene = Scene(wanted, to())
    mine = next(row for row in scene.world.shards["shard-0"].rows or () if row.first == "")
    well = scene.world.shards
    third = replace(
        well["shard-2"], rows=(*(well["shard-2"].rows or ()), replace(mine, state="PREPARED"))
    )
    scene.world = replace(scene.world, shards={**well, "shard-2": third})
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.RANGE_BUSY)
    assert "shard-2" in scene.status().message
    scene.world = replace(scene.world, shards=well)
    scene.step()
    assert scene.orders()


def test_who_goes_on_later_does_not_push_in_before_who_is_on_its_way() -> None:
    wanted = cluster(
        LETTERS, shards={"count": 3}, partitions={"count": 1},
        rebalancing={"parallelMovesMax": 8},
    )  # fmt: skip
    topology = Scene(wanted).world.topology
    assert topology is not None
    firsts = [slot.first for slot in topology.slots][:4]
    scene = Scene(
        wanted, to("shard-1", "a", symbols=f"..{firsts[2]}"),
        to("shard-2", "b", symbols=f"{firsts[2]}..{firsts[3]}"),
    )  # fmt: skip
    scene.step()
    scene.carry_out(scene.orders()[0])
    well = scene.world.partitions, scene.world.shards["shard-1"]
    sick = replace(well[1], accepts_writes=False)
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-1": sick})
    scene.step()
    (order,) = scene.orders()
    assert order.target_shard == "shard-2"
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-1": well[1]})
    scene.step()
    assert scene.orders() == (order,)
    assert scene.verdict("a") == (MoveState.WAITING, MoveReason.MOVES_IN_FLIGHT)
