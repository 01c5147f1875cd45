"""One round of rebalancing: which ranges should go from fuller partitions to emptier ones.

Greedy by gain per cost, with a relative band, an absolute floor, a smallest difference, cool-downs
and caps. Ties are broken by names, so the same look gives the same moves.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from trading_operator.planner.scaling.candidates import Bench, best_bundle
from trading_operator.planner.scaling.layout import (
    BalancePlan,
    BalanceWhy,
    Layout,
    MergeWish,
    MoveWhy,
    MoveWish,
    SlotPlace,
)
from trading_operator.planner.scaling.round_sums import (
    PARTITION_COOLDOWN_SECONDS,
    BalanceCase,
    RoundSums,
)

PIECES_PER_ROUND = 4
CHURN_PER_ROUND = 0.09  # of all load, or one piece that is larger
SLOT_COOLDOWN_SECONDS = 600.0
MOVES_OF_A_SLOT = 2  # within that time: the second one corrects the first
UNDO_SECONDS = 1800.0
UNSPLITTABLE = 0.8
MERGE_ABOVE_SLOTS = 16
MERGES_PER_ROUND = 4
TARGETS_LOOKED_AT = 4
SOURCES_LOOKED_AT = 16


def rebalance(
    case: BalanceCase, looks_before: Mapping[str, int]
) -> tuple[BalancePlan, dict[str, int]]:
    """What to ask for now, and for how many looks each partition has been overfull."""
    round_ = _Round(case)
    looks = round_.looks(looks_before)
    plan = BalancePlan(
        BalanceWhy.BALANCED, utilisation=round_.used, mean=round_.mean, band=round_.band,
        unsplittable_hot_symbols=tuple(round_.unsplittable()),
        shifted_at_seconds=round_.shifted_at_seconds,
    )  # fmt: skip
    stop = round_.stop()
    if stop is not None and not round_.leaving:
        return replace(plan, why=stop), looks
    if stop in {BalanceWhy.SWITCHED_OFF, BalanceWhy.TOO_MANY_FAILED, BalanceWhy.JUST_FAILED}:
        return replace(plan, why=stop), looks
    moves = list(round_.evacuations()) if case.may_evacuate else []
    if stop is None:
        moves += round_.reliefs(looks)
    merges = tuple(round_.merges()) if not moves and not round_.running else ()
    if moves and not _is_sound(moves, case.layout):
        return replace(plan, why=BalanceWhy.WOULD_BREAK), looks
    why = BalanceWhy.MOVES_WANTED if moves else stop or round_.why_none(looks)
    return replace(plan, why=why, moves=tuple(moves), merges=merges), looks


def _is_sound(moves: list[MoveWish], layout: Layout) -> bool:
    """Slots tile the symbols, nobody is in two moves, and nothing goes to one that leaves."""
    parts = Counter(name for move in moves for name in (move.source, move.target))
    fit = {each.name for each in layout.partitions if each.is_ready and not each.is_leaving}
    return (
        layout.tiles()
        and max(parts.values()) == 1
        and all(move.target in fit and move.source != move.target for move in moves)
    )


class _Round(RoundSums):
    """The choices of one round; the sums change while moves are chosen."""

    def reliefs(self, looks: Mapping[str, int]) -> Iterator[MoveWish]:
        """Moves out of overfull partitions, the fullest first."""
        overfull = {name for name, count in looks.items() if count >= self.looks_needed}
        overfull |= self.emergencies & set(self.fit)
        sources = heapq.nsmallest(SOURCES_LOOKED_AT, overfull, key=lambda n: (-self.used[n], n))
        room, pieces = self.room(), PIECES_PER_ROUND
        churn = CHURN_PER_ROUND * self.total
        taken: set[str] = set()
        for source in sources:
            if room <= 0 or pieces <= 0:
                return
            busy = self.busy(urgent=source in self.emergencies) | taken | self.case.missing
            if source in busy:
                continue
            wish = self._relieve(source, busy | {source}, pieces, churn)
            if wish is None:
                self.exhausted = True
                continue
            room, pieces, churn = room - 1, pieces - len(wish.ranges), churn - wish.load
            taken |= {wish.source, wish.target}
            yield wish

    def _relieve(self, source: str, busy: set[str], pieces: int, churn: float) -> MoveWish | None:
        urgent = source in self.emergencies
        free = [name for name in self.fit if name not in busy]
        targets = heapq.nsmallest(TARGETS_LOOKED_AT, free, key=lambda n: (self.used[n], n))
        bench = Bench(
            self.case.layout, self.case.loads, self.load, self.used,
            self.mean, self.band, self.slots_of, urgent, pieces,
            math.inf if self.is_hurried else churn, self._barred(source), self.is_hurried,
        )  # fmt: skip
        movable = [slot for slot in self.slots_of[source] if not self._rests(slot)]
        found = best_bundle(bench, source, movable, targets)
        if found is None:
            return None
        target, full, free_before = found.target, self.used[source], self.used[found.target]
        self.used[source] -= found.load
        self.used[target] += found.load
        why = MoveWhy.EMERGENCY if urgent else MoveWhy.OVERFULL
        return MoveWish(
            tuple(sorted((each.first, each.past) for each in found.pieces)), source, target,
            MoveWhy.HOT_SYMBOL if found.has_hot_symbol else why, found.load, full,
            self.used[source], free_before, self.used[target],
        )  # fmt: skip

    def _rests(self, slot: SlotPlace) -> bool:
        """Whether it was just moved, or was moved twice lately."""
        ages = [
            self.since(move) / self.case.pace for move in self.moves
            if not move.has_failed and move.covers(slot.first, slot.past)
        ]  # fmt: skip
        lately = sum(age < SLOT_COOLDOWN_SECONDS for age in ages)
        return lately >= MOVES_OF_A_SLOT or min(ages, default=math.inf) < PARTITION_COOLDOWN_SECONDS

    def _barred(self, source: str) -> dict[str, frozenset[int]]:
        """By target, the slots that came from there lately: none goes back, or not for little.

        After a shift of load, what came before it came for another reason.
        """
        is_much = self.is_hurried or self.used[source] > self.mean + 2 * self.band
        within = (SLOT_COOLDOWN_SECONDS if is_much else UNDO_SECONDS) * self.case.pace
        barred: defaultdict[str, set[int]] = defaultdict(set)
        for move in self.moves:
            if self.since(move) < within:
                barred[move.source] |= {
                    slot.slot_id for slot in self.slots_of[source]
                    if move.covers(slot.first, slot.past)
                }  # fmt: skip
        return {name: frozenset(slots) for name, slots in barred.items()}

    def evacuations(self) -> Iterator[MoveWish]:
        """What leaving partitions still own goes to who has least, one target at a time."""
        room, taken = self.room(), self.busy(urgent=True)
        for source in sorted(self.leaving):
            free = [name for name in self.fit if name not in taken]
            if room <= 0 or source in taken or not free:
                continue
            target = min(free, key=lambda name: (self.used[name], name))
            slots = self._leaving_slots(source, target)
            load = sum(self.load.get(slot.slot_id, 0.0) for slot in slots)
            ranges = tuple(sorted((slot.first, slot.past) for slot in slots))
            yield MoveWish(
                ranges, source, target, MoveWhy.LEAVING, load, self.used[source],
                self.used[source] - load, self.used[target], self.used[target] + load,
            )  # fmt: skip
            self.used[source] -= load
            self.used[target] += load
            taken |= {source, target}
            room -= 1

    def _leaving_slots(self, source: str, target: str) -> list[SlotPlace]:
        """The largest one, and what the target has room for beside it, the larger ones first."""
        slots = self.slots_of[source]
        most = max(PIECES_PER_ROUND, -(-len(slots) // max(1, len(self.fit))))
        room = self.mean + self.band / 2 - self.used[target]
        chosen: list[SlotPlace] = []
        for slot in sorted(slots, key=lambda s: (-self.load.get(s.slot_id, 0.0), s.first)):
            load = self.load.get(slot.slot_id, 0.0)
            if not chosen or (len(chosen) < most and load <= room):
                chosen.append(slot)
                room -= load
        return chosen

    def why_none(self, looks: Mapping[str, int]) -> BalanceWhy:
        """Why there is nothing to move although nothing forbids it."""
        if self.exhausted:
            return BalanceWhy.OPTIONS_EXHAUSTED
        return BalanceWhy.LOOKING if looks else BalanceWhy.BALANCED

    def unsplittable(self) -> Iterator[str]:
        """Symbols that fill a partition alone: one writer is the limit."""
        for key in [key for key, load in self.load.items() if load > UNSPLITTABLE]:
            slot = self.case.loads.get(key)
            if slot is None:
                continue
            for symbol in slot.hottest:
                whole = max(slot.cpu_milliseconds_per_second, 1e-9)
                if self.load[key] * symbol.cpu_milliseconds_per_second / whole > UNSPLITTABLE:
                    yield symbol.name

    def merges(self) -> Iterator[MergeWish]:
        """Cold neighbours of partitions with many slots become one, by their peaks."""
        crowded = {n for n, slots in self.slots_of.items() if len(slots) > MERGE_ABOVE_SLOTS}
        if not crowded:
            return
        peaks = dict(zip(self.case.averages.ids, self.case.averages.peak(), strict=True))
        capacity, count = self.case.capacity, max(1, len(self.case.layout.slots))
        limit = self.total / count
        left, found = None, 0
        for slot in self.case.layout.slots:
            if left is not None and left.partition == slot.partition and slot.partition in crowded:
                both = peaks.get(left.slot_id, 0.0) + peaks.get(slot.slot_id, 0.0)
                if both / capacity < limit and found < MERGES_PER_ROUND:
                    found += 1
                    yield MergeWish(left.slot_id, slot.slot_id)
                    left = None
                    continue
            left = slot
