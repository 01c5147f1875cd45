"""Slots that nobody needs apart any more: neighbours at one owner become one, one pair at a time.

Splits are made for moves and outlive them. A merge is one commit of the owner and moves nothing, so
it needs no SymbolMove: its order stands until the rows say that it is done.
"""

from __future__ import annotations

from itertools import pairwise

from trading_contract.moves import MoveOrder
from trading_contract.topology import SlotPlacement
from trading_operator.planner.moves.orders import order_id
from trading_operator.planner.moves.world import MovesWorld

TRY_SECONDS = 60  # one that was refused is tried again after that


def merge_orders(world: MovesWorld, pause_milliseconds_max: int) -> tuple[MoveOrder, ...]:
    """The order for the two neighbours with the fewest symbols; none while there are few slots.

    Together they have no more symbols than a slot of a new cluster. Only when nothing else moves.
    """
    if len(world.slots) <= world.slots_wanted:
        return ()
    symbols_max = -(-len(world.listed) // world.slots_wanted)
    sizes = [
        (size, left, right) for left, right in pairwise(world.slots)
        if _may_merge(left, right, world)
        and (size := sum(left.first <= name < right.past for name in world.listed)) <= symbols_max
    ]  # fmt: skip
    if not sizes:
        return ()
    _, left, right = min(sizes, key=lambda each: (each[0], each[1].first))
    order = MoveOrder(
        id=order_id("planner", f"merge-{right.id}", left.id), kind="merge",
        slots=(left.id, right.id), source_partition=left.partition, source_shard=left.shard,
        pause_milliseconds_max=pause_milliseconds_max, attempt=1 + int(world.now) // TRY_SECONDS,
    )  # fmt: skip
    return (order,)


def _may_merge(left: SlotPlacement, right: SlotPlacement, world: MovesWorld) -> bool:
    at_rest = not any(world.warm.get(slot.id) or slot.id in world.bound for slot in (left, right))
    return (
        (left.partition, left.shard) == (right.partition, right.shard)
        and {left.partition, left.shard} <= world.ready
        and at_rest
    )
