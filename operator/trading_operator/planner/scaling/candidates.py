"""Which pieces of an overfull partition help most for what they cost, and where they should go.

A piece is a whole slot or a part of one. What one move takes is chosen as a bundle: pieces that are
too small to be worth a move of their own are worth one together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate

from trading_operator.planner.scaling.layout import Layout, SlotPlace, symbol_loads
from trading_operator.planner.scaling.signals import SlotLoad

DIFFERENCE_MIN = 0.10
IMPROVEMENT = 0.95
SHARE_MIN = 0.02  # of the source's load: less is not worth a range
HOT_SYMBOL = 0.4  # of a partition: it gets one of its own
COST_OF_A_MOVE = 1.0
COST_OF_AN_OPEN_ORDER = 1e-5
COST_OF_A_STRANGER = 0.2  # where the target owns neither neighbour: slots cannot be merged
COST_OF_A_CUT = 0.2  # one slot more
SLOTS_CUT = 3
HOT_SHARE = 0.25  # of its slot: at most three symbols of each


@dataclass(frozen=True)
class Bench:
    """What candidates are judged by. Loads and utilisations are shares of a partition.

    `barred` are, by target, the slots that must not go there. Urgent: the source is nearly full;
    hurried: the load has shifted; careful: no target may be above the band then, not even in
    between or for a hot symbol.
    """

    layout: Layout
    readings: Mapping[int, SlotLoad]
    load: Mapping[int, float]
    used: Mapping[str, float]
    mean: float
    band: float
    slots_of: Mapping[str, Sequence[SlotPlace]]
    is_urgent: bool = False
    pieces_max: int = 4
    churn_max: float = 1.0
    barred: Mapping[str, Collection[int]] = field(default_factory=dict)
    is_hurried: bool = False
    is_careful: bool = False


@dataclass(frozen=True)
class Piece:
    """The range `[first, past)` of a slot. `may_fill`: how full it may make its target."""

    load: float
    first: str
    past: str
    slot: SlotPlace
    may_fill: float

    @property
    def is_cut(self) -> bool:
        """Whether the slot must be cut for it."""
        return (self.first, self.past) != (self.slot.first, self.slot.past)


@dataclass(frozen=True)
class Bundle:
    """What one move takes to its target, and how much better that makes it."""

    gain: float
    load: float
    pieces: tuple[Piece, ...]
    target: str

    @property
    def has_hot_symbol(self) -> bool:
        """Whether a symbol that is much for any partition is what moves."""
        return any(piece.load > HOT_SYMBOL for piece in self.pieces)


def best_bundle(
    bench: Bench, source: str, slots: Sequence[SlotPlace], targets: Sequence[str]
) -> Bundle | None:
    """The best for any of the targets: what fits, else what makes room later, else what helps.

    When the load has shifted, room is made for what is hot rather than to move what is cold away.
    """
    offers = _Offers(bench, source, slots)
    if bench.is_careful:
        return _careful(offers, targets)
    found = None
    for way in (Way.FITS, Way.IN_BAND):
        found = found or _best(offers.fill(target, way) for target in targets)
    is_solved = found is not None and bench.used[source] - found.load <= offers.top
    if found is None or (bench.is_hurried and not is_solved):
        found = _best((found, *(offers.exchange(target, targets) for target in targets)))
    return found or _best(offers.fill(target, Way.HELPS) for target in targets)


def _careful(offers: _Offers, targets: Sequence[str]) -> Bundle | None:
    """What fits; where that leaves the source above the band, what brings both into it."""
    fits = _best(offers.fill(target, Way.FITS) for target in targets)
    if fits is not None and offers.full - fits.load <= offers.bench.mean + offers.bench.band:
        return fits
    return _best(offers.fill(target, Way.IN_BAND) for target in targets) or fits


def _best(bundles: Iterable[Bundle | None]) -> Bundle | None:
    # `max` keeps the first of equals, and targets come in order.
    known = [each for each in bundles if each is not None]
    return max(known, key=lambda each: each.gain, default=None)


class Way(Enum):
    """When a bundle is good: both fit well, both are in the band, or it clearly helps."""

    FITS = 1
    IN_BAND = 2
    HELPS = 3


class _Offers:
    """What the source has to give."""

    def __init__(self, bench: Bench, source: str, slots: Sequence[SlotPlace]) -> None:
        self.bench, self.full = bench, bench.used[source]
        self.top = bench.mean + bench.band / 2
        self.floor = SHARE_MIN * self.full
        loads = [(bench.load.get(slot.slot_id, 0.0), slot) for slot in slots]
        self.whole = [
            Piece(load, slot.first, slot.past, slot, self._may_fill(slot, load))
            for load, slot in loads if load >= self.floor
        ]  # fmt: skip
        fullest = sorted(loads, key=lambda each: (-each[0], each[1].first))[:SLOTS_CUT]
        self.cuts = [_Cut(bench, slot, load, self.top) for load, slot in fullest]
        hottest = (piece for cut in self.cuts for piece in cut.hottest())
        single = (piece for piece in self.whole if self._is_single(piece.slot))
        self.symbols = [*single, *(piece for piece in hottest if piece.load >= self.floor)]

    def _may_fill(self, slot: SlotPlace, load: float) -> float:
        """A symbol that is too much for any share may have an empty partition for itself."""
        is_alone = self._is_single(slot) and not self.bench.is_careful
        return max(self.top, load) if is_alone else self.top

    def _is_single(self, slot: SlotPlace) -> bool:
        return len(self.bench.layout.symbols_of(slot.first, slot.past)) == 1

    def fill(self, target: str, way: Way) -> Bundle | None:
        """The pieces that this target should get, one after the other."""
        bench, left, filled = self.bench, self.full, self.bench.used[target]
        chosen: list[Piece] = []
        if left - filled < DIFFERENCE_MIN:
            return None
        gain_of = self._gain if way is Way.FITS else self._help
        while len(chosen) < bench.pieces_max and left > self.top:
            best = self._best_piece(target, left, filled, chosen, gain_of)
            if best is None:
                break
            is_much = self.full - left + best.load > bench.churn_max
            if chosen and is_much and not bench.is_urgent:
                break
            chosen.append(best)
            left, filled = left - best.load, filled + best.load
        then = max(left, filled)
        if not chosen or then > IMPROVEMENT * self.full:
            return None
        if way is Way.IN_BAND and then > bench.mean + bench.band:
            return None
        if way is Way.HELPS and not bench.is_urgent and self.full - then < bench.band:
            return None
        gain = gain_of(self.full, bench.used[target], self.full - left)
        return Bundle(gain, self.full - left, tuple(chosen), target)

    def exchange(self, target: str, others: Sequence[str]) -> Bundle | None:
        """One of several pieces that fit nowhere and are too much together.

        It is for a target that can give to others what it has now, and that is no fuller in between
        than the source is.
        """
        bench, filled = self.bench, self.bench.used[target]
        gap = self.top - min(bench.used[other] for other in others)
        stuck = [piece for piece in self.symbols if piece.load > gap]
        if len(stuck) < 2 or sum(piece.load for piece in stuck) <= self.top:
            return None
        best: Bundle | None = None
        for piece in stuck:
            left = self.full - piece.load
            then = max(piece.load, self.top)  # of the target, in the end
            room = sum(max(0.0, self.top - bench.used[other]) for other in others)
            room += max(0.0, self.top - left) - max(0.0, self.top - filled)
            gives = filled + piece.load - then
            if (
                0 < gives <= room
                and filled + piece.load <= self.full
                and self.full - max(left, then) >= max(bench.band, (1 - IMPROVEMENT) * self.full)
                and piece.slot.slot_id not in bench.barred.get(target, ())
            ):
                gain = self._gain(self.full, then - piece.load, piece.load)
                if best is None or gain > best.gain:
                    best = Bundle(gain, piece.load, (piece,), target)
        return best

    def _best_piece(
        self, target: str, left: float, filled: float, chosen: Sequence[Piece],
        gain_of: Callable[[float, float, float], float],
    ) -> Piece | None:  # fmt: skip
        """The piece of the best gain per cost."""
        best, best_weight, barred = None, 0.0, self.bench.barred.get(target, ())
        for piece in self._pieces(left, filled, is_any_help=gain_of == self._help):
            gain = gain_of(left, filled, piece.load)
            if gain <= best_weight or _overlaps(piece, chosen) or piece.slot.slot_id in barred:
                continue
            if gain_of == self._gain and filled + piece.load > piece.may_fill:
                continue
            weight = gain / _cost(self.bench, piece, target)
            if weight > best_weight:
                best, best_weight = piece, weight
        return best

    def _pieces(self, left: float, filled: float, *, is_any_help: bool) -> Iterator[Piece]:
        mean = self.bench.mean
        ideal = (left - filled) / 2 if is_any_help else min(left - mean, mean - filled)
        most = ideal if is_any_help else min(self.top - filled, left - mean + self.bench.band / 2)
        yield from self.whole
        for cut in self.cuts:
            yield from (piece for piece in cut.near(ideal, most) if piece.load >= self.floor)
        yield from self.symbols

    def _gain(self, left: float, filled: float, load: float) -> float:
        """How much the squares of what is above the mean shrink."""
        mean = self.bench.mean
        return sum(
            max(0.0, before - mean) ** 2 - max(0.0, after - mean) ** 2
            for before, after in ((left, left - load), (filled, filled + load))
        )

    @staticmethod
    def _help(left: float, filled: float, load: float) -> float:
        """How much less full the fuller of the two is."""
        return left - max(left - load, filled + load)


class _Cut:
    """One slot with the sums of its symbols' loads, for cutting it."""

    def __init__(self, bench: Bench, slot: SlotPlace, load: float, top: float) -> None:
        self.slot, self.top, self.is_careful = slot, top, bench.is_careful
        self.names = bench.layout.symbols_of(slot.first, slot.past)
        self.loads = symbol_loads(bench.readings.get(slot.slot_id), load, self.names)
        self.sums = [0.0, *accumulate(self.loads)]

    def near(self, ideal: float, most: float) -> Iterator[Piece]:
        """Beginnings and ends of the slot, as near to each of the two loads as symbols allow."""
        last, whole = len(self.names), self.sums[-1]
        for wanted in (ideal, most):
            below = min(bisect_right(self.sums, wanted) - 1, last - 1)
            for at in (below, below + 1):
                if 1 <= at < last:
                    yield Piece(self.sums[at], self.slot.first, self.names[at], self.slot, self.top)
            below = max(bisect_left(self.sums, whole - wanted), 1)
            for at in (below, below - 1):
                if 1 <= at < last:
                    load = whole - self.sums[at]
                    yield Piece(load, self.names[at], self.slot.past, self.slot, self.top)

    def hottest(self) -> Iterator[Piece]:
        """The busiest symbols, each of them alone, where they are much of the slot."""
        if len(self.names) < 2:
            return
        least = HOT_SHARE * self.sums[-1]
        hot = [at for at, load in enumerate(self.loads) if load > least]
        for at in sorted(hot, key=lambda each: (-self.loads[each], each)):
            first = self.names[at] if at else self.slot.first
            past = self.names[at + 1] if at + 1 < len(self.names) else self.slot.past
            load = self.loads[at]
            may_fill = self.top if self.is_careful else max(self.top, load)
            yield Piece(load, first, past, self.slot, may_fill)


def _overlaps(piece: Piece, chosen: Sequence[Piece]) -> bool:
    return any(piece.first < each.past and each.first < piece.past for each in chosen)


def _cost(bench: Bench, piece: Piece, target: str) -> float:
    reading = bench.readings.get(piece.slot.slot_id)
    orders = reading.open_orders if reading is not None else 0.0
    is_stranger = all(
        piece.first != other.past and piece.past != other.first
        for other in bench.slots_of.get(target, ())
    )
    return (
        COST_OF_A_MOVE
        + COST_OF_AN_OPEN_ORDER * orders
        + COST_OF_A_STRANGER * is_stranger
        + COST_OF_A_CUT * piece.is_cut
    )


__all__ = ["Bench", "Bundle", "Piece", "best_bundle"]
