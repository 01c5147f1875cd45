"""The topology is brought up to the rows, and only to rows that make sense together."""

from __future__ import annotations

from dataclasses import replace

from trading_contract.moves import MoveOrder
from trading_contract.topology import SlotPlacement
from trading_operator.planner.moves.ownership import (
    doubled_slots,
    folded_slots,
    next_slot_id,
    used_ids,
)
from trading_operator.planner.observed import ShardSeen, SlotRow

LEFT = SlotPlacement(
    id=1_000_001, first="", past="M", partition="partition-0", shard="shard-0", epoch=3
)
RIGHT = SlotPlacement(
    id=2_000_001, first="M", past="~", partition="partition-1", shard="shard-1", epoch=5
)
SLOTS = (LEFT, RIGHT)
LEFT_ROW = SlotRow(LEFT.id, 3, "ACTIVE", "", "", "M", "partition-0")
RIGHT_ROW = SlotRow(RIGHT.id, 5, "ACTIVE", "", "M", "~", "partition-1")


def shards(*left: SlotRow, right: tuple[SlotRow, ...] = (RIGHT_ROW,)) -> dict[str, ShardSeen]:
    """Rows of shard-0 and of shard-1."""
    return {"shard-0": ShardSeen(rows=left), "shard-1": ShardSeen(rows=right)}


def test_rows_that_say_the_same_change_nothing() -> None:
    assert folded_slots(SLOTS, shards(LEFT_ROW)) == SLOTS


def test_a_row_with_a_higher_epoch_names_the_owner() -> None:
    taken = replace(LEFT_ROW, epoch=4, partition="partition-1")
    (left, right) = folded_slots(SLOTS, shards(taken))
    assert (left.partition, left.epoch, right) == ("partition-1", 4, RIGHT)


def test_an_older_look_is_not_believed() -> None:
    assert folded_slots(SLOTS, shards(replace(LEFT_ROW, epoch=2, partition="partition-7"))) == SLOTS


def test_of_two_active_rows_the_higher_epoch_counts() -> None:
    arrived = replace(LEFT_ROW, epoch=6)
    (left, _) = folded_slots(SLOTS, shards(LEFT_ROW, right=(RIGHT_ROW, arrived)))
    assert (left.shard, left.epoch) == ("shard-1", 6)


def test_a_row_from_before_there_were_moves_says_nothing_about_the_partition() -> None:
    assert folded_slots(SLOTS, shards(replace(LEFT_ROW, partition=""))) == SLOTS


def test_a_split_is_seen_as_two_slots() -> None:
    left = replace(LEFT_ROW, epoch=4, past="F")
    new = replace(LEFT_ROW, slot_id=1_000_002, epoch=4, first="F")
    folded = folded_slots(SLOTS, shards(left, new))
    assert [(s.id, s.first, s.past) for s in folded] == [
        (1_000_001, "", "F"), (1_000_002, "F", "M"), (2_000_001, "M", "~"),
    ]  # fmt: skip


def test_half_a_split_is_not_believed() -> None:
    assert folded_slots(SLOTS, shards(replace(LEFT_ROW, epoch=4, past="F"))) == SLOTS


def test_merged_slots_are_one() -> None:
    both = (
        LEFT.model_copy(update={"past": "F"}),
        LEFT.model_copy(update={"id": 1_000_002, "first": "F"}),
        RIGHT,
    )
    tombstone = SlotRow(1_000_002, 4, "MOVED", "", "F", "M", "partition-0")
    folded = folded_slots(both, shards(replace(LEFT_ROW, epoch=4), tombstone))
    assert [(s.id, s.first, s.past) for s in folded] == [
        (1_000_001, "", "M"), (2_000_001, "M", "~"),
    ]  # fmt: skip


def test_silent_shards_and_sealed_slots_leave_things_as_they_were() -> None:
    assert folded_slots(SLOTS, {}) == SLOTS
    assert folded_slots(SLOTS, {"shard-0": ShardSeen()}) == SLOTS
    assert folded_slots(SLOTS, shards(replace(LEFT_ROW, state="SEALED"))) == SLOTS


def test_what_moves_between_shards_prepare_and_leave_is_not_the_slot() -> None:
    there = replace(LEFT_ROW, epoch=4)
    for here, arrived, where in (
        (replace(there, state="FOLLOWER"), there, "shard-1"),
        (replace(there, state="MOVED"), there, "shard-1"),
        (replace(there, epoch=3, state="SEALED"), there, "shard-1"),
        (LEFT_ROW, replace(there, epoch=0, state="PREPARED"), "shard-0"),
        (replace(there, epoch=5), replace(there, epoch=0, state="ABORTED"), "shard-0"),
    ):
        (left, right) = folded_slots(SLOTS, shards(here, right=(RIGHT_ROW, arrived)))
        assert (left.shard, right) == (where, RIGHT), here


def test_a_slot_that_left_for_a_silent_shard_is_not_forgotten() -> None:
    gone = {"shard-0": ShardSeen(rows=(replace(LEFT_ROW, state="MOVED"),)), "shard-1": ShardSeen()}
    assert folded_slots(SLOTS, gone) == SLOTS


def test_two_shards_that_serve_one_slot_are_told_unless_it_is_on_its_way() -> None:
    world = shards(LEFT_ROW, right=(RIGHT_ROW, replace(LEFT_ROW, epoch=4)))
    assert doubled_slots(world, ()) == {LEFT.id: "shard-0 and shard-1"}
    order = MoveOrder(
        id="00000000-0000-0000-0000-000000000001", kind="shard", slots=(LEFT.id,),
        source_partition="partition-0", source_shard="shard-0", target_shard="shard-1",
    )  # fmt: skip
    assert doubled_slots(world, (order,)) == {}
    assert doubled_slots(shards(LEFT_ROW), ()) == {}


def test_a_new_slot_of_nobody_is_not_believed() -> None:
    left = replace(LEFT_ROW, epoch=4, past="F")
    new = replace(LEFT_ROW, slot_id=1_000_002, epoch=4, first="F", partition="")
    assert folded_slots(SLOTS, shards(left, new)) == SLOTS


def test_ids_are_never_given_twice() -> None:
    gone = SlotRow(1_000_009, 4, "MOVED", "", "F", "M", "partition-0")
    used = used_ids(SLOTS, shards(LEFT_ROW, gone))
    assert next_slot_id("shard-0", used) == 1_000_010
    assert next_slot_id("shard-2", used) == 3_000_001
