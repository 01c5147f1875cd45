"""What a piece has to wait for before an order for it may be given."""

from __future__ import annotations

from trading_contract.symbolmove import MoveReason
from trading_operator.planner.moves.ownership import is_shard
from trading_operator.planner.moves.selection import Piece
from trading_operator.planner.moves.world import MovesWorld
from trading_operator.planner.scaling.layout import MoveWish

FREE_PER_BYTE = 2  # of disk, for each byte that is copied


def hindrance(piece: Piece, target: str, world: MovesWorld) -> tuple[MoveReason, str] | None:
    """Why the next step of a piece is not begun now, as reason and text; None: it may begin."""
    slot = piece.slot
    if target not in world.ready and piece.is_whole:
        return MoveReason.TARGET_NOT_READY, f"{target} is not ready"
    for name in (slot.partition, slot.shard):
        if name not in world.ready:
            return MoveReason.SOURCE_NOT_READY, f"{name} is not ready"
    between_shards = is_shard(target) and piece.is_whole
    if piece.is_whole and not between_shards and (cut := world.cut_off(slot.partition, target)):
        return MoveReason.TARGET_NOT_READY, f"{target} is not connected to {', '.join(cut)}"
    warm = world.warm.get(slot.id, frozenset()) - ({target} if between_shards else frozenset())
    if warm:
        text = f"{', '.join(sorted(warm))} still has a copy of it, from a move before"
        return MoveReason.RANGE_BUSY, text
    if slot.id in world.bound and not between_shards:
        return MoveReason.RANGE_BUSY, "a move between shards has not ended there yet"
    return _no_disk(piece, target, world) if between_shards else None


def _no_disk(piece: Piece, target: str, world: MovesWorld) -> tuple[MoveReason, str] | None:
    if target in world.warm.get(piece.slot.id, ()):
        return None  # what is copied is there already
    free, wanted = world.free_bytes.get(target), world.slot_bytes.get(piece.slot.id, 0)
    if free is None or free > FREE_PER_BYTE * wanted:
        return None
    text = f"{target} has {free >> 20} MiB of disk free, the copy needs {FREE_PER_BYTE} x"
    return MoveReason.STORAGE_FULL, f"{text} {wanted >> 20} MiB"


def may_be_asked(wish: MoveWish, world: MovesWorld) -> bool:
    """Whether what load wishes for can begin soon.

    A move that waits keeps all others of the planner from being asked for; so one between shards
    is only asked for where the partitions can do it and the disk of the target has room.
    """
    if not is_shard(wish.target):
        return True
    slots = [
        slot for slot in world.slots
        if any(slot.first < past and first < slot.past for first, past in wish.ranges)
    ]  # fmt: skip
    able = world.ready & world.movers
    if wish.target not in world.ready or wish.target not in world.staying:
        return False
    if any(slot.partition not in able for slot in slots):
        return False
    free = world.free_bytes.get(wish.target)
    copied = sum(world.slot_bytes.get(slot.id, 0) for slot in slots)
    return free is None or free > FREE_PER_BYTE * copied
