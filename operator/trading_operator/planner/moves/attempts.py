"""When an attempt has failed, and when the next one begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trading_contract.moves import MoveOrder, MoveProgress
from trading_contract.symbolmove import MoveReason, SymbolMoveStatus
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.moves.world import MovesWorld

ATTEMPTS_MAX = 3
# What a partition of an older version says when it has another state at the same sequence.
DIFFERENCES = ("the digest", "another state")
BACK_OFF_SECONDS = 5.0
ATTEMPT_SECONDS_MAX = 600.0  # since the attempt, or its last part, began
COPY_BYTES_PER_SECOND = 1 << 19  # a copy may be as slow as that, and takes its time on top


@dataclass(frozen=True)
class AttemptFailure:
    """Why an attempt goes no further."""

    reason: MoveReason
    text: str


def back_off_seconds(attempts: int) -> float:
    """5, 10, 20 .. seconds after the n-th attempt."""
    return BACK_OFF_SECONDS * 2.0 ** (max(1, attempts) - 1)


def failure_of(orders: Iterable[MoveOrder], world: MovesWorld) -> AttemptFailure | None:
    """What the partitions say against going on; a difference that was found counts most."""
    failed = [
        (each, order) for order in orders for each in world.progress_of(order)
        if each.state == "Failed"
    ]  # fmt: skip
    for each, _ in failed:
        if _is_difference(each):
            return AttemptFailure(MoveReason.NOT_VERIFIED, each.problem)
    for each, order in failed:
        is_source = each.role == "source" or order.kind == "shard"
        name = order.source_partition if is_source else order.target_partition
        return AttemptFailure(MoveReason.BACKING_OFF, f"{name}: {each.problem or 'it failed'}")
    return None


def _is_difference(progress: MoveProgress) -> bool:
    """Whether source and target disagreed about the same commands: trying again hides it."""
    by_an_older_one = any(word in progress.problem for word in DIFFERENCES)
    return progress.code == "differs" or (not progress.code and by_an_older_one)


def is_overdue(status: SymbolMoveStatus, orders: Iterable[MoveOrder], world: MovesWorld) -> bool:
    """Whether the attempt has had its time: that of a large copy is longer."""
    began = seconds_of(status.attempt_time)
    copied = sum(
        world.slot_bytes.get(slot, 0)
        for order in orders if order.kind == "shard" for slot in order.slots
    )  # fmt: skip
    seconds_max = ATTEMPT_SECONDS_MAX + copied / COPY_BYTES_PER_SECOND
    return began is not None and world.now - began > seconds_max
