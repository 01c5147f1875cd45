"""The sums of one round of rebalancing: who uses how much, who is overfull, what forbids moves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trading_contract.policies import PolicyMode, RebalancingSpec
from trading_operator.planner.scaling.averages import JUMP, WINDOW_SECONDS, Averages
from trading_operator.planner.scaling.layout import (
    BalanceWhy,
    Layout,
    MoveSeen,
    SlotPlace,
    symbol_loads,
)
from trading_operator.planner.scaling.signals import SlotLoad
from trading_operator.planner.scaling.windows import is_open

BAND = 0.10
BAND_MIN = 0.05
LOOKS_OVERFULL = 3
LOOKS_HURRIED = 2
EMERGENCY = 0.85
WORTH_IT = 0.25
MISSING_MAX = 0.20
PARTITION_COOLDOWN_SECONDS = 60.0
BACKOFF_SECONDS = 120.0
FAILURES_SECONDS = 1800.0
HOUR_SECONDS = 3600.0
SHIFT_SECONDS = 90.0  # so long a shift of load lasts at most, while somebody is too full
SETTLING_SECONDS = 12.0  # after a move: two looks, of which the first one is half of before


def band_of(mean: float) -> float:
    """How far above the mean a partition may be, both as shares of one's capacity."""
    return max(BAND * mean, BAND_MIN)


@dataclass(frozen=True)
class BalanceCase:
    """All that a round depends on.

    `averages` and `capacity` are in the unit of the slots' loads; `missing` names partitions of
    which too little is known; `spares` is the number of partitions that should own nothing; the
    load was last seen to shift at `shifted_at_seconds`.
    """

    policy: RebalancingSpec
    layout: Layout
    averages: Averages
    loads: Mapping[int, SlotLoad]
    capacity: float
    now_seconds: float
    missing: frozenset[str] = frozenset()
    spares: int = 0
    may_evacuate: bool = True
    window_seconds: float = WINDOW_SECONDS
    shifted_at_seconds: float | None = None

    @property
    def pace(self) -> float:
        """How much shorter than usual moves rest; 1 = as usual."""
        return min(1.0, self.window_seconds / WINDOW_SECONDS)


