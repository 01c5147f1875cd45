"""The slots of a cluster whose topology was lost while its shards run.

The shards know which slots there are; who writes each is known from the partitions, else from the
status that was told last. Where one slot stays unknown nothing is made up.
"""

from __future__ import annotations

from trading_contract.status import ClusterStatus
from trading_contract.topology import SlotPlacement
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.keeping import wanted_names
from trading_operator.planner.kubernetes.seen import KubernetesSeen
from trading_operator.planner.moves.ownership import living_rows
from trading_operator.planner.observed import Role


def salvaged_slots(
    spec: TradingClusterSpec, seen: KubernetesSeen, previous: ClusterStatus | None
) -> tuple[SlotPlacement, ...] | None:
    """All slots, sorted and without holes; None when that cannot be said for sure."""
    names = set(wanted_names(spec, Role.SHARD)) | set(seen.shards)
    if any(getattr(seen.shards.get(name), "rows", None) is None for name in names):
        return None
    writers = {slot.slot_id: name for name, each in seen.partitions.items() for slot in each.slots}
    told = {(each.first, each.past): each for each in (previous.slots if previous else ())}
    slots = []
    for row, shard in living_rows(seen.shards).values():
        before = told.get((row.first, row.past))
        known = writers.get(row.slot_id) or row.partition
        partition = known or (before.partition if before else "")
        if not partition or not row.past:
            return None
        slots.append(
            SlotPlacement(
                id=row.slot_id, first=row.first, past=row.past, partition=partition, shard=shard
            )
        )
    slots.sort(key=lambda slot: slot.first)
    bounds = ["", *(slot.past for slot in slots)]
    is_whole = bounds == [*(slot.first for slot in slots), "~"]
    return tuple(slots) if slots and is_whole else None
