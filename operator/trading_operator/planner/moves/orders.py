"""The orders that bring pieces to their new owner, one step at a time."""

from __future__ import annotations

import hashlib

from trading_contract.moves import MoveOrder
from trading_operator.planner.moves.ownership import is_shard, next_slot_id
from trading_operator.planner.moves.selection import Piece
from trading_operator.planner.moves.world import Room


def order_id(uid: str, step: str, slot: int) -> str:
    """In the form of a UUID; the same for the same step of a move, in every pass and attempt.

    `step` is the target partition or shard, or `split`.
    """
    text = f"{uid}/{step}/{slot}".encode()
    digits = hashlib.sha256(text).hexdigest()[:32]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def belongs_to(order: MoveOrder, uid: str) -> bool:
    """Whether an order of the topology was made for that move."""
    return order.id == order_id(uid, order.target or order.kind, order.slots[0])


def next_order(
    piece: Piece, target: str, maker: tuple[str, int], pause_milliseconds_max: int, room: Room
) -> MoveOrder:
    """The next step for a piece; `maker` = uid and attempt of the move.

    A piece inside of a slot is split off first: at its beginning, then at its end. The part that
    keeps the slot's id is always the left one.
    """
    uid, attempt = maker
    slot = piece.slot
    if piece.is_whole:
        to_shard = is_shard(target)
        return MoveOrder(
            id=order_id(uid, target, slot.id), kind="shard" if to_shard else "engine",
            slots=(slot.id,), source_partition=slot.partition,
            target_partition=None if to_shard else target, source_shard=slot.shard,
            target_shard=target if to_shard else None,
            pause_milliseconds_max=pause_milliseconds_max, attempt=attempt,
        )  # fmt: skip
    new_slot = next_slot_id(slot.shard, room.ids)
    room.ids.add(new_slot)
    return MoveOrder(
        id=order_id(uid, "split", slot.id), kind="split", slots=(slot.id,),
        source_partition=slot.partition, source_shard=slot.shard,
        split_at=piece.first if piece.first > slot.first else piece.past, new_slot=new_slot,
        pause_milliseconds_max=pause_milliseconds_max, attempt=attempt,
    )  # fmt: skip


def in_words(order: MoveOrder) -> str:
    """For reasons and events."""
    (slot, *_) = order.slots
    if order.kind == "merge":
        return f"merge slot {order.slots[1]} into {slot}"
    if order.kind == "split":
        return f"split slot {slot} at {order.split_at}"
    source = order.source_shard if order.kind == "shard" else order.source_partition
    return f"move slot {slot} from {source} to {order.target}"
