"""One SymbolMove from the wish to its end: rows decide, partitions report, people change minds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trading_contract.symbolmove import MoveReason, MoveState, SymbolMove
from trading_contract.topology import Topology
from trading_operator.planner.moves.attempts import ATTEMPT_SECONDS_MAX
from trading_operator.planner.moves.soak import SOAK_SECONDS
from trading_operator.planner.plan import (
    WAKE_SECONDS_ACTIVE,
    WAKE_SECONDS_IDLE,
    WAKE_SECONDS_WAITING,
)
from trading_operator.tests.builders import cluster, verdict
from trading_operator.tests.scenes import LETTERS, MANY, TWO, Scene, move


def begun(*moves: SymbolMove, wanted: Any = TWO) -> Scene:
    """Orders are in the topology."""
    scene = Scene(wanted, *(moves or (move(symbols="ADAUSDT"),)))
    scene.step()
    assert scene.orders()
    return scene


def done(*moves: SymbolMove, wanted: Any = TWO) -> Scene:
    """Everything has moved."""
    scene = Scene(wanted, *(moves or (move(symbols="ADAUSDT"),)))
    scene.settle()
    assert scene.verdict()[0] is MoveState.DONE
    return scene


def topology_of(scene: Scene) -> Topology:
    """The published one."""
    assert scene.world.topology is not None
    return scene.world.topology


def test_a_whole_slot_moves_and_the_topology_follows_the_rows() -> None:
    scene = begun()
    (order,) = scene.orders()
    assert (order.kind, order.source_partition, order.target_partition, order.attempt) == (
        "engine", "partition-0", "partition-1", 1,
    )  # fmt: skip
    assert scene.verdict() == (MoveState.MOVING, MoveReason.IN_PROGRESS)
    assert scene.plan().actions == ()  # nothing happens by the operator's doing
    scene.carry_out(order)
    scene.step()
    assert scene.orders() == ()
    moved = next(slot for slot in topology_of(scene).slots if slot.id == order.slots[0])
    assert (moved.partition, moved.epoch) == ("partition-1", 2)
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)
    assert scene.status().percent == 100
    assert scene.step().actions == ()


def test_passes_are_rarer_while_partitions_move_and_nothing_else_is_to_be_done() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    assert scene.plan().wake_after_seconds == WAKE_SECONDS_ACTIVE  # there are orders to publish
    scene = begun()
    assert scene.plan().wake_after_seconds == WAKE_SECONDS_WAITING
    scene.settle()
    assert scene.plan().wake_after_seconds == WAKE_SECONDS_IDLE


def test_the_cluster_stays_available_and_ready_all_along() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    for happens in ("wish", "order", "hand-over", "published"):
        plan = scene.step()
        assert verdict(plan.status, "Available")[0] == "True", happens
        assert verdict(plan.status, "Ready")[0] == "True", happens
        if happens == "order":
            assert verdict(plan.status, "Rebalancing") == ("True", "MovingSlots")
            scene.carry_out(scene.orders()[0])
    assert verdict(scene.plan().status, "Rebalancing") == ("False", "Reconciled")


def test_a_slot_between_its_owners_is_told_as_not_served() -> None:
    scene = begun()
    (order,) = scene.orders()
    scene.carry_out(order, is_served=False)
    source = scene.world.partitions["partition-0"]
    left = tuple(each for each in source.slots if each.slot_id not in order.slots)
    partitions = {**scene.world.partitions, "partition-0": replace(source, slots=left)}
    scene.world = replace(scene.world, partitions=partitions)
    assert verdict(scene.plan().status, "Available") == ("False", "SlotsWithoutOwner")


@pytest.mark.parametrize("late", ["partitions", "shards"])
def test_answers_from_before_and_after_a_hand_over_make_no_slot_unserved(late: str) -> None:
    scene = begun()
    before = scene.world
    scene.carry_out(scene.orders()[0])
    scene.world = replace(scene.world, **{late: getattr(before, late)})
    assert verdict(scene.plan().status, "Available")[0] == "True"


@pytest.mark.parametrize(
    ("symbols", "moved"),
    [
        ("BUSDT", "B"), ("AUSDT", "A"), ("CUSDT", "C"), ("BUSDT,CUSDT", "BC"), ("B..E", "BCD"),
        ("..D", "ABC"), ("AUSDT,CUSDT", "AC"), ("..M", "ABCDEFGHIJKL"), ("BUSDT,H..K", "BHIJ"),
    ],
)  # fmt: skip
def test_what_is_asked_for_moves_and_nothing_else(symbols: str, moved: str) -> None:
    scene = Scene(MANY, move(symbols=symbols))
    before = {name for name, owner in scene.owners().items() if owner == "partition-1"}
    assert before == {f"{letter}USDT" for letter in "MNOPQRSTUVWX"}
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)
    after = {name for name, owner in scene.owners().items() if owner == "partition-1"}
    assert after - before == {f"{letter}USDT" for letter in moved}
    for slot in topology_of(scene).slots:
        assert [name for name in LETTERS if slot.first <= name < slot.past], "an empty slot"


def test_a_range_is_cut_where_it_was_said() -> None:
    scene = done(move(symbols="B..BZ"), wanted=MANY)
    assert {"B", "BZ"} <= {slot.first for slot in topology_of(scene).slots}


def test_ids_of_doubled_slots_are_new_and_carry_their_shard() -> None:
    wanted = cluster(LETTERS, partitions={"count": 2}, shards={"count": 2})
    scene = Scene(wanted, move(symbols="BUSDT"), move("n", symbols="EUSDT"))
    scene.step()
    splits = [order for order in scene.orders() if order.kind == "split"]
    assert [order.new_slot for order in splits] == [1_000_005, 1_000_006]
    assert scene.verdict()[0] is MoveState.SPLITTING


def test_progress_is_mirrored_and_rounded() -> None:
    scene = begun()
    (order,) = scene.orders()
    scene.now += 10
    scene.tell(order, percent=43, bytes=9000, lag_commands=17, verified=True)
    scene.tell(order, "source", "Waiting")
    scene.step()
    status = scene.status()
    assert (status.percent, status.bytes, status.lag_commands) == (40, 9000, 17)
    assert status.step == "Following,Waiting"
    assert status.verified
    assert status.estimated_end_time == "2027-01-15T08:00:25Z"
    scene.tell(order, percent=44, bytes=9001, lag_commands=18)
    scene.tell(order, "source", "Waiting")
    assert scene.step().moves.statuses["m"] == status  # too little to be written


def test_the_order_stays_until_its_target_has_told_the_pause() -> None:
    scene = begun()
    (order,) = scene.orders()
    scene.carry_out(order)
    scene.tell(order, state="HandingOver", verified=True)
    scene.step()
    assert scene.orders() == (order,)
    assert scene.verdict()[0] is MoveState.MOVING
    scene.tell(order, state="Done", verified=True, pause_milliseconds=12.5, percent=100)
    scene.step()
    assert scene.orders() == ()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)
    assert (scene.status().pause_milliseconds, scene.status().verified) == (12.5, True)


@pytest.mark.parametrize(
    ("wish", "state", "reason"),
    [
        (move(symbols="DOGECOIN"), MoveState.REFUSED, MoveReason.UNKNOWN_SYMBOLS),
        (move(symbols="B0..B9"), MoveState.REFUSED, MoveReason.UNKNOWN_SYMBOLS),
        (move(symbols="ADAUSDT,A..B"), MoveState.REFUSED, MoveReason.SYMBOLS_OVERLAP),
        (move(symbols="A..C,B..D"), MoveState.REFUSED, MoveReason.SYMBOLS_OVERLAP),
        (move(symbols="ADAUSDT,ADAUSDT"), MoveState.REFUSED, MoveReason.SYMBOLS_OVERLAP),
        (move(symbols="ADAUSDT", to="partition-0"), MoveState.REFUSED, MoveReason.ALREADY_THERE),
        (move(symbols="ADAUSDT", to="partition-7"), MoveState.REFUSED, MoveReason.TARGET_MISSING),
        (move(symbols="ADAUSDT", toShard="shard-0"), MoveState.REFUSED, MoveReason.ALREADY_THERE),
        (move(symbols="ADAUSDT", toShard="shard-1"), MoveState.REFUSED, MoveReason.TARGET_MISSING),
        (
            move(symbols="ADAUSDT", approval="Manual"),
            MoveState.AWAITING_APPROVAL, MoveReason.NOT_APPROVED,
        ),
        (move(symbols="ADAUSDT", cancel=True), MoveState.CANCELLED, MoveReason.CANCELLED_BY_SPEC),
        (move(symbols="ADAUSDT", reverse=True), MoveState.CANCELLED, MoveReason.REVERSED_BY_SPEC),
    ],
)  # fmt: skip
def test_what_is_not_done_says_why_and_publishes_nothing(
    wish: SymbolMove, state: MoveState, reason: MoveReason
) -> None:
    scene = Scene(TWO, wish)
    for _ in range(3):
        assert scene.step().actions == ()
    assert scene.verdict() == (state, reason)
    if state is MoveState.REFUSED:
        assert scene.status().message
        assert scene.status().conditions[0].status == "False"


def test_a_drained_target_is_refused() -> None:
    drained = cluster(partitions={"count": 2, "drained": ["partition-1"]})
    scene = Scene(drained, move(symbols="ADAUSDT"))
    scene.step()
    assert scene.verdict() == (MoveState.REFUSED, MoveReason.TARGET_LEAVING)


def test_what_was_refused_is_looked_at_again_when_it_was_corrected() -> None:
    scene = Scene(TWO, move(symbols="NOSUCH"))
    scene.step()
    assert scene.verdict()[0] is MoveState.REFUSED
    scene.edit(symbols=["ADAUSDT"])
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)


def test_approval_lets_it_go() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT", approval="Manual"))
    scene.step()
    scene.edit(approved=True)
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"paused": True}, MoveReason.CLUSTER_PAUSED),
        ({"hibernated": True}, MoveReason.CLUSTER_HIBERNATED),
        ({"observability": {"logLevel": "debug"}}, MoveReason.CLUSTER_UPDATING),
    ],
)
def test_it_waits_for_the_cluster(spec: dict[str, Any], reason: MoveReason) -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    scene.wanted = cluster(partitions={"count": 2}, **spec)
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, reason)
    assert scene.orders() == ()


def test_no_disk_space_begins_no_move() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    scene.world = replace(scene.world, disk_free_bytes=1 << 20)
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.STORAGE_FULL)


def test_a_shard_that_does_not_answer_stops_new_moves_and_changes_no_slot() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    before = topology_of(scene).slots
    silent = replace(scene.world.shards["shard-0"], rows=None)
    scene.world = replace(scene.world, shards={"shard-0": silent})
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.WORLD_UNKNOWN)
    assert topology_of(scene).slots == before


def test_a_restart_for_other_settings_waits_until_moves_have_ended() -> None:
    scene = begun()
    scene.wanted = cluster(partitions={"count": 2}, observability={"logLevel": "debug"})
    names = [action.describe() for action in scene.plan().actions]
    assert "stop partition-0" not in names
    assert "stop partition-1" not in names
    scene.carry_out(scene.orders()[0])
    scene.settle()
    assert scene.verdict()[0] is MoveState.DONE
    assert verdict(scene.plan().status, "Ready")[0] == "True"


def test_the_same_symbols_are_moved_by_one_after_the_other() -> None:
    scene = Scene(
        TWO, move("a", symbols="..DOGEUSDT"), move("b", symbols="ADAUSDT", to="partition-1")
    )
    scene.step()
    assert scene.verdict("a")[0] is MoveState.MOVING
    assert scene.verdict("b") == (MoveState.WAITING, MoveReason.RANGE_BUSY)
    assert "a" in scene.status("b").message
    scene.settle()
    assert scene.verdict("a")[0] is MoveState.DONE
    assert scene.verdict("b")[0] is MoveState.DONE  # the first one brought them there


def test_no_more_moves_at_a_time_than_the_specification_allows() -> None:
    wanted = cluster(partitions={"count": 2}, rebalancing={"parallelMovesMax": 1})
    scene = Scene(wanted, move("a", symbols="..ETHUSDT"), move("b", symbols="ETHUSDT"))
    scene.step()
    assert len(scene.orders()) == 1
    assert scene.verdict("b") == (MoveState.WAITING, MoveReason.MOVES_IN_FLIGHT)
    scene.carry_out(scene.orders()[0])
    scene.step()
    assert scene.status("a").percent == 30
    scene.settle()
    assert scene.verdict("b")[0] is MoveState.DONE


def test_a_failed_attempt_is_withdrawn_and_tried_again_later_three_times_in_all() -> None:
    scene = begun()
    waits = []
    for attempt in (1, 2, 3):
        (order,) = scene.orders()
        assert order.attempt == attempt
        scene.tell(order, state="Failed", problem="the source does not answer")
        scene.step()
        assert scene.orders() == ()
        if attempt < 3:
            assert scene.verdict() == (MoveState.WAITING, MoveReason.BACKING_OFF)
            assert "the source does not answer" in scene.status().message
            begun_at = scene.now
            while not scene.orders():
                scene.now += 1
                scene.step()
            waits.append(scene.now - begun_at)
    assert waits == [5, 10]
    assert scene.verdict() == (MoveState.FAILED, MoveReason.ATTEMPTS_EXHAUSTED)
    assert scene.status().attempts == 3
    assert scene.owners()["ADAUSDT"] == "partition-0"


def test_an_attempt_that_says_nothing_for_too_long_has_failed() -> None:
    scene = begun()
    scene.now += ATTEMPT_SECONDS_MAX + 1
    scene.step()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.BACKING_OFF)
    assert scene.orders() == ()


def test_a_failure_told_after_the_hand_over_counts_for_nothing() -> None:
    scene = begun()
    (order,) = scene.orders()
    scene.carry_out(order)
    scene.tell(order, "source", "Failed", problem="lost the connection")
    scene.step()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)


def test_a_difference_ends_the_move_keeps_the_evidence_and_raises_a_condition() -> None:
    scene = begun(move(symbols="ADAUSDT"), move("other", symbols="BTCUSDT"))
    evidence = "slot 1000001: the digest at 4711 of ['', 'B') differs"
    order = next(o for o in scene.orders() if o.slots == (1_000_001,))
    scene.tell(order, state="Failed", problem=evidence)
    plan = scene.step()
    assert scene.verdict() == (MoveState.FAILED, MoveReason.NOT_VERIFIED)
    assert evidence in scene.status().evidence
    assert verdict(plan.status, "Degraded") == ("True", "MoveNotVerified")
    assert order not in scene.orders()
    assert scene.owners()["ADAUSDT"] == "partition-0"
    told = {each.type.value: each.status for each in scene.status().conditions}
    assert told["Verified"] == "False"
    scene.wanted = cluster(partitions={"count": 3})
    scene.settle()  # the planner's own moves wait for a person
    assert all(not each.is_planned for each in scene.world.moves or ())
    scene.world = replace(scene.world, moves=())
    scene.settle()
    assert any(each.is_planned for each in scene.world.moves or ())


def test_cancelling_withdraws_the_order_and_leaves_everything_as_it_was() -> None:
    scene = begun()
    scene.edit(cancel=True)
    scene.step()
    assert scene.verdict()[0] is MoveState.CANCELLING
    assert scene.orders() == ()
    scene.step()
    assert scene.verdict() == (MoveState.CANCELLED, MoveReason.CANCELLED_BY_SPEC)
    assert scene.owners()["ADAUSDT"] == "partition-0"
    assert scene.step().actions == ()


def test_a_cancel_after_the_hand_over_comes_too_late() -> None:
    scene = begun()
    scene.carry_out(scene.orders()[0])
    scene.edit(cancel=True)
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)


def test_what_had_moved_before_a_cancel_stays_and_can_be_brought_back() -> None:
    wanted = cluster(partitions={"count": 2}, rebalancing={"parallelMovesMax": 1})
    scene = begun(move(symbols="..ETHUSDT"), wanted=wanted)
    scene.carry_out(scene.orders()[0])
    scene.step()
    scene.edit(cancel=True)
    scene.settle()
    assert scene.verdict()[0] is MoveState.CANCELLED
    assert "reverse" in scene.status().message
    assert scene.owners()["ADAUSDT"] == "partition-1"
    scene.edit(reverse=True)
    scene.settle()
    assert scene.verdict() == (MoveState.REVERSED, MoveReason.REVERSED_BY_SPEC)
    assert scene.owners()["ADAUSDT"] == "partition-0"


def test_deleting_the_resource_cancels_it() -> None:
    scene = begun()
    scene.world = replace(scene.world, moves=())
    scene.step()
    assert scene.orders() == ()


def test_reverse_brings_everything_back_also_from_several_partitions() -> None:
    wanted = cluster(partitions={"count": 3})
    scene = Scene(wanted, move(symbols="ADAUSDT,LTCUSDT", to="partition-2"))
    before = scene.owners()
    assert len({before["ADAUSDT"], before["LTCUSDT"]}) == 2
    scene.settle()
    assert scene.owners() != before
    scene.edit(reverse=True)
    scene.step()
    assert scene.verdict()[0] is MoveState.REVERSING
    scene.settle()
    assert scene.verdict() == (MoveState.REVERSED, MoveReason.REVERSED_BY_SPEC)
    assert scene.owners() == before


def test_reverse_in_the_middle_turns_round() -> None:
    scene = begun()
    scene.edit(reverse=True)
    scene.settle()
    assert scene.verdict() == (MoveState.REVERSED, MoveReason.REVERSED_BY_SPEC)
    assert scene.orders() == ()
    assert scene.owners()["ADAUSDT"] == "partition-0"


def test_reverse_comes_too_late_after_half_an_hour() -> None:
    scene = done()
    scene.now += SOAK_SECONDS + 1
    scene.edit(reverse=True)
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.REVERSE_TOO_LATE)
    assert scene.owners()["ADAUSDT"] == "partition-1"


def test_reverse_does_not_touch_what_another_move_took_further() -> None:
    wanted = cluster(partitions={"count": 3})
    scene = done(move(symbols="ADAUSDT", to="partition-1"), wanted=wanted)
    later = move("n", symbols="ADAUSDT", to="partition-2")
    scene.world = replace(scene.world, moves=(*(scene.world.moves or ()), later))
    scene.settle()
    scene.edit(reverse=True)
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.NOTHING_TO_REVERSE)
    assert scene.owners()["ADAUSDT"] == "partition-2"


@pytest.mark.parametrize(
    "change", [{"symbols": ["BTCUSDT"]}, {"toPartition": "partition-2"}], ids=str
)
def test_an_edit_while_it_moves_stops_it_until_it_is_put_back(change: dict[str, Any]) -> None:
    scene = begun(wanted=cluster(partitions={"count": 3}))
    scene.edit(**change)
    scene.step()
    assert scene.verdict() == (MoveState.REFUSED, MoveReason.SPEC_EDITED)
    assert scene.orders() == ()
    scene.edit(symbols=["ADAUSDT"], toPartition="partition-1")
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)


def test_a_status_that_was_erased_in_the_middle_is_made_again_from_the_rows() -> None:
    scene = begun()
    (order,) = scene.orders()
    scene.world = replace(
        scene.world,
        moves=tuple(m.model_copy(update={"status": None}) for m in scene.world.moves or ()),
    )
    scene.step()
    assert [each.id for each in scene.orders()] == [order.id]
    scene.carry_out(scene.orders()[0])
    scene.settle()
    assert scene.verdict() == (MoveState.DONE, MoveReason.COMPLETED)
