"""The change of owner on one shard: it rides the source's last batch, and one commit decides."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from trading_contract.move_protocol.rows import SlotRow, SlotState
from trading_contract.move_protocol.steps import Place, RowStep


class Owned(Protocol):
    """What a follower reads of a row, in whichever form it has that."""

    @property
    def state(self) -> SlotState:
        """What the row lets happen."""

    @property
    def owner(self) -> UUID:
        """The incarnation that may commit."""

    @property
    def last_seq(self) -> int:
        """Of the last commit."""

    @property
    def chain(self) -> bytes:
        """After it."""


def hand_over(source: SlotRow, me: UUID, to: UUID, at: tuple[int, bytes]) -> RowStep:
    """Parameters of `hand_over`: the next epoch is the follower's, from just here on."""
    return RowStep(
        Place.SOURCE, "hand_over", SlotState.ACTIVE, source.epoch, None,
        SlotState.ACTIVE, source.epoch + 1, None, at, from_owner=me, to_owner=to,
    )  # fmt: skip


def may_open(row: Owned | None, me: UUID, replayed: tuple[int, bytes]) -> bool:
    """Whether a follower serves: it has read itself as the owner, and replayed all of it."""
    return (
        row is not None
        and row.state is SlotState.ACTIVE
        and row.owner == me
        and (row.last_seq, row.chain) == replayed
    )
