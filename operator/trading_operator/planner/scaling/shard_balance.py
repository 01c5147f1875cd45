"""Which ranges should go from fuller shards to emptier ones: the slow, dear counterpart of balance.

A move between shards copies rows for minutes, so it is asked for seldom: one at a time, when
partitions are at rest, and only for what has lasted. What a shard does is what it tells itself. A
slot's share of that is its share of the CPU time that the shard's slots cause in their partitions.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trading_contract.policies import PolicyMode, RebalancingSpec, TierMode
from trading_operator.planner.scaling.averages import (
    WINDOW_SECONDS,
    Averages,
    Changes,
    fold_loads,
)
from trading_operator.planner.scaling.candidates import Bench, Bundle, best_bundle
from trading_operator.planner.scaling.capacity import SATURATED, Capacities
from trading_operator.planner.scaling.layout import (
    BalancePlan,
    BalanceWhy,
    Layout,
    MoveSeen,
    MoveWhy,
    MoveWish,
    SlotPlace,
)
from trading_operator.planner.scaling.memory import ShardMemory
from trading_operator.planner.scaling.round_sums import (
    HOUR_SECONDS,
    SETTLING_SECONDS,
    WORTH_IT,
    seconds_since,
    started_last_hour,
    stopped_by_failures,
)
from trading_operator.planner.scaling.signals import Rates, SlotLoad, Tier
from trading_operator.planner.scaling.windows import is_open

BAND = 0.20  # twice that of partitions: so much is not worth a copy
BAND_MIN = 0.10
LASTING_SECONDS = 600.0  # of a window of half an hour
PIECES_PER_MOVE = 4
CHURN_PER_MOVE = 0.25  # of all load, or one piece that is larger
TARGETS_LOOKED_AT = 4
SOURCES_LOOKED_AT = 8


def band_of(mean: float) -> float:
    """How far above the mean a shard may be, both as shares of one's capacity."""
    return max(BAND * mean, BAND_MIN)


@dataclass(frozen=True)
class ShardCase:
    """All that a round depends on.

    `told` is the share of its capacity that each shard's work takes, by those that told it now;
    `full` the same with its disk and connections. `slots` are the averages of the slots in their
    partitions, `loads` has the shares of symbols; of the `unknown` slots nothing is known.
    """

    policy: RebalancingSpec
    mode: TierMode
    layout: Layout
    slots: Averages
    loads: Mapping[int, SlotLoad]
    told: Mapping[str, float]
    full: Mapping[str, float]
    now_seconds: float
    unknown: frozenset[int] = frozenset()
    is_count_changing: bool = False
    are_partitions_balanced: bool = True
    window_seconds: float = WINDOW_SECONDS

    @property
    def lasting_seconds(self) -> float:
        """For how long a shard must have been above the band, or not far below it again."""
        return LASTING_SECONDS * min(1.0, self.window_seconds / WINDOW_SECONDS)

    @property
    def rest_seconds(self) -> float:
        """For how long a shard that took part in a move takes part in no other by load."""
        return min(self.window_seconds, HOUR_SECONDS)

    @property
    def slot_rest_seconds(self) -> float:
        """For how long a slot that was moved stays where it is."""
        return HOUR_SECONDS * min(1.0, self.window_seconds / WINDOW_SECONDS)


def balance_shards(case: ShardCase, before: ShardMemory) -> tuple[BalancePlan | None, ShardMemory]:
    """What to ask for now, and what to remember. None: nothing is to be told of shards."""
    shards = [each.name for each in case.layout.shards]
    if len(shards) < 2 or case.policy.mode is PolicyMode.OFF:
        return None, ShardMemory()
    if case.mode is TierMode.OFF:
        return BalancePlan(BalanceWhy.TIER_SWITCHED_OFF), ShardMemory()
    round_ = _Round(case, _averages(case, before.averages))
    since = round_.over_since(before.over_since_seconds)
    memory = ShardMemory(round_.averages, since)
    used = {name: round_.used[name] for name in round_.fit}
    plan = BalancePlan(BalanceWhy.BALANCED, (), (), used, round_.mean, round_.band)
    if (stop := round_.stop()) is not None:
        return replace(plan, why=stop), memory
    lasting = [
        name for name, begun in since.items()
        if case.now_seconds - begun >= case.lasting_seconds
        and round_.used[name] > round_.mean + round_.band
    ]  # fmt: skip
    if not lasting:
        return replace(plan, why=BalanceWhy.LOOKING if since else BalanceWhy.BALANCED), memory
    resting = round_.resting()
    sources = [name for name in lasting if name not in resting]
    if not sources:
        return replace(plan, why=BalanceWhy.RESTING), memory
    wish = round_.wish(sources, resting)
    if wish is None:
        return replace(plan, why=BalanceWhy.OPTIONS_EXHAUSTED), memory
    return replace(plan, why=BalanceWhy.MOVES_WANTED, moves=(wish,)), memory


