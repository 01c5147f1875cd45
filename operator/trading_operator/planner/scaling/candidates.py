"""Which piece of an overfull partition helps most for what it costs, and where it should go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from trading_operator.planner.scaling.layout import Layout, SlotPlace, symbol_loads
from trading_operator.planner.scaling.signals import SlotLoad

DIFFERENCE_MIN = 0.10
IMPROVEMENT = 0.95
SHARE_MIN = 0.02  # of the source's load: less is not worth a pause
HOT_SYMBOL = 0.4  # of a partition: it gets one of its own
COST_OF_A_MOVE = 1.0
COST_OF_AN_OPEN_ORDER = 1e-5
COST_OF_A_STRANGER = 0.2  # where the target owns neither neighbour: slots cannot be merged
SLOTS_CUT = 3


@dataclass(frozen=True)
class Bench:
    """What candidates are judged by. Loads and utilisations are shares of a partition."""

    layout: Layout
    readings: Mapping[int, SlotLoad]
    load: Mapping[int, float]
    used: Mapping[str, float]
    mean: float
    band: float
    slots_of: Mapping[str, Sequence[SlotPlace]]
    is_urgent: bool = False
    needs_target: bool = False  # another piece has its target already


@dataclass(frozen=True)
class Candidate:
    """The range `[first, past)` to that partition. `weight` is gain per cost."""

    weight: float
    load: float
    first: str
    past: str
    target: str
    is_hot_symbol: bool = False

    @property
    def order(self) -> tuple[float, str, str]:
        """The best first; ties by place."""
        return (-self.weight, self.first, self.target)


def best_candidate(
    bench: Bench, source: str, slots: Sequence[SlotPlace], targets: Sequence[str]
) -> Candidate | None:
    """A whole slot if one fits, else a part of one; in an emergency also what only helps."""
    floor = SHARE_MIN * bench.used[source]
    whole = [(s, s.first, s.past, bench.load.get(s.slot_id, 0.0)) for s in slots]
    whole = [each for each in whole if each[3] >= floor]
    found = _best(bench, source, whole, targets)
    if found is None:
        parts = [piece for piece in _parts(bench, slots, targets) if piece[3] >= floor]
        found = _best(bench, source, parts, targets)
        if found is None and bench.is_urgent and not bench.needs_target:
            found = _best(bench, source, [*whole, *parts], targets, is_any_help=True)
    return found


Piece = tuple[SlotPlace, str, str, float]


def _best(
    bench: Bench, source: str, pieces: Sequence[Piece], targets: Sequence[str],
    *, is_any_help: bool = False,
) -> Candidate | None:  # fmt: skip
    best: Candidate | None = None
    for target in targets:
        for slot, first, past, load in pieces:
            gain = _gain(bench, source, target, load, is_any_help=is_any_help)
            if gain <= 0:
                continue
            weight = gain / _cost(bench, slot, target)
            one = Candidate(weight, load, first, past, target, load > HOT_SYMBOL)
            if best is None or one.order < best.order:
                best = one
    return best


def _gain(bench: Bench, source: str, target: str, load: float, *, is_any_help: bool) -> float:
    """How much the squares of what is above the mean shrink; 0 where the move is not acceptable."""
    full, free = bench.used[source], bench.used[target]
    left, filled = full - load, free + load
    if full - free < DIFFERENCE_MIN or max(left, filled) > IMPROVEMENT * full:
        return 0.0
    if is_any_help:
        return full - max(left, filled)
    if filled > bench.mean + bench.band / 2:
        return 0.0
    improvement, added = max(full - filled, left - free), min(filled - free, full - left)
    if filled > left and (added <= 0 or improvement / added < 0.5):
        return 0.0
    return sum(
        max(0.0, before - bench.mean) ** 2 - max(0.0, after - bench.mean) ** 2
        for before, after in ((full, left), (free, filled))
    )


def _cost(bench: Bench, slot: SlotPlace, target: str) -> float:
    reading = bench.readings.get(slot.slot_id)
    orders = reading.open_orders if reading is not None else 0.0
    is_stranger = all(
        slot.first != other.past and slot.past != other.first
        for other in bench.slots_of.get(target, ())
    )
    return COST_OF_A_MOVE + COST_OF_AN_OPEN_ORDER * orders + COST_OF_A_STRANGER * is_stranger


def _parts(bench: Bench, slots: Sequence[SlotPlace], targets: Sequence[str]) -> Iterator[Piece]:
    """Beginnings and ends of the fullest slots, cut between symbols, and hot symbols alone."""
    fullest = sorted(slots, key=lambda s: (-bench.load.get(s.slot_id, 0.0), s.first))
    least = min((bench.used[name] for name in targets), default=0.0)
    room = bench.mean + bench.band / 2 - least
    for slot in fullest[:SLOTS_CUT]:
        names = bench.layout.symbols_of(slot.first, slot.past)
        if len(names) < 2:
            continue
        whole = bench.load.get(slot.slot_id, 0.0)
        loads = symbol_loads(bench.readings.get(slot.slot_id), whole, names)
        sums = list(accumulate(loads))
        # The cuts on both sides of what there is room for, from both ends.
        yield from _cuts(slot, names, sums, room)
        hottest = max(range(len(names)), key=lambda at: (loads[at], -at))
        if loads[hottest] > whole / 2:
            first = names[hottest] if hottest else slot.first
            past = names[hottest + 1] if hottest + 1 < len(names) else slot.past
            yield slot, first, past, loads[hottest]


def _cuts(
    slot: SlotPlace, names: Sequence[str], sums: Sequence[float], room: float
) -> Iterator[Piece]:
    whole = sums[-1]
    for at in range(1, len(names)):
        before, after = sums[at - 1], whole - sums[at - 1]
        next_before = sums[at]
        if before <= room < next_before or at in {1, len(names) // 2}:
            yield slot, slot.first, names[at], before
        if after <= room < whole - (sums[at - 2] if at > 1 else 0.0) or at == len(names) - 1:
            yield slot, names[at], slot.past, after
