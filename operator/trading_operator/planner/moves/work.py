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
from trading_operator.planner.moves.orders import next_order
from trading_operator.planner.moves.report import reported
from trading_operator.planner.moves.selection import Piece
from trading_operator.planner.moves.times import seconds_of, told
from trading_operator.planner.moves.verdicts import Judgement, ends, waits
from trading_operator.planner.moves.world import TARGET, MovesWorld

ENDED = frozenset({"Done", "Failed"})


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
    if mine and is_overdue(status, world.now):
        return _failed(case, MoveReason.ATTEMPTS_EXHAUSTED, "it took too long")
    retry_at = seconds_of(status.retry_time)
    if retry_at is not None and world.now < retry_at:
        room.claim(slots, case.name)
        return waits(case, MoveReason.BACKING_OFF, status.message)
    kept = (*mine, *settling(case, targets_of(case)))
    room.taken += len(kept)
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
    return piece.is_whole and order.target_partition == target


def targets_of(case: Case) -> frozenset[str]:
    """The partitions that get something."""
    if case.is_reversing:
        return frozenset(origin.owner for origin in case.status.origins)
    return frozenset({case.move.spec.target})


def settling(case: Case, targets: Collection[str]) -> tuple[MoveOrder, ...]:
    """Orders whose slots have arrived, of which the target has not told everything yet."""
    owners = {slot.id: slot.partition for slot in case.world.slots}
    return tuple(
        order for order in case.orders
        if order.target_partition in targets
        and all(owners.get(slot) == order.target_partition for slot in order.slots)
        and any(
            each.role == TARGET and each.state not in ENDED
            for each in case.world.progress_of(order)
        )
    )  # fmt: skip


def _begin(
    case: Case, needed: dict[int, tuple[Piece, str]], kept: tuple[MoveOrder, ...]
) -> tuple[tuple[MoveOrder, ...], tuple[MoveReason, str] | None]:
    """New orders, and why some had to wait."""
    world, room, status = case.world, case.room, case.status
    attempt = status.attempts if status.attempts and not status.retry_time else status.attempts + 1
    under_way = {order.slots[0] for order in kept}
    began: list[MoveOrder] = []
    why: tuple[MoveReason, str] | None = None
    for slot, (piece, target) in sorted(needed.items()):
        if slot in under_way:
            continue
        if world.obstruction is not None:
            return tuple(began), (world.obstruction.reason, world.obstruction.text)
        problem = _not_ready(piece, target, world)
        if problem is not None:
            why = why or problem
        elif room.is_full:
            why = why or (MoveReason.MOVES_IN_FLIGHT, "other moves are on their way")
        else:
            pause = case.move.spec.max_pause_milliseconds
            began.append(next_order(piece, target, (uid_of(case.move), attempt), pause, room))
            room.taken += 1
    return tuple(began), why


def _not_ready(piece: Piece, target: str, world: MovesWorld) -> tuple[MoveReason, str] | None:
    source, shard = piece.slot.partition, piece.slot.shard
    if target not in world.ready and piece.is_whole:
        return MoveReason.TARGET_NOT_READY, f"{target} is not ready"
    for name in (source, shard):
        if name not in world.ready:
            return MoveReason.SOURCE_NOT_READY, f"{name} is not ready"
    return None


def _beginning(case: Case, pieces: Iterable[Piece]) -> dict[str, object]:
    """What is noted when an attempt or another part of it begins."""
    status, now = case.status, told(case.world.now)
    changes: dict[str, object] = {"attempt_time": now, "retry_time": ""}
    if not status.attempts or status.retry_time:
        changes["attempts"] = status.attempts + 1
    if not status.origins:
        changes["origins"] = tuple(
            MoveOrigin(first=piece.first, past=piece.past, owner=piece.slot.partition)
            for piece in pieces
            if piece.slot.partition != case.move.spec.target
        )
        owners = sorted({piece.slot.partition for piece in pieces} - {case.move.spec.target})
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
