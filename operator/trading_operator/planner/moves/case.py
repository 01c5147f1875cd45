"""One move that is being judged, with all that its judgement needs."""

from __future__ import annotations

from dataclasses import dataclass

from trading_contract.moves import MoveOrder
from trading_contract.symbolmove import SymbolMove, SymbolMoveStatus
from trading_operator.planner.moves.world import MovesWorld, Room

SYMBOLS_CHARACTERS_MAX = 500


@dataclass(frozen=True)
class Case:
    """`orders` are the move's own of the published topology."""

    move: SymbolMove
    status: SymbolMoveStatus
    world: MovesWorld
    room: Room
    orders: tuple[MoveOrder, ...]

    @property
    def name(self) -> str:
        """Of the move."""
        return self.move.metadata.name

    @property
    def is_reversing(self) -> bool:
        """Whether it is on its way back."""
        return self.move.spec.reverse and bool(self.status.origins)


def uid_of(move: SymbolMove) -> str:
    """What its orders are named after."""
    return move.metadata.uid or move.metadata.name


def symbols_text(move: SymbolMove) -> str:
    """What moves, for people; also told apart by it whether the specification was edited."""
    return ",".join(move.spec.symbols)[:SYMBOLS_CHARACTERS_MAX]
