"""Who owns which slot, from the rows of all shards: what the topology is brought up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trading_contract.errors import InvariantError
from trading_contract.slots import SymbolRange, check_tiles
from trading_contract.topology import SlotPlacement
from trading_operator.planner.observed import ShardSeen, SlotRow

ACTIVE = "ACTIVE"
MERGED = "MOVED"
IDS_PER_SHARD = 1_000_000  # a slot's id carries the shard it was born on


def folded_slots(
    slots: tuple[SlotPlacement, ...], shards: Mapping[str, ShardSeen]
) -> tuple[SlotPlacement, ...]:
    """The slots as the rows tell them; as they were where rows are silent or do not tile.

    Of a slot's rows the ACTIVE one with the highest epoch counts. A row without a partition is from
    before there were moves: it says nothing against the topology.
    """
    active: dict[int, tuple[SlotRow, str]] = {}
    ended: set[int] = set()
    for shard, seen in sorted(shards.items()):
        for row in seen.rows or ():
            best = active.get(row.slot_id)
            if row.state == ACTIVE and (best is None or row.epoch > best[0].epoch):
                active[row.slot_id] = (row, shard)
            elif row.state == MERGED:
                ended.add(row.slot_id)
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
