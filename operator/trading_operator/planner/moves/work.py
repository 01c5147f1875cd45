"""A move that is under way: orders for as many of its pieces as there is room for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from trading_contract.moves import MoveOrder
from trading_contract.symbolmove import MoveOrigin, MoveReason, MoveState
from trading_operator.planner.moves.attempts import (
    ATTEMPTS_MAX,
    back_off_seconds,
    failure_of,
    is_overdue,
)
from trading_operator.planner.moves.case import Case, uid_of
from trading_operator.planner.moves.hindrances import hindrance
from trading_operator.planner.moves.orders import next_order
from trading_operator.planner.moves.ownership import home_of, is_shard
from trading_operator.planner.moves.report import reported
from trading_operator.planner.moves.selection import Piece
from trading_operator.planner.moves.times import seconds_of, told
from trading_operator.planner.moves.verdicts import Judgement, ends, waits
from trading_operator.planner.moves.world import MovesWorld, Room, ends_of

ENDED = frozenset({"Done", "Failed"})
LOST_SECONDS = 60.0  # a partition has this long to come back after it was asked to give something


def work(case: Case, goals: list[tuple[Piece, str]], pieces: Iterable[Piece]) -> Judgement:
    """Orders for as many goals as there is room for; `pieces` are all, those done as well."""
    world, room, status = case.world, case.room, case.status
    slots = {piece.slot.id for piece in pieces}
    if holder := room.holder(slots, case.name):
        return waits(case, MoveReason.RANGE_BUSY, f"{holder} moves the same symbols first")
    needed = {piece.slot.id: (piece, target) for piece, target in reversed(goals)}
    mine = tuple(order for order in case.orders if _is_needed(order, needed, case))
    if mine and (failure := failure_of(mine, world)):
        return _failed(case, failure.reason, failure.text)
    if mine and is_overdue(status, mine, world):
        return _failed(case, MoveReason.ATTEMPTS_EXHAUSTED, "it took too long")
    retry_at = seconds_of(status.retry_time)
    if retry_at is not None and world.now < retry_at:
        room.claim(slots, case.name)
        return waits(case, MoveReason.BACKING_OFF, status.message)
    kept = (*mine, *settling(case, targets_of(case)))
    room.taken += len(kept)
    if places := places_of_the_lost(case, needed, kept):
        text = f"their partition does not answer: {', '.join(sorted(set(places.values())))} takes"
        verdict = waits(case, MoveReason.SOURCE_NOT_READY, f"{text} them over")
        room.claim(slots, case.name)
        return Judgement(verdict.status, kept, places)
    began, why = _begin(case, needed, kept)
    orders = (*kept, *began)
    reason, text = why or (MoveReason.MOVES_IN_FLIGHT, "other moves are on their way")
    if orders or reason is MoveReason.MOVES_IN_FLIGHT:
        room.claim(slots, case.name)  # who waits for the cluster stands in nobody's way
    if not orders:
        return waits(case, reason, text)
    changes: dict[str, object] = {}
    if began:
        changes = _beginning(case, pieces)
    return Judgement(reported(case, orders, len(needed), changes), orders)


def _is_needed(order: MoveOrder, needed: Mapping[int, tuple[Piece, str]], case: Case) -> bool:
    """Whether an order of the present attempt is still the next step of a goal."""
    goal = needed.get(order.slots[0])
    is_present = order.attempt == case.status.attempts and not case.status.retry_time
    if goal is None or not is_present:
        return False
    piece, target = goal
    if order.kind == "split":
        return not piece.is_whole and all(s.id != order.new_slot for s in case.world.slots)
    return piece.is_whole and order.target == target


def targets_of(case: Case) -> frozenset[str]:
    """The partitions or shards that get something."""
    if case.is_reversing:
        return frozenset(origin.owner for origin in case.status.origins)
    return frozenset({case.move.spec.target})


def settling(case: Case, targets: Collection[str]) -> tuple[MoveOrder, ...]:
    """Orders whose slots have arrived, of which the target has not told everything yet."""
    return tuple(
        order
        for order in case.orders
        if order.target in targets
        and has_arrived(order, case.world)
        and any(each.state not in ENDED for each in case.world.told_by_target(order))
    )


def has_arrived(order: MoveOrder, world: MovesWorld) -> bool:
    """Whether the rows say that all slots of an order are where it brings them."""
    slots = {slot.id: slot for slot in world.slots}
    return order.target is not None and all(
        slot in slots and home_of(slots[slot], order.target) == order.target for slot in order.slots
    )


def _begin(
    case: Case, needed: dict[int, tuple[Piece, str]], kept: tuple[MoveOrder, ...]
) -> tuple[tuple[MoveOrder, ...], tuple[MoveReason, str] | None]:
    """New orders, and why some had to wait."""
    world, status = case.world, case.status
    attempt = status.attempts if status.attempts and not status.retry_time else status.attempts + 1
    under_way = {order.slots[0] for order in kept}
    began: list[MoveOrder] = []
    why: tuple[MoveReason, str] | None = None
    for slot, (piece, target) in sorted(needed.items()):
        if slot in under_way:
            continue
        if world.obstruction is not None:
            return tuple(began), (world.obstruction.reason, world.obstruction.text)
        problem = hindrance(piece, target, world) or _no_room(piece, target, case.room)
        if problem is not None:
            why = why or problem
        else:
            pause = case.move.spec.max_pause_milliseconds
            order = next_order(piece, target, (uid_of(case.move), attempt), pause, case.room)
            began.append(order)
            case.room.taken += 1
            case.room.ends |= ends_of(order)
    return tuple(began), why


def places_of_the_lost(
    case: Case, needed: Mapping[int, tuple[Piece, str]], kept: tuple[MoveOrder, ...]
) -> dict[int, str]:
    """Whole slots whose partition is gone, not just restarting: nobody hands them over any more.

    The topology places them, knowing their owner's epoch, so whoever they are placed on takes them
    and shuts the old owner out, be it only frozen.
    """
    world = case.world
    times = (case.move.metadata.creation_timestamp, case.status.attempt_time)
    asked = max((at for text in times if (at := seconds_of(text)) is not None), default=world.now)
    if world.now - asked < LOST_SECONDS or world.obstruction is not None:
        return {}
    under_way = {slot for order in kept for slot in order.slots}
    return {
        slot: target for slot, (piece, target) in needed.items()
        if piece.is_whole and not is_shard(target) and slot not in under_way
        and piece.slot.partition in world.lost
        and target in world.ready and piece.slot.shard in world.ready
    }  # fmt: skip


def _no_room(piece: Piece, target: str, room: Room) -> tuple[MoveReason, str] | None:
    if room.is_full:
        return MoveReason.MOVES_IN_FLIGHT, "other moves are on their way"
    ends = frozenset({piece.slot.partition, piece.slot.shard, target})
    if is_shard(target) and piece.is_whole and not room.has_place(ends):
        text = "another move between shards is on its way there"
        return MoveReason.MOVES_IN_FLIGHT, text
    return None


def _beginning(case: Case, pieces: Iterable[Piece]) -> dict[str, object]:
    """What is noted when an attempt or another part of it begins."""
    status, now = case.status, told(case.world.now)
    homes = [(piece, home_of(piece.slot, case.move.spec.target)) for piece in pieces]
    changes: dict[str, object] = {"attempt_time": now, "retry_time": ""}
    if not status.attempts or status.retry_time:
        changes["attempts"] = status.attempts + 1
    if not status.origins:
        changes["origins"] = tuple(
            MoveOrigin(first=piece.first, past=piece.past, owner=home)
            for piece, home in homes
            if home != case.move.spec.target
        )
        owners = sorted({home for _, home in homes} - {case.move.spec.target})
        changes |= {"started_time": now, "source": ",".join(owners)}
    return changes


def _failed(case: Case, reason: MoveReason, text: str) -> Judgement:
    """The orders are withdrawn; the source serves on."""
    status = case.status
    if reason is MoveReason.NOT_VERIFIED:
        return ends(case, MoveState.FAILED, reason, text, evidence=text[:2000], verified=False)
    if status.attempts >= ATTEMPTS_MAX:
        message = f"{ATTEMPTS_MAX} attempts failed, the last one: {text}"
        return ends(case, MoveState.FAILED, MoveReason.ATTEMPTS_EXHAUSTED, message)
    retry_time = told(case.world.now + back_off_seconds(status.attempts))
    message = f"attempt {status.attempts} failed: {text}"
    return waits(case, MoveReason.BACKING_OFF, message, retry_time=retry_time)