class RoundSums:
    """The sums of one round; it changes while moves are chosen."""

    def __init__(self, case: BalanceCase) -> None:
        self.case = case
        layout = case.layout
        self.moves = layout.moves
        self.running = [move for move in self.moves if move.finished_at_seconds is None]
        slots_of: defaultdict[str, list[SlotPlace]] = defaultdict(list)
        for slot, owner in zip(layout.slots, layout.owners, strict=True):
            slots_of[owner].append(slot)
        self.slots_of: dict[str, Sequence[SlotPlace]] = dict(slots_of)
        for each in layout.partitions:
            self.slots_of.setdefault(each.name, ())
        averages, capacity = case.averages, case.capacity
        present = self._sums(dict(zip(averages.ids, averages.fast, strict=True)))
        usual = self._sums(dict(zip(averages.ids, averages.slow, strict=True)))
        self.emergencies = {name for name, used in present.items() if used > EMERGENCY * capacity}
        # When the load has shifted everybody is judged by what is now, else who became busy would
        # be set against what others were; so are those whose ranges have just moved.
        has_shifted = any(
            _has_shifted(now, usual[name], BAND_MIN * capacity) for name, now in present.items()
        )
        ages = [self.since(move) for move in self.moves]
        is_settling = min(ages, default=math.inf) < SETTLING_SECONDS
        is_shifting = has_shifted or bool(self.emergencies)
        self.shifted_at_seconds = case.now_seconds if is_shifting else case.shifted_at_seconds
        fit = [e.name for e in layout.partitions if e.is_ready and not e.is_leaving]
        uneven = self._is_uneven_since_shift([present[name] / capacity for name in fit])
        self.is_hurried = is_shifting or is_settling or uneven
        loads = averages.fast if self.is_hurried else averages.present()
        shares = [load / capacity for load in loads]
        self.load = dict(zip(averages.ids, shares, strict=True))
        self.used = self._sums(self.load)
        self.leaving = {e.name for e in layout.partitions if e.is_leaving and self.slots_of[e.name]}
        empty = sorted(name for name in fit if not self.slots_of[name] and not self.used[name])
        self.kept_empty = set(empty[len(empty) - min(case.spares, len(empty)) :])
        self.fit = [name for name in fit if name not in self.kept_empty]
        self.total = sum(self.used.values())
        self.mean = self.total / max(1, len(self.fit))
        self.band = band_of(self.mean)
        self.exhausted = False

    def _is_uneven_since_shift(self, used: Sequence[float]) -> bool:
        """Whether a shift of load is not made good yet. The averages forget sooner that it was."""
        at = self.shifted_at_seconds
        if at is None or not 0 <= self.case.now_seconds - at < SHIFT_SECONDS:
            return False
        mean = sum(used) / max(1, len(used))
        return max(used, default=0.0) > mean + band_of(mean) / 2

    def _sums(self, load: Mapping[int, float]) -> dict[str, float]:
        """The load of each partition. A move under way counts at its target from the start."""
        used = dict.fromkeys(self.slots_of, 0.0)
        layout = self.case.layout
        loads = map(load.__getitem__, layout.slot_ids)
        for owner, each in zip(layout.owners, loads, strict=True):
            used[owner] += each
        for move in self.running:
            for slot in self.slots_of.get(move.source, ()):
                for first, past in move.ranges:
                    begin, end = max(first, slot.first), min(past, slot.past)
                    if begin < end:
                        part = self._share(slot, begin, end) * load.get(slot.slot_id, 0.0)
                        used[move.source] = max(0.0, used[move.source] - part)
                        used[move.target] = used.get(move.target, 0.0) + part
        return used

    def _share(self, slot: SlotPlace, first: str, past: str) -> float:
        if (first, past) == (slot.first, slot.past):
            return 1.0
        names = self.case.layout.symbols_of(slot.first, slot.past)
        loads = symbol_loads(self.case.loads.get(slot.slot_id), 1.0, names)
        return sum(load for name, load in zip(names, loads, strict=True) if first <= name < past)

    @property
    def looks_needed(self) -> int:
        """For how many looks a partition must have been overfull."""
        return LOOKS_HURRIED if self.is_hurried else LOOKS_OVERFULL

    def looks(self, before: Mapping[str, int]) -> dict[str, int]:
        """Schmitt trigger: it sets above the band after some looks, and ends below half of it."""
        looks = {}
        for name in self.fit:
            used, count = self.used[name], before.get(name, 0)
            if used > self.mean + self.band:
                looks[name] = count + 1
            elif count >= self.looks_needed and used >= self.mean + self.band / 2:
                looks[name] = count
        return looks

    def stop(self) -> BalanceWhy | None:
        """Why nothing is moved for balance now, whatever the loads."""
        case, now = self.case, self.case.now_seconds
        if case.policy.mode is PolicyMode.OFF:
            return BalanceWhy.SWITCHED_OFF
        if (failed := stopped_by_failures(self.moves, now)) is not None:
            return failed
        if case.policy.windows and not is_open(case.policy.windows, now):
            return BalanceWhy.OUTSIDE_WINDOW
        unknown = sum(self.used.get(name, 0.0) for name in case.missing)
        share = len(case.missing & set(self.fit)) / max(1, len(self.fit))
        if max(unknown / (self.total or 1.0), share) > MISSING_MAX or not case.averages.ids:
            return BalanceWhy.TOO_LITTLE_KNOWN
        if max(self.used.values(), default=0.0) < WORTH_IT:
            return BalanceWhy.NOT_WORTH_IT
        if self.started_last_hour() >= case.policy.moves_per_hour_max:
            return BalanceWhy.BUDGET_SPENT
        if len(self.running) >= case.policy.parallel_moves_max:
            return BalanceWhy.MOVES_UNDER_WAY
        return None

    def started_last_hour(self) -> int:
        """Moves that began within an hour."""
        return started_last_hour(self.moves, self.case.now_seconds)

    def since(self, move: MoveSeen) -> float:
        """Seconds since it ended; 0 while it runs."""
        return seconds_since(move, self.case.now_seconds)

    def room(self) -> int:
        """How many moves may begin now."""
        policy = self.case.policy
        return min(
            policy.parallel_moves_max - len(self.running),
            policy.moves_per_hour_max - self.started_last_hour(),
        )

    def busy(self, *, urgent: bool) -> set[str]:
        """Partitions that take part in no move now: one at a time, and some rest between."""
        rest = 0.0 if urgent else PARTITION_COOLDOWN_SECONDS * self.case.pace
        return {
            name
            for move in self.moves
            for name in (move.source, move.target)
            if move.finished_at_seconds is None or (not move.has_failed and self.since(move) < rest)
        }


def _has_shifted(now: float, usual: float, least: float) -> bool:
    return max(now, usual) > JUMP * min(now, usual) + least


def seconds_since(move: MoveSeen, now_seconds: float) -> float:
    """Seconds since it ended; 0 while it runs."""
    ended = move.finished_at_seconds
    return 0.0 if ended is None else max(0.0, now_seconds - ended)


def started_last_hour(moves: Iterable[MoveSeen], now_seconds: float) -> int:
    """Moves that began within an hour."""
    return sum(1 for move in moves if now_seconds - move.started_at_seconds < HOUR_SECONDS)


def stopped_by_failures(moves: Iterable[MoveSeen], now_seconds: float) -> BalanceWhy | None:
    """Why nothing is moved after moves that failed; None: few did, or long ago."""
    ended = sorted(
        (move for move in moves if move.finished_at_seconds is not None),
        key=lambda move: (move.finished_at_seconds or 0.0, move.source),
    )
    ages = [seconds_since(move, now_seconds) for move in ended[-5:] if move.has_failed]
    if sum(age < FAILURES_SECONDS for age in ages) >= 2:
        return BalanceWhy.TOO_MANY_FAILED
    is_new = any(age < BACKOFF_SECONDS for age in ages)
    return BalanceWhy.JUST_FAILED if is_new else None
