"""Which parts of which slots a move is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from trading_contract.errors import UserError
from trading_contract.symbolmove import MoveReason
from trading_contract.symbols import parse_range
from trading_contract.topology import SlotPlacement


@dataclass(frozen=True)
class Piece:
    """The part `[first, past)` of a slot."""

    slot: SlotPlacement
    first: str
    past: str

    @property
    def is_whole(self) -> bool:
        """Whether it is the slot itself: then nothing needs to be split."""
        return (self.first, self.past) == (self.slot.first, self.slot.past)

    def __str__(self) -> str:
        return range_text(self.first, self.past)


class SelectionError(UserError):
    """The symbols of a move cannot be moved as they are written."""

    def __init__(self, reason: MoveReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def range_text(first: str, past: str) -> str:
    """`A..H`, `..H`, `P..`."""
    return f"{first}..{'' if past == '~' else past}"


def select(
    texts: Sequence[str], listed: Sequence[str], slots: Sequence[SlotPlacement]
) -> tuple[Piece, ...]:
    """The pieces, in the order of the slots; raises `SelectionError`.

    A piece is cut where a range ends or, for single symbols, where the next listed one begins. No
    piece and no remainder is without listed symbols, unless a range covers a whole slot.
    """
    names = sorted(set(listed))
    ranges = [parse_range(text) for text in texts if ".." in text]
    chosen = _chosen(texts, names)
    covered = {
        slot.id for slot in slots for first, past in ranges
        if first <= slot.first and slot.past <= past
    }  # fmt: skip
    pieces = [
        piece for slot in slots for piece in _pieces(slot, names, chosen, covered, ranges)
    ]  # fmt: skip
    for text in texts:
        if ".." in text and not _holds_anything(text, names, covered, slots):
            raise SelectionError(
                MoveReason.UNKNOWN_SYMBOLS, f"symbols: {text} holds no listed symbol"
            )
    return tuple(pieces)


def _chosen(texts: Sequence[str], names: Sequence[str]) -> set[str]:
    chosen: dict[str, str] = {}
    bounds = sorted((*parse_range(text), text) for text in texts if ".." in text)
    for (_, past, before), (first, _, text) in pairwise(bounds):
        if first < past:
            raise _overlap(before, text)
    for text in texts:
        if ".." in text:
            first, past = parse_range(text)
            inside = [name for name in names if first <= name < past]
        elif text in names:
            inside = [text]
        else:
            raise SelectionError(
                MoveReason.UNKNOWN_SYMBOLS, f"symbols: {text} is not listed in the cluster"
            )
        for name in inside:
            if name in chosen:
                raise _overlap(chosen[name], text)
            chosen[name] = text
    return set(chosen)


def _overlap(one: str, other: str) -> SelectionError:
    return SelectionError(
        MoveReason.SYMBOLS_OVERLAP, f"symbols: {one} and {other} overlap; name each symbol once"
    )


def _holds_anything(
    text: str, names: Sequence[str], covered: set[int], slots: Sequence[SlotPlacement]
) -> bool:
    first, past = parse_range(text)
    return any(first <= name < past for name in names) or any(
        first <= slot.first and slot.past <= past for slot in slots if slot.id in covered
    )


def _pieces(
    slot: SlotPlacement, names: Sequence[str], chosen: set[str], covered: set[int],
    ranges: Sequence[tuple[str, str]],
) -> Iterator[Piece]:  # fmt: skip
    inside = [name for name in names if slot.first <= name < slot.past]
    if slot.id in covered or (inside and chosen.issuperset(inside)):
        yield Piece(slot, slot.first, slot.past)
        return
    bounds = sorted({bound for pair in ranges for bound in pair})
    at = 0
    for is_chosen, group in groupby(inside, chosen.__contains__):
        past = at + len(list(group))
        if is_chosen:
            first = slot.first if at == 0 else _cut(inside[at - 1], inside[at], bounds)
            end = slot.past if past == len(inside) else _cut(inside[past - 1], inside[past], bounds)
            yield Piece(slot, first, end)
        at = past


def _cut(before: str, after: str, bounds: Sequence[str]) -> str:
    """Where to cut between two neighbours: where a person said, else at the second one."""
    return next((bound for bound in bounds if before < bound <= after), after)
