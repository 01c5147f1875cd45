"""Who decides in the simulated world: our planner, and plain alternatives to set it against."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trading_contract.policies import TierMode
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.capacity import default_capacities
from trading_operator.planner.scaling.layout import MergeWish, MoveWhy, MoveWish, SlotPlace
from trading_operator.planner.scaling.memory import Memory, after_restart
from trading_operator.planner.scaling.plan import ScalingPlan, ScalingWorld, plan_scaling
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.scaling.tier_state import tier_states

HPA_TOLERANCE = 0.10
HPA_STABILIZATION_SECONDS = 300.0
CITUS_THRESHOLD = 0.10
CITUS_IMPROVEMENT = 0.50


@dataclass(frozen=True)
class Orders:
    """What is to be done in the world now."""

    counts: Mapping[Tier, int] = field(default_factory=dict)
    moves: Sequence[MoveWish] = ()
    merges: Sequence[MergeWish] = ()
    plan: ScalingPlan | None = None


class Strategy(Protocol):
    """Something that looks and decides."""

    name: str

    def look(self, view: ScalingWorld, now_seconds: float) -> Orders:
        """What to do now."""
        ...


class Ours:
    """The planner of the operator. `restart_seconds`: the operator is started anew so often."""

    name = "planner"

    def __init__(self, spec: TradingClusterSpec, restart_seconds: float = 0.0) -> None:
        self.spec, self.memory = spec, Memory()
        self.restart_seconds, self.started = restart_seconds, None

    started: float | None

    def look(self, view: ScalingWorld, now_seconds: float) -> Orders:
        """One plan."""
        if self.started is None:
            self.started = now_seconds
        if self.restart_seconds and now_seconds - self.started >= self.restart_seconds:
            self.memory, self.started = after_restart(self.memory.history), now_seconds
        plan = plan_scaling(self.spec, view, self.memory, now_seconds)
        self.memory = plan.memory
        is_on = self.spec.rebalancing.mode.value == "on"
        moves = plan.balance.moves if is_on else ()
        if is_on and plan.shard_balance and self.spec.autoscaling.shards.mode is TierMode.ON:
            moves = (*moves, *plan.shard_balance.moves)
        return Orders(plan.counts, moves, plan.balance.merges if is_on else (), plan)


class _Alternative:
    """Counts by the formula of the HorizontalPodAutoscaler, which sees only CPU."""

    name = ""

    def __init__(self, spec: TradingClusterSpec) -> None:
        self.spec, self.capacities = spec, default_capacities()
        self.recent: dict[Tier, list[tuple[float, int]]] = {}

    def look(self, view: ScalingWorld, now_seconds: float) -> Orders:
        """Counts, and moves towards where this alternative wants the slots."""
        counts = self._counts(view, now_seconds)
        partitions = counts.get(Tier.PARTITIONS, view.counts[Tier.PARTITIONS].wanted)
        names = [
            each.name for at, each in enumerate(view.layout.partitions)
            if at < partitions and each.is_ready
        ]  # fmt: skip
        return Orders(counts, self._moves(view, names) if names else ())

    def _counts(self, view: ScalingWorld, now_seconds: float) -> dict[Tier, int]:
        states = tier_states(view.counts, view.rates, self.capacities)
        counts = {}
        for tier in (Tier.BACKENDS, Tier.PARTITIONS):
            policy, state = getattr(self.spec.autoscaling, tier.value), states[tier]
            present = view.counts[tier].wanted
            if policy.mode.value != "on" or state.missing_share >= 1:
                continue
            ratio = state.mean / (policy.target_utilization_percent / 100)
            wanted = present
            if abs(ratio - 1) > HPA_TOLERANCE:
                wanted = math.ceil(state.count.ready * ratio)
            wanted = min(max(wanted, policy.min), policy.max)
            kept = [
                each for each in self.recent.get(tier, [(now_seconds, present)])
                if now_seconds - each[0] < HPA_STABILIZATION_SECONDS
            ]  # fmt: skip
            self.recent[tier] = [*kept, (now_seconds, wanted)]
            count = max(number for _, number in self.recent[tier])
            if wanted > present or count < present:
                counts[tier] = max(wanted, count) if wanted > present else count
        return counts

    def _moves(self, view: ScalingWorld, names: Sequence[str]) -> list[MoveWish]:
        wanted = self._owners(view, names)
        pairs: dict[tuple[str, str], list[SlotPlace]] = {}
        for slot, owner in zip(view.layout.slots, wanted, strict=True):
            if slot.partition != owner:
                pairs.setdefault((slot.partition, owner), []).append(slot)
        running = [m for m in view.layout.moves if m.finished_at_seconds is None]
        busy = {name for move in running for name in (move.source, move.target)}
        room = self.spec.rebalancing.parallel_moves_max - len(running)
        moves = []
        for (source, target), slots in sorted(pairs.items()):
            if room > 0 and not {source, target} & busy:
                ranges = tuple((slot.first, slot.past) for slot in slots)
                moves.append(MoveWish(ranges, source, target, MoveWhy.OVERFULL, 0, 1, 0, 0, 0))
                busy |= {source, target}
                room -= 1
        return moves

    def _owners(self, view: ScalingWorld, names: Sequence[str]) -> list[str]:
        raise NotImplementedError


class EvenRanges(_Alternative):
    """HPA, and ranges spread evenly by number whenever the number of partitions changes."""

    name = "hpa"

    def _owners(self, view: ScalingWorld, names: Sequence[str]) -> list[str]:
        count = len(view.layout.slots)
        return [names[at * len(names) // count] for at in range(count)]


class UniformHash(_Alternative):
    """HPA, and every slot where the highest hash of (slot, partition) says."""

    name = "hash"

    def __init__(self, spec: TradingClusterSpec) -> None:
        super().__init__(spec)
        self.scores: dict[tuple[str, str], bytes] = {}

    def _owners(self, view: ScalingWorld, names: Sequence[str]) -> list[str]:
        return [
            max((self._score(slot.first, name), name) for name in names)[1]
            for slot in view.layout.slots
        ]

    def _score(self, first: str, name: str) -> bytes:
        score = self.scores.get((first, name))
        if score is None:
            score = hashlib.blake2b(f"{first} {name}".encode(), digest_size=8).digest()
            self.scores[first, name] = score
        return score


class GreedyRebalancer(_Alternative):
    """HPA, and the greedy rebalancer by present load: threshold 10 %, improvement 50 %."""

    name = "greedy"

    def _owners(self, view: ScalingWorld, names: Sequence[str]) -> list[str]:
        loads = {each.slot_id: each.cpu_milliseconds_per_second for each in view.rates.slots}
        slots = view.layout.slots
        owners = [slot.partition for slot in slots]
        used = dict.fromkeys(names, 0.0)
        homeless = []
        for at, slot in enumerate(slots):
            if slot.partition in used:
                used[slot.partition] += loads.get(slot.slot_id, 0.0)
            else:
                homeless.append(at)
        for at in homeless:
            owners[at] = min(names, key=lambda name: (used[name], name))
            used[owners[at]] += loads.get(slots[at].slot_id, 0.0)
        mean = sum(used.values()) / len(names)
        by_load = sorted(range(len(slots)), key=lambda at: -loads.get(slots[at].slot_id, 0.0))
        for at in by_load:
            load, source = loads.get(slots[at].slot_id, 0.0), owners[at]
            target = min(names, key=lambda name: (used[name], name))
            is_over = used.get(source, 0.0) > (1 + CITUS_THRESHOLD) * mean
            if not is_over or used[target] >= (1 - CITUS_THRESHOLD) * mean or not load:
                continue
            left, filled = used[source] - load, used[target] + load
            better = max(used[source] - filled, left - used[target])
            added = min(filled - used[target], used[source] - left)
            if filled <= left or better / added >= CITUS_IMPROVEMENT:
                owners[at] = target
                used[source], used[target] = left, filled
        return owners


STRATEGIES: Mapping[str, type[Ours | _Alternative]] = {
    "planner": Ours,
    "hpa": EvenRanges,
    "greedy": GreedyRebalancer,
    "hash": UniformHash,
}
