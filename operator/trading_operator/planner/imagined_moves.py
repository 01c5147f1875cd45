"""What moves do to the rows of all shards, in the happy world of `preview`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from trading_contract.moves import MoveOrder
from trading_operator.planner.moves.ownership import ACTIVE
from trading_operator.planner.observed import ShardSeen, SlotRow

Rows = Mapping[str, tuple[SlotRow, ...]]
RESTING = {"FOLLOWER": "MOVED", "PREPARED": "ABORTED"}


def carried_out(rows: Rows, order: MoveOrder) -> Rows:
    """The rows by shard after an order was carried out; once is enough.

    What a move between shards left behind follows until its order is gone.
    """
    here = {row.slot_id: row for row in rows.get(order.source_shard, ())}
    row = here.get(order.slots[0])
    if row is None or row.state != ACTIVE:
        return rows
    partition = row.partition or order.source_partition
    if order.kind == "engine" and row.partition != order.target_partition:
        there = order.target_partition or ""
        here[row.slot_id] = replace(row, partition=there, epoch=row.epoch + 1)
    elif order.kind == "shard" and order.target_shard is not None:
        arrived = replace(row, epoch=row.epoch + 1, partition=partition, move_id=order.id)
        here[row.slot_id] = replace(arrived, state="FOLLOWER")
        there_now = {each.slot_id: each for each in rows.get(order.target_shard, ())}
        there_now[row.slot_id] = arrived
        rows = {**rows, order.target_shard: _sorted(there_now)}
    elif order.kind == "split" and order.new_slot is not None and order.new_slot not in here:
        at = order.split_at or ""
        left = replace(row, past=at, partition=partition, epoch=row.epoch + 1)
        here[row.slot_id] = left
        here[order.new_slot] = replace(left, slot_id=order.new_slot, first=at, past=row.past)
    elif order.kind == "merge" and order.slots[1] in here:
        right = here[order.slots[1]]
        epoch = max(row.epoch, right.epoch) + 1
        here[row.slot_id] = replace(row, past=right.past, partition=partition, epoch=epoch)
        here[right.slot_id] = replace(right, state="MOVED", partition="")
    return {**rows, order.source_shard: _sorted(here)}


def at_rest(rows: Rows, orders: Iterable[MoveOrder]) -> Rows:
    """The rows after each copy that no order wants any more became a tombstone."""
    wanted = {slot for order in orders for slot in order.touched}
    return {
        shard: tuple(row if row.slot_id in wanted else _resting(row) for row in those)
        for shard, those in rows.items()
    }


def rows_of(shards: Mapping[str, ShardSeen]) -> Rows:
    """By shard, of those that have tables."""
    return {name: seen.rows for name, seen in shards.items() if seen.rows is not None}


def with_rows(shards: Mapping[str, ShardSeen], rows: Rows) -> dict[str, ShardSeen]:
    """The shards with other rows."""
    return {
        name: replace(seen, rows=rows[name]) if name in rows else seen
        for name, seen in shards.items()
    }


def _resting(row: SlotRow) -> SlotRow:
    return replace(row, state=RESTING.get(row.state, row.state), move_id="")


def _sorted(rows: Mapping[int, SlotRow]) -> tuple[SlotRow, ...]:
    return tuple(rows[slot] for slot in sorted(rows))
