"""Who owns which slot, from the rows of all shards: what the topology is brought up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trading_contract.errors import InvariantError
from trading_contract.moves import MoveOrder
from trading_contract.slots import SymbolRange, check_tiles
from trading_contract.topology import SlotPlacement
from trading_operator.planner.observed import ShardSeen, SlotRow

ACTIVE = "ACTIVE"
SEALED = "SEALED"
MERGED = "MOVED"
ENDED = frozenset({MERGED, "ABORTED"})  # rows that stay behind for ever and hold nothing
IDS_PER_SHARD = 1_000_000  # a slot's id carries the shard it was born on


def folded_slots(
    slots: tuple[SlotPlacement, ...], shards: Mapping[str, ShardSeen]
) -> tuple[SlotPlacement, ...]:
    """The slots as the rows tell them; as they were where rows are silent or do not tile.

    Of a slot's rows the ACTIVE one with the highest epoch counts. A row without a partition is from
    before there were moves: it says nothing against the topology.
    """
    living = living_rows(shards)
    active = {slot: found for slot, found in living.items() if found[0].state == ACTIVE}
    states: dict[int, set[str]] = {}
    for seen in shards.values():
        for row in seen.rows or ():
            states.setdefault(row.slot_id, set()).add(row.state)
    ended = {slot for slot, those in states.items() if those <= ENDED and MERGED in those}
    known = {slot.id: slot for slot in slots}
    folded = []
    for slot_id in known.keys() | active.keys():
        before = known.get(slot_id)
        if slot_id in active:
            placed = _placed(*active[slot_id], before)
            if placed is None:
                return slots
            folded.append(placed)
        elif before is not None and slot_id not in ended:
            folded.append(before)
    folded.sort(key=lambda slot: (slot.first, slot.id))
    return tuple(folded) if _tiles(folded) else slots


def living_rows(shards: Mapping[str, ShardSeen]) -> dict[int, tuple[SlotRow, str]]:
    """By slot: the row that it lives by, and on which shard.

    Of all shards the ACTIVE or SEALED one with the highest epoch; a row that a move left behind,
    or prepared, never counts. As in `move_protocol.rows.orient`.
    """
    found: dict[int, tuple[SlotRow, str]] = {}
    for shard, seen in sorted(shards.items()):
        for row in seen.rows or ():
            best = found.get(row.slot_id)
            if row.state in (ACTIVE, SEALED) and (best is None or _rank(row) > _rank(best[0])):
                found[row.slot_id] = (row, shard)
    return found


def living_row(slot_id: int, shards: Mapping[str, ShardSeen]) -> tuple[SlotRow, str] | None:
    """The same for one slot."""
    found = (
        (row, shard) for shard, seen in sorted(shards.items()) for row in seen.rows or ()
        if row.slot_id == slot_id and row.state in (ACTIVE, SEALED)
    )  # fmt: skip
    return max(found, key=lambda each: _rank(each[0]), default=None)


def _rank(row: SlotRow) -> tuple[int, bool]:
    return row.epoch, row.state == ACTIVE


def warm_shards(slot: SlotPlacement, shards: Mapping[str, ShardSeen]) -> frozenset[str]:
    """Other shards that have a copy of the slot which may still become, or was just, the real one.

    A move that is under way has one, and one that is done for as long as its way back is warm.
    """
    return frozenset(
        shard for shard, seen in shards.items() if shard != slot.shard
        for row in seen.rows or () if row.slot_id == slot.id and row.state not in ENDED
    )  # fmt: skip


def doubled_slots(shards: Mapping[str, ShardSeen], orders: Iterable[MoveOrder]) -> dict[int, str]:
    """Slots that two shards serve, and which; as no move may make any, one lost a commit.

    Shards are not asked in one instant: of a slot that is on its way this says nothing.
    """
    moving = {slot for order in orders for slot in order.touched}
    found: dict[int, list[str]] = {}
    for shard, seen in sorted(shards.items()):
        for row in seen.rows or ():
            if row.state == ACTIVE and row.slot_id not in moving:
                found.setdefault(row.slot_id, []).append(shard)
    return {slot: " and ".join(names) for slot, names in found.items() if len(names) > 1}


def left_by(shard: str, shards: Mapping[str, ShardSeen]) -> bool:
    """Whether a slot that was there once still names a move: its owner reads both rows yet."""
    rows = getattr(shards.get(shard), "rows", None) or ()
    found = (living_row(row.slot_id, shards) for row in rows)
    return any(each is not None and each[0].move_id for each in found)


def is_emptied(seen: ShardSeen | None) -> bool:
    """Whether a shard surely holds nothing: its primary has tombstones, and no orders or trades."""
    if seen is None or not seen.accepts_writes or seen.has_orders:
        return False
    return all(row.state in ENDED for row in seen.rows or ())  # no tables: nothing was ever there


def home_of(slot: SlotPlacement, target: str) -> str:
    """Where the slot is: on which shard if the target is one, else at which partition."""
    return slot.shard if is_shard(target) else slot.partition


def is_shard(name: str) -> bool:
    """Whether the name is a shard's."""
    return name.startswith("shard-")


def _placed(row: SlotRow, shard: str, before: SlotPlacement | None) -> SlotPlacement | None:
    """None when nobody knows which partition a slot belongs to."""
    if before is not None and row.epoch < before.epoch:
        return before  # an old look
    partition = row.partition or (before.partition if before else "")
    first, past = row.first, row.past
    if not past:  # a row that was seen without its range
        first, past = (before.first, before.past) if before else ("", "")
    if not partition or not past:
        return None
    return SlotPlacement(
        id=row.slot_id, first=first, past=past, partition=partition, shard=shard, epoch=row.epoch
    )


def _tiles(slots: Iterable[SlotPlacement]) -> bool:
    try:
        check_tiles([SymbolRange(slot.first, slot.past) for slot in slots])
    except (InvariantError, ValueError):
        return False
    return True


def owner_of(slot: SlotPlacement, row: SlotRow | None) -> str:
    """The partition that owns the slot now; the topology may be one pass behind."""
    return row.partition if row is not None and row.partition else slot.partition


def next_slot_id(shard: str, used: Iterable[int]) -> int:
    """An id that no slot of any shard has or had, born on this shard."""
    number = int(shard.rpartition("-")[2]) + 1
    born = [each for each in used if each // IDS_PER_SHARD == number]
    return max(born, default=number * IDS_PER_SHARD) + 1


def used_ids(slots: Iterable[SlotPlacement], shards: Mapping[str, ShardSeen]) -> set[int]:
    """All ids that rows, tombstones among them, or the topology know."""
    ids = {slot.id for slot in slots}
    return ids | {row.slot_id for seen in shards.values() for row in seen.rows or ()}
