"""A small exchange whose partitions tell counters as engines do, for the planner to balance.

What the simulated world leaves out: a counter ends where its slot goes and begins where it comes,
commands arrive by chance, and each partition that trades costs something beside its commands.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from trading_contract.symbols import HIGHEST, LOWEST
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.capacity import sized_capacities
from trading_operator.planner.scaling.layout import Layout, MoveSeen, PartitionPlace, SlotPlace
from trading_operator.planner.scaling.memory import Memory
from trading_operator.planner.scaling.plan import ScalingWorld, plan_scaling
from trading_operator.planner.scaling.rates import LastReadings, fold
from trading_operator.planner.scaling.signals import (
    PartitionReading,
    Readings,
    SlotReading,
    Source,
    SymbolReading,
    Tier,
)
from trading_operator.planner.scaling.tier_state import TierCount

CORES = 0.1  # of a partition
COMMAND_MILLISECONDS = 0.5
TRADING_MILLISECONDS = 15.0  # a second, of CPU, beside the commands
MOVE_SECONDS = (1.0, 2.5)
LOOK_SECONDS = 5.3  # with what a look takes
STEP_SECONDS = 0.5
NOISE = 0.05


@dataclass
class Counters:
    """Of one slot at one partition."""

    commands: int = 0
    busy: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class ToldWorld:
    """Symbols A, B, C, ... in slots of three, each slot at a partition of its own at first."""

    def __init__(self, seed: int, spec: TradingClusterSpec, partitions: int = 4) -> None:
        self.chance, self.spec, self.now = random.Random(seed), spec, 0.0
        self.symbols = [chr(ord("A") + at) for at in range(3 * partitions)]
        bounds = [LOWEST, *self.symbols[3::3], HIGHEST]
        self.partitions = [f"partition-{at}" for at in range(partitions)]
        self.slots = [
            SlotPlace(at, bounds[at], bounds[at + 1], name)
            for at, name in enumerate(self.partitions)
        ]
        self.next_id = partitions
        self.counters: dict[int, Counters] = defaultdict(Counters)
        self.commands: dict[str, int] = dict.fromkeys(self.partitions, 0)
        self.cpu: dict[str, float] = dict.fromkeys(self.partitions, 0.0)
        self.running: list[tuple[float, MoveSeen]] = []
        self.ended: list[MoveSeen] = []
        self.last, self.looks_next = LastReadings(), self.chance.uniform(0, LOOK_SECONDS)
        self.memory = Memory(capacities=sized_capacities({Tier.PARTITIONS: CORES}))

    def run(self, seconds: float, per_second: Mapping[str, float]) -> list[dict[str, float]]:
        """Commands of each symbol for so long; CPU of each partition after each second."""
        found = []
        for step in range(1, round(seconds / STEP_SECONDS) + 1):
            self._step(per_second)
            if step % round(1 / STEP_SECONDS) == 0:
                found.append(dict(self.cpu))
        return found

    def _step(self, per_second: Mapping[str, float]) -> None:
        self.now += STEP_SECONDS
        for ends, move in [each for each in self.running if each[0] <= self.now]:
            self.running.remove((ends, move))
            self.ended.append(replace(move, finished_at_seconds=ends))
            for first, past in move.ranges:
                self._give(first, past, move)
        done = dict.fromkeys(self.partitions, 0)
        for slot in self.slots:
            counters = self.counters[slot.slot_id]
            for name in self._symbols(slot):
                count = self._arrived(per_second[name] * STEP_SECONDS)
                counters.commands += count
                counters.busy[name] += count * 1e-4
                done[slot.partition] += count
        for name, count in done.items():
            self.commands[name] += count
            cost = TRADING_MILLISECONDS * STEP_SECONDS + count * COMMAND_MILLISECONDS
            noise = self.chance.gauss(1, NOISE / math.sqrt(STEP_SECONDS))
            self.cpu[name] += max(0.0, cost * noise) / 1000
        if self.now >= self.looks_next:
            self.looks_next += LOOK_SECONDS
            self._look()

    def _arrived(self, mean: float) -> int:
        """Poisson."""
        count, product, least = 0, self.chance.random(), math.exp(-mean)
        while product > least:
            count, product = count + 1, product * self.chance.random()
        return count

    def _symbols(self, slot: SlotPlace) -> Sequence[str]:
        return [name for name in self.symbols if slot.first <= name < slot.past]

    def _give(self, first: str, past: str, move: MoveSeen) -> None:
        """The counters of what comes begin anew; the id, and the counter, stay with the left."""
        slots: list[SlotPlace] = []
        for slot in self.slots:
            begin, end = max(first, slot.first), min(past, slot.past)
            if begin >= end or slot.partition != move.source:
                slots.append(slot)
                continue
            keeps_id = True
            for low, high, owner in (
                (slot.first, begin, slot.partition), (begin, end, move.target),
                (end, slot.past, slot.partition),
            ):  # fmt: skip
                if low == high:
                    continue
                slot_id = slot.slot_id if keeps_id else self.next_id
                self.next_id += not keeps_id
                keeps_id = False
                if owner != slot.partition:
                    self.counters.pop(slot_id, None)
                slots.append(SlotPlace(slot_id, low, high, owner))
        self.slots = slots

    def _look(self) -> None:
        rates, self.last = fold(
            self.last, Readings((), tuple(map(self._reading, self.partitions)), (), (), ()),
            {Tier.PARTITIONS: self.partitions}, self.now,
        )  # fmt: skip
        moves = (*self.ended, *(move for _, move in self.running))
        layout = Layout(
            tuple(self.slots), tuple(map(PartitionPlace, self.partitions)), self.symbols, moves
        )
        count = len(self.partitions)
        counts = {Tier.PARTITIONS: TierCount(count, count, tuple(self.partitions))}
        world = ScalingWorld(counts, layout, rates)
        plan = plan_scaling(self.spec, world, self.memory, self.now)
        self.memory = plan.memory
        for wish in plan.balance.moves:
            ends = self.now + self.chance.uniform(*MOVE_SECONDS)
            self.running.append((ends, MoveSeen(wish.ranges, wish.source, wish.target, self.now)))

    def _reading(self, name: str) -> PartitionReading:
        slots = tuple(
            self._slot(slot, self.counters[slot.slot_id])
            for slot in self.slots if slot.partition == name
        )  # fmt: skip
        return PartitionReading(
            Source(name, self.now, name, "a"), self.cpu[name], self.commands[name], 0, 1.0, 1.0,
            slots, self.commands[name] / 1.2,
        )  # fmt: skip

    def _slot(self, slot: SlotPlace, counters: Counters) -> SlotReading:
        hottest = tuple(SymbolReading(each, counters.busy[each]) for each in self._symbols(slot))
        return SlotReading(slot.slot_id, sum(counters.busy.values()), counters.commands, 0, hottest)
