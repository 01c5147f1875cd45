"""The simulated exchange: symbols with loads, slots, units that start, moves that take time.

Chance comes from the seed alone. Loads of slots are differences of running sums, so that a hundred
thousand symbols cost no more than their slots.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import accumulate

from trading_contract.symbols import HIGHEST, LOWEST
from trading_operator.planner.moves.ownership import is_shard
from trading_operator.planner.scaling.layout import (
    Layout,
    MergeWish,
    MoveSeen,
    MoveWish,
    PartitionPlace,
    SlotPlace,
)
from trading_operator.planner.scaling.plan import ScalingWorld
from trading_operator.planner.scaling.signals import (
    Rates,
    SlotLoad,
    SymbolLoad,
    Tier,
    UnitLoad,
)
from trading_operator.planner.scaling.tier_state import TierCount
from trading_operator.simulation.traces import Trace

# What one order costs each tier: CPU milliseconds, CPU milliseconds, rows, operations.
PER_ORDER: Mapping[Tier, float] = {
    Tier.BACKENDS: 0.12, Tier.PARTITIONS: 0.03, Tier.SHARDS: 1.5, Tier.REDIS: 2.0,
}  # fmt: skip
KIND: Mapping[Tier, str] = {
    Tier.BACKENDS: "cpu_milliseconds_per_second",
    Tier.PARTITIONS: "cpu_milliseconds_per_second",
    Tier.SHARDS: "rows_per_second",
    Tier.REDIS: "operations_per_second",
}
# What a unit really can; the planner begins with a guess of it.
CAPACITY: Mapping[Tier, float] = {
    Tier.BACKENDS: 850.0, Tier.PARTITIONS: 850.0, Tier.SHARDS: 40_000.0, Tier.REDIS: 60_000.0,
}  # fmt: skip
START_SECONDS: Mapping[Tier, float] = {
    Tier.BACKENDS: 10.0, Tier.PARTITIONS: 15.0, Tier.SHARDS: 300.0, Tier.REDIS: 60.0,
}  # fmt: skip
NAMES: Mapping[Tier, str] = {
    Tier.BACKENDS: "backend", Tier.PARTITIONS: "partition", Tier.SHARDS: "shard",
    Tier.REDIS: "redis",
}  # fmt: skip
BEGIN_SECONDS = 4 * 86_400.0  # a Monday
MOVE_SECONDS = (3.0, 7.0)
SHARD_MOVE_SECONDS = (60.0, 240.0)
PAUSE_MILLISECONDS = (4.0, 30.0)
HOTTEST = 4
FEW_HOT = 8
REMEMBERED_SECONDS = 3600.0


@dataclass(frozen=True)
class Shape:
    """The size of the world at the beginning. `orders_per_second` is the base load.

    With `are_shards_placed` each slot has its rows on one shard, which does the work of its slots;
    else all shards do the same.
    """

    partitions: int = 8
    symbols: int = 1000
    slots_per_partition: int = 8
    orders_per_second: float = 100_000.0
    backends: int = 24
    shards: int = 8
    redis: int = 6
    are_shards_placed: bool = False


@dataclass
class _Move:
    seen: MoveSeen
    ends_seconds: float
    pause_milliseconds: float
    fails: bool


class SimulatedWorld:
    """The world; `view` is what the planner sees of it, `begin` and `set_count` what it does."""

    def __init__(
        self, seed: int, shape: Shape, trace: Trace, failing_moves_share: float = 0.0
    ) -> None:
        self.chance, self.trace, self.shape = random.Random(seed), trace, shape
        self.failing_moves_share = failing_moves_share
        self.symbols = [f"S{at:06d}" for at in range(shape.symbols)]
        ranks = list(range(shape.symbols))
        self.chance.shuffle(ranks)
        weights = [1.0 / (rank + 1) ** trace.zipf for rank in ranks]
        whole = sum(weights)
        self.weights: list[float] = [each / whole for each in weights]
        self.sums: list[float] = [0.0, *accumulate(self.weights)]
        self.of_rank = {rank: at for at, rank in enumerate(ranks)}
        self.counts = {
            Tier.BACKENDS: shape.backends, Tier.PARTITIONS: shape.partitions,
            Tier.SHARDS: shape.shards, Tier.REDIS: shape.redis,
        }  # fmt: skip
        self.ready_at: dict[Tier, list[float]] = {
            tier: [-math.inf] * count for tier, count in self.counts.items()
        }
        self.leaving: set[str] = set()
        self.slots = self._first_slots()
        self.next_id = len(self.slots) + 1
        self.moves: list[_Move] = []
        self.ended: list[MoveSeen] = []
        self.pauses: list[tuple[float, float]] = []
        self.now, self.begin_seconds = 0.0, BEGIN_SECONDS
        self._places: dict[str, int] = {LOWEST: 0, HIGHEST: len(self.symbols)}
        self._ranks: Mapping[int, float] = {}
        self._hot: Mapping[int, float] = {}
        self._extra: list[float] = []  # sums over the hot ones, where they are many
        self._hottest: dict[tuple[int, int], tuple[float, tuple[SymbolLoad, ...]]] = {}

    def _first_slots(self) -> list[SlotPlace]:
        count = min(self.shape.partitions * self.shape.slots_per_partition, self.shape.symbols)
        bounds = [self.shape.symbols * at // count for at in range(count + 1)]
        names = [LOWEST, *(self.symbols[at] for at in bounds[1:-1]), HIGHEST]
        is_placed = self.shape.are_shards_placed
        return [
            SlotPlace(at + 1, names[at], names[at + 1],
                      f"partition-{at * self.shape.partitions // count}",
                      f"shard-{at * self.shape.shards // count}" if is_placed else "")
            for at in range(count)
        ]  # fmt: skip

    # What is.

    def demand(self) -> float:
        """Orders per second that clients want, hot symbols included."""
        hot = self.hot()
        extra = sum(self.weights[at] * (factor - 1) for at, factor in hot.items())
        return self.shape.orders_per_second * self.trace.demand(self.now) * (1 + extra)

    def hot(self) -> Mapping[int, float]:
        """Factors of single symbols, by their place."""
        ranks = self.trace.hot(self.now)
        if ranks != self._ranks:
            self._ranks = dict(ranks)
            self._hot = {self.of_rank[at]: f for at, f in ranks.items() if at in self.of_rank}
            extra = (self.weights[at] * (self._hot.get(at, 1.0) - 1)
                     for at in range(len(self.weights)))  # fmt: skip
            self._extra = [0.0, *accumulate(extra)] if len(self._hot) > FEW_HOT else []
        return self._hot

    def share(self, first: str, past: str, hot: Mapping[int, float]) -> float:
        """Orders of a symbol range as a share of the base load."""
        low, high = self._place(first), self._place(past)
        share = self.sums[high] - self.sums[low]
        if self._extra and hot is self._hot:
            return share + self._extra[high] - self._extra[low]
        for at, factor in hot.items():
            if low <= at < high:
                share += self.weights[at] * (factor - 1)
        return share

    def _place(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = bisect_left(self.symbols, name)
        return place

    def partition_loads(self) -> dict[str, float]:
        """True utilisation of every partition that is not leaving, at this moment."""
        hot, base = self.hot(), self.shape.orders_per_second * self.trace.demand(self.now)
        used = dict.fromkeys(self.partitions(), 0.0)
        for slot in self.slots:
            load = base * self.share(slot.first, slot.past, hot) * PER_ORDER[Tier.PARTITIONS]
            used[slot.partition] = used.get(slot.partition, 0.0) + load
        return {name: load / CAPACITY[Tier.PARTITIONS] for name, load in used.items()}

    def shard_loads(self) -> dict[str, float]:
        """What is asked of each shard, as a share of what it can; none where they are alike."""
        if not self.shape.are_shards_placed:
            return {}
        hot, base = self.hot(), self.shape.orders_per_second * self.trace.demand(self.now)
        used = dict.fromkeys(self.shards(), 0.0)
        for slot in self.slots:
            load = base * self.share(slot.first, slot.past, hot) * PER_ORDER[Tier.SHARDS]
            used[slot.shard] = used.get(slot.shard, 0.0) + load / CAPACITY[Tier.SHARDS]
        return used

    def shards(self) -> list[str]:
        """Those that are ready."""
        ready = self.ready_at[Tier.SHARDS]
        return [f"shard-{at}" for at, when in enumerate(ready) if when <= self.now]

    def partitions(self) -> list[str]:
        """Those that may own slots, ready ones only."""
        return [
            f"partition-{at}" for at, ready in enumerate(self.ready_at[Tier.PARTITIONS])
            if ready <= self.now and f"partition-{at}" not in self.leaving
        ]  # fmt: skip

    def ready(self, tier: Tier) -> int:
        """Units that work."""
        return sum(1 for at in self.ready_at[tier] if at <= self.now) - (
            len(self.leaving) if tier is Tier.PARTITIONS else 0
        )

    # What the planner sees.

    def view(self) -> ScalingWorld:
        """Noisy rates, some of them lost; the layout; the counts."""
        lost = self.trace.missing(self.now)
        flow = self.flow()
        slots, per_partition = self._slot_loads(flow)
        full = CAPACITY[Tier.PARTITIONS]
        passed = sum(min(full, load) for load in per_partition.values())
        passed /= PER_ORDER[Tier.PARTITIONS]
        units: dict[Tier, list[UnitLoad]] = {}
        for tier in (Tier.BACKENDS, Tier.SHARDS, Tier.REDIS):
            ready = max(1, self.ready(tier))
            each = passed * PER_ORDER[tier] / ready
            asked = self.asked(tier)
            units[tier] = [
                self._unit(f"{NAMES[tier]}-{index}", tier, each * self.chance.gauss(1, 0.02), asked)
                for index in range(ready)
            ]
        units[Tier.PARTITIONS] = [
            self._unit(name, Tier.PARTITIONS, min(load, CAPACITY[Tier.PARTITIONS]),
                       load / CAPACITY[Tier.PARTITIONS])
            for name, load in per_partition.items()
        ]  # fmt: skip
        if self.shape.are_shards_placed:
            units[Tier.SHARDS] = [
                self._unit(name, Tier.SHARDS, min(1.0, load) * CAPACITY[Tier.SHARDS]
                           * self.chance.gauss(1, 0.02), load)
                for name, load in self.shard_loads().items()
            ]  # fmt: skip
        told = {tier: tuple(u for u in of if self.chance.random() >= lost) for tier, of in
                units.items()}  # fmt: skip
        if lost:
            names = {unit.name for unit in told[Tier.PARTITIONS]}
            owner = {slot.slot_id: slot.partition for slot in self.slots}
            slots = [slot for slot in slots if owner[slot.slot_id] in names]
        counts = {
            tier: TierCount(self.counts[tier], self.ready(tier), tuple(u.name for u in units[tier]))
            for tier in Tier
        }
        return ScalingWorld(
            counts, self.view_layout(), Rates({t: told[t] for t in Tier}, tuple(slots))
        )

    def view_layout(self) -> Layout:
        """Slots, partitions, moves."""
        places = tuple(
            PartitionPlace(f"partition-{n}", ready <= self.now, f"partition-{n}" in self.leaving)
            for n, ready in enumerate(self.ready_at[Tier.PARTITIONS])
        )
        running = [move.seen for move in self.moves]
        shards = [
            PartitionPlace(f"shard-{n}", ready <= self.now)
            for n, ready in enumerate(self.ready_at[Tier.SHARDS]) if self.shape.are_shards_placed
        ]  # fmt: skip
        return Layout(
            tuple(self.slots), places, self.symbols, (*self.ended, *running), tuple(shards)
        )

    def asked(self, tier: Tier) -> float:
        """What is asked of each unit of the tier, as a share of what it can."""
        per_unit = self.demand() * PER_ORDER[tier] / max(1, self.ready(tier))
        return per_unit / CAPACITY[tier]

    def flow(self) -> float:
        """The share of the demand that backends, and shards that are alike, let through."""
        tiers = [Tier.BACKENDS] if self.shape.are_shards_placed else [Tier.BACKENDS, Tier.SHARDS]
        return min(1.0, *(1 / max(self.asked(tier), 1e-9) for tier in tiers))

    def _slot_loads(self, flow: float) -> tuple[list[SlotLoad], dict[str, float]]:
        """What slots and partitions do. A full partition does what it can: its slots wait alike."""
        hot, base = self.hot(), flow * self.shape.orders_per_second * self.trace.demand(self.now)
        cost, gauss, capacity = PER_ORDER[Tier.PARTITIONS], self.chance.gauss, CAPACITY[
            Tier.PARTITIONS]  # fmt: skip
        used = {
            f"partition-{n}": 0.0 for n, ready in enumerate(self.ready_at[Tier.PARTITIONS])
            if ready <= self.now
        }  # fmt: skip
        loads = []
        full = {name: 1 / load for name, load in self.shard_loads().items() if load > 1}
        for slot in self.slots:
            orders = base * self.share(slot.first, slot.past, hot) * full.get(slot.shard, 1.0)
            # As Poisson over five seconds, with something for what else goes on.
            noise = gauss(1, math.sqrt(1 / max(5 * orders, 1.0) + 0.0004))
            load = max(0.0, orders * noise) * cost
            used[slot.partition] = used.get(slot.partition, 0.0) + load
            loads.append((slot, load))
        squeeze = {name: capacity / load for name, load in used.items() if load > capacity}
        told = [
            SlotLoad(
                slot.slot_id,
                load * squeeze.get(slot.partition, 1.0),
                hottest=self._symbols(slot, hot, base * cost * squeeze.get(slot.partition, 1.0)),
            )
            for slot, load in loads
        ]
        told.sort(key=lambda each: each.slot_id)
        return told, used

    def _symbols(
        self, slot: SlotPlace, hot: Mapping[int, float], per_share: float
    ) -> tuple[SymbolLoad, ...]:
        low, high = self._place(slot.first), self._place(slot.past)
        cached = self._hottest.get((low, high))
        is_hot = any(low <= at < high for at in hot) if hot else False
        if cached is not None and cached[0] == per_share and not is_hot:
            return cached[1]
        chosen = set(nlargest(HOTTEST, range(low, high), key=self.weights.__getitem__))
        chosen.update(at for at in hot if low <= at < high)
        loads = tuple(
            SymbolLoad(self.symbols[at], per_share * self.weights[at] * hot.get(at, 1.0))
            for at in sorted(chosen)
        )
        if not is_hot:
            self._hottest[low, high] = (per_share, loads)
        return loads

    def _unit(self, name: str, tier: Tier, load: float, asked: float) -> UnitLoad:
        """`asked` of it, as a share of what it can, makes it wait."""
        load = max(0.0, load)
        wait = 1.0 / max(0.02, 1.0 - asked) if asked < 1 else 50.0 * asked
        work = load / PER_ORDER[tier]
        return UnitLoad(name, self.begin_seconds + self.now, work, {KIND[tier]: load}, {}, wait)

    # What is done.

    def step(self, seconds: float) -> None:
        """Time goes on: moves end, units become ready, emptied partitions go."""
        self.now += seconds
        for move in [each for each in self.moves if each.ends_seconds <= self.now]:
            self.moves.remove(move)
            self._end(move)
        if self.shape.are_shards_placed:
            self._turn_shards_over()
        horizon = self.begin_seconds + self.now - REMEMBERED_SECONDS
        self.ended = [m for m in self.ended if (m.finished_at_seconds or 0.0) >= horizon]
        owners = {slot.partition for slot in self.slots}
        while self.leaving and (last := f"partition-{len(self.ready_at[Tier.PARTITIONS]) - 1}"):
            if last not in self.leaving or last in owners or self._is_busy(last):
                break
            self.leaving.discard(last)
            self.ready_at[Tier.PARTITIONS].pop()

    def _turn_shards_over(self) -> None:
        """Who is gone has given its slots away, who is new has its share; at once, by load."""
        shards, loads = self.shards(), self.shard_loads()
        gone = {slot.shard for slot in self.slots} - set(shards)
        for slot in [each for each in self.slots if each.shard in gone]:
            self._give(slot, min(shards, key=lambda name: loads[name]), loads)
        share = sum(loads.values()) / len(shards)
        for name in sorted(set(shards) - {slot.shard for slot in self.slots}):
            while loads[name] < share:
                donor = max(shards, key=lambda each: loads[each])
                mine = [slot for slot in self.slots if slot.shard == donor]
                if donor == name or len(mine) < 2:
                    break
                self._give(self.chance.choice(mine), name, loads)

    def _give(self, slot: SlotPlace, target: str, loads: dict[str, float]) -> None:
        base = self.shape.orders_per_second * self.trace.demand(self.now)
        load = base * self.share(slot.first, slot.past, self.hot()) * PER_ORDER[Tier.SHARDS]
        loads[slot.shard] = loads.get(slot.shard, 0.0) - load / CAPACITY[Tier.SHARDS]
        loads[target] += load / CAPACITY[Tier.SHARDS]
        self.slots[self.slots.index(slot)] = replace(slot, shard=target)

    def _is_busy(self, name: str) -> bool:
        return any(name in {move.seen.source, move.seen.target} for move in self.moves)

    def set_count(self, tier: Tier, count: int) -> None:
        """More units begin to start; fewer go at once, partitions when they are empty."""
        self.counts[tier] = count
        ready = self.ready_at[tier]
        while len(ready) < count:
            ready.append(self.now + START_SECONDS[tier])
        if tier is Tier.PARTITIONS:
            self.leaving = {f"partition-{n}" for n in range(count, len(ready))}
        else:
            del ready[count:]

    def begin(self, wishes: Iterable[MoveWish]) -> None:
        """Moves begin; each ends after some seconds, some fail and change nothing."""
        for wish in wishes:
            seen = MoveSeen(
                wish.ranges,
                wish.source,
                wish.target,
                started_at_seconds=self.begin_seconds + self.now,
            )
            seconds = SHARD_MOVE_SECONDS if is_shard(wish.target) else MOVE_SECONDS
            ends = self.now + self.chance.uniform(*seconds) + 0.5 * len(wish.ranges)
            fails = self.chance.random() < self.failing_moves_share
            pause = self.chance.uniform(*PAUSE_MILLISECONDS)
            self.moves.append(_Move(seen, ends, pause, fails))

    def _end(self, move: _Move) -> None:
        finished = self.begin_seconds + move.ends_seconds
        self.ended.append(replace(move.seen, finished_at_seconds=finished, has_failed=move.fails))
        if move.fails:
            return
        self.pauses.append((move.ends_seconds, move.pause_milliseconds))
        for first, past in move.seen.ranges:
            self.assign(first, past, move.seen.source, move.seen.target)

    def assign(self, first: str, past: str, source: str, target: str) -> None:
        """The part of the range that the source owns becomes the target's; slots are cut.

        The source and the target are partitions, or shards.
        """
        slots: list[SlotPlace] = []
        for slot in self.slots:
            begin, end = max(first, slot.first), min(past, slot.past)
            if begin >= end or source not in (slot.partition, slot.shard):
                slots.append(slot)
                continue
            given = replace(slot, partition=target)
            if is_shard(target):
                given = replace(slot, shard=target)
            pieces = [(slot.first, begin, slot), (begin, end, given), (end, slot.past, slot)]
            keeps_id = True
            for low, high, like in pieces:
                if low < high:
                    slot_id = slot.slot_id if keeps_id else self.next_id
                    slots.append(replace(like, slot_id=slot_id, first=low, past=high))
                    self.next_id += not keeps_id
                    keeps_id = False
        self.slots = slots

    def merge(self, wishes: Iterable[MergeWish]) -> None:
        """Neighbours become one slot, which keeps the left one's id."""
        homes = {slot.slot_id: slot.shard for slot in self.slots}
        gone = {
            wish.right_id: wish.left_id for wish in wishes
            if homes.get(wish.right_id) == homes.get(wish.left_id)
        }  # fmt: skip
        slots: list[SlotPlace] = []
        for slot in self.slots:
            if slots and gone.get(slot.slot_id) == slots[-1].slot_id:
                slots[-1] = replace(slots[-1], past=slot.past)
            else:
                slots.append(slot)
        self.slots = slots