def shard_work(capacities: Capacities, rates: Rates) -> tuple[dict[str, float], dict[str, float]]:
    """By shard that told it: the share of its capacity that its work takes, and with its disk."""
    units = rates.unit_loads(Tier.SHARDS)
    work = {
        each.name: capacities.utilisation(Tier.SHARDS, replace(each, shares={})) for each in units
    }
    return work, {each.name: capacities.utilisation(Tier.SHARDS, each) for each in units}


def number_of(shard: str) -> int:
    """3 of shard-3, which its averages go by."""
    digits = shard.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def _averages(case: ShardCase, before: Averages) -> Averages:
    """With one more look. Shards that a move has just changed follow quickly, as slots do."""
    slow = case.slots.slow_seconds
    before = before if before.slow_seconds == slow else replace(before, slow_seconds=slow)
    numbers = sorted(number_of(each.name) for each in case.layout.shards)
    told = {number_of(name): case.told[name] for name in sorted(case.told, key=number_of)}
    changed = {
        number_of(name)
        for move in case.layout.moves
        for name in (move.source, move.target)
        if name in case.told and seconds_since(move, case.now_seconds) < SETTLING_SECONDS
    }
    return fold_loads(before, told, numbers, case.now_seconds, Changes(known=changed))


class _Round:
    """The sums and choices of one round."""

    def __init__(self, case: ShardCase, averages: Averages) -> None:
        self.case, self.averages = case, averages
        layout = case.layout
        self.owners = {slot.shard for slot in layout.slots}
        self.fit = [
            each.name for each in layout.shards
            if each.is_ready and not each.is_leaving and each.name in self.owners
        ]  # fmt: skip
        columns = zip(averages.ids, averages.fast, averages.slow, averages.peak(), strict=True)
        by_number = {number: values for number, *values in columns}
        named = {each.name: by_number[number_of(each.name)] for each in layout.shards}
        self.used = {name: slow for name, (_, slow, _) in named.items()}
        # Only what is above the band by both averages has lasted and lasts.
        self.least = {name: min(fast, slow) for name, (fast, slow, _) in named.items()}
        # Who was full within the window is no place for more: loads that take turns stay.
        self.most = {name: max(values) for name, values in named.items()}
        self.mean = sum(self.used[name] for name in self.fit) / max(1, len(self.fit))
        self.band = band_of(self.mean)
        names = {each.name for each in layout.shards}
        self.moves = [m for m in layout.moves if m.target in names or m.source in names]

    def over_since(self, before: Mapping[str, float]) -> dict[str, float]:
        """Schmitt trigger: it begins above the band, and ends below half of it."""
        now, since = self.case.now_seconds, {}
        for name in self.fit if self.averages.is_warm and not self._are_changing() else ():
            width = self.band / 2 if name in before else self.band
            if self.least[name] > self.mean + width:
                since[name] = min(before.get(name, now), now)
        return since

    def _are_changing(self) -> bool:
        """Whether a shard comes or goes, or is not there."""
        shards = self.case.layout.shards
        running = {m.target for m in self.moves if m.finished_at_seconds is None}
        return (
            self.case.is_count_changing
            or any(each.is_leaving and each.name in self.owners for each in shards)
            or any(not each.is_ready and not each.is_leaving for each in shards)
            or any(each.name in running and each.name not in self.owners for each in shards)
        )

    def stop(self) -> BalanceWhy | None:
        """Why nothing is moved for balance now, whatever the loads."""
        case, policy = self.case, self.case.policy
        running = [move for move in case.layout.moves if move.finished_at_seconds is None]
        reasons = (
            (stopped_by_failures(self.moves, case.now_seconds), True),
            (BalanceWhy.OUTSIDE_WINDOW,
             bool(policy.windows) and not is_open(policy.windows, case.now_seconds)),
            (BalanceWhy.SHARDS_CHANGE, self._are_changing()),
            (BalanceWhy.TOO_LITTLE_KNOWN, self._is_too_little_known()),
            (BalanceWhy.MOVES_UNDER_WAY, any(move in self.moves for move in running)),
            (BalanceWhy.PARTITIONS_FIRST, bool(running) or not case.are_partitions_balanced),
            (BalanceWhy.NOT_WORTH_IT,
             max((self.used[name] for name in self.fit), default=0.0) < WORTH_IT),
            (BalanceWhy.BUDGET_SPENT,
             started_last_hour(case.layout.moves, case.now_seconds) >= policy.moves_per_hour_max),
        )  # fmt: skip
        return next((why for why, holds in reasons if why is not None and holds), None)

    def _is_too_little_known(self) -> bool:
        silent = any(name not in self.case.told for name in self.fit)
        return silent or not self.averages.is_warm or not self.fit

    def resting(self) -> set[str]:
        """Shards that took part in a move lately."""
        return {
            name
            for move in self.moves
            for name in (move.source, move.target)
            if self._since(move) < self.case.rest_seconds
        }

    def _since(self, move: MoveSeen) -> float:
        return seconds_since(move, self.case.now_seconds)

    def wish(self, sources: Iterable[str], resting: set[str]) -> MoveWish | None:
        """One move out of the fullest that can be helped."""
        free = [
            name for name in self.fit
            if name not in resting and self.case.full.get(name, 1.0) < SATURATED
        ]  # fmt: skip
        slots_of: defaultdict[str, list[SlotPlace]] = defaultdict(list)
        for slot in self.case.layout.slots:
            slots_of[slot.shard].append(slot)
        fullest = heapq.nsmallest(SOURCES_LOOKED_AT, sources, key=lambda n: (-self.used[n], n))
        for source in fullest:
            others = [name for name in free if name != source]
            targets = heapq.nsmallest(TARGETS_LOOKED_AT, others, key=lambda n: (self.most[n], n))
            found = self._bundle(source, targets, slots_of)
            if found is not None:
                return self._told(source, found)
        return None

    def _told(self, source: str, found: Bundle) -> MoveWish:
        before, free = self.used[source], self.most[found.target]
        ranges = tuple(sorted((each.first, each.past) for each in found.pieces))
        return MoveWish(
            ranges, source, found.target, MoveWhy.OVERFULL, found.load, before,
            before - found.load, free, free + found.load,
        )  # fmt: skip

    def _bundle(
        self, source: str, targets: Sequence[str], slots_of: Mapping[str, Sequence[SlotPlace]]
    ) -> Bundle | None:
        load = self._slot_loads(source, slots_of[source])
        if not load or not targets:
            return None
        used = {name: self.most[name] for name in targets} | {source: self.used[source]}
        bench = Bench(
            self.case.layout, self.case.loads, load, used, self.mean, self.band, slots_of,
            pieces_max=PIECES_PER_MOVE, is_careful=True,
            churn_max=CHURN_PER_MOVE * sum(self.used[name] for name in self.fit),
        )  # fmt: skip
        movable = [slot for slot in slots_of[source] if not self._rests(slot)]
        found = best_bundle(bench, source, movable, targets)
        if found is None:
            return None
        return None if used[found.target] + found.load > SATURATED else found

    def _slot_loads(self, shard: str, slots: Sequence[SlotPlace]) -> dict[int, float]:
        """What of the shard's work each slot causes; empty where too little is known of them."""
        if any(slot.slot_id in self.case.unknown for slot in slots):
            return {}
        averages = self.case.slots
        rows = [(slot.slot_id, averages.position(slot.slot_id)) for slot in slots]
        work = {slot: averages.slow[row] for slot, row in rows if row is not None}
        whole = sum(work.values())
        if whole <= 0:
            return {}
        return {slot: self.used[shard] * each / whole for slot, each in work.items()}

    def _rests(self, slot: SlotPlace) -> bool:
        """Whether it was moved to another shard lately."""
        return any(
            self._since(move) < self.case.slot_rest_seconds
            for move in self.moves
            if not move.has_failed and move.covers(slot.first, slot.past)
        )
