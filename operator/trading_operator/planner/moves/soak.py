"""Moves between shards that are done: their orders stay for as long as the way back is kept warm.

The copy that was left behind follows while the order stands; when it goes, the owner compares both
sides and turns that copy into a tombstone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from trading_contract.moves import MoveOrder
from trading_contract.symbolmove import MoveState, SymbolMove, SymbolMoveStatus
from trading_contract.symbols import parse_range
from trading_contract.topology import SlotPlacement
from trading_operator.planner.moves.case import uid_of
from trading_operator.planner.moves.orders import belongs_to
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.moves.turnover import is_finished
from trading_operator.planner.moves.work import has_arrived
from trading_operator.planner.moves.world import MovesWorld

SOAK_SECONDS = 1800.0  # afterwards the way back is another move


def soaking(moves: Sequence[SymbolMove], world: MovesWorld) -> Iterator[MoveOrder]:
    """Those of the published orders that stay.

    Moves of people only, and only while nobody else wants to move the same symbols: what moves, is
    split or is merged next must be at rest.
    """
    for move in moves:
        if move.status is None or not _is_fresh(move, move.status, world.now):
            continue
        others = [each for each in moves if each is not move and not is_finished(each)]
        for order in world.orders:
            if order.kind != "shard" or not belongs_to(order, uid_of(move)):
                continue
            slots = [slot for slot in world.slots if slot.id in order.slots]
            is_warm = any(order.source_shard in world.warm.get(s.id, ()) for s in slots)
            goes = order.source_shard not in world.shards or _are_wanted(slots, others)
            if has_arrived(order, world) and is_warm and not goes:
                yield order


def _is_fresh(move: SymbolMove, status: SymbolMoveStatus, now: float) -> bool:
    ended = seconds_of(status.finished_time)
    is_done = status.state is MoveState.DONE and not move.is_planned
    return is_done and ended is not None and now - ended <= SOAK_SECONDS


def _are_wanted(slots: Iterable[SlotPlacement], moves: Iterable[SymbolMove]) -> bool:
    ranges = [parse_range(text) for move in moves for text in move.spec.symbols if ".." in text]
    names = [text for move in moves for text in move.spec.symbols if ".." not in text]
    return any(
        any(first < slot.past and slot.first < past for first, past in ranges)
        or any(slot.first <= name < slot.past for name in names)
        for slot in slots
    )  # fmt: skip
