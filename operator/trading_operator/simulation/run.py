"""Runs a strategy in the simulated world and records what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trading_contract.policies import TierAutoscaling
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.moves.ownership import is_shard
from trading_operator.planner.scaling.decisions import Decision
from trading_operator.planner.scaling.layout import MoveWhy, MoveWish
from trading_operator.planner.scaling.shard_balance import band_of
from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.strategies import Orders, Strategy
from trading_operator.simulation.world import CAPACITY, PER_ORDER, SimulatedWorld

TICK_SECONDS = 5.0
NOISE = 0.03  # of a shard: what is told is not quite what is


@dataclass(frozen=True)
class Sample:
    """One look.

    `highest` and `mean` are true utilisations of partitions; `served` is the share of the demand
    that no tier was too full for.
    """

    seconds: float
    demand: float
    ready: Mapping[Tier, int]
    highest: float
    mean: float
    moves_under_way: int
    served: float
    shards: Mapping[str, float] = field(default_factory=dict)  # true loads, where they are placed

    @property
    def imbalance(self) -> float:
        """Highest over mean."""
        return self.highest / self.mean if self.mean > 0 else 1.0


@dataclass
class Outcome:
    """What came of one run."""

    strategy: str
    samples: list[Sample] = field(default_factory=list)
    moves: list[tuple[float, MoveWish]] = field(default_factory=list)  # with when it began
    changes: list[tuple[float, Tier, int, int]] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    decisions: tuple[Decision, ...] = ()

    @property
    def shard_moves(self) -> list[tuple[float, MoveWish]]:
        """Those between shards."""
        return [each for each in self.moves if is_shard(each[1].target)]

    @property
    def ranges_moved(self) -> int:
        """Symbol ranges that were sent to another partition."""
        return sum(len(move.ranges) for _, move in self.moves)

    def moves_within(self, begin: float, end: float) -> int:
        """Moves that began in that time."""
        return sum(1 for at, _ in self.moves if begin <= at < end)

    def returns_within(self, seconds: float) -> int:
        """Moves that bring a range back to where it came from within that time."""
        back = 0
        for at, (begun, move) in enumerate(self.moves):
            back += any(
                begun - earlier < seconds
                and (other.source, other.target) == (move.target, move.source)
                and any(a < d and c < b for a, b in move.ranges for c, d in other.ranges)
                for earlier, other in self.moves[:at]
            )
        return back

    @property
    def imbalance_mean(self) -> float:
        """Mean over time of highest over mean utilisation."""
        return sum(each.imbalance for each in self.samples) / max(1, len(self.samples))

    @property
    def served_share(self) -> float:
        """Orders that were served, of those that clients wanted."""
        wanted = sum(each.demand for each in self.samples)
        return sum(each.demand * each.served for each in self.samples) / wanted if wanted else 1.0

    def unit_hours(self, tier: Tier) -> float:
        """What ran of the tier, times how long."""
        return sum(each.ready[tier] for each in self.samples) * TICK_SECONDS / 3600


def simulate(
    world: SimulatedWorld, strategy: Strategy, spec: TradingClusterSpec,
    progress: Callable[[float], None] = lambda _share: None,
) -> Outcome:  # fmt: skip
    """The whole trace, one look each five seconds; what breaks an invariant is in `broken`."""
    outcome = Outcome(strategy.name)
    looks = int(world.trace.seconds / TICK_SECONDS)
    for number in range(looks):
        view = world.view()
        orders = strategy.look(view, world.begin_seconds + world.now)
        outcome.broken += broken(world, orders, spec)
        for tier, count in orders.counts.items():
            if count != world.counts[tier]:
                outcome.changes.append((world.now, tier, world.counts[tier], count))
                world.set_count(tier, count)
        outcome.moves += [(world.now, move) for move in orders.moves]
        world.begin(orders.moves)
        world.merge(orders.merges)
        outcome.samples.append(_sample(world))
        world.step(TICK_SECONDS)
        if orders.plan is not None:
            outcome.decisions = orders.plan.memory.history.decisions
        if number % 100 == 0:
            progress(number / looks)
    outcome.pauses = list(world.pauses)
    return outcome


def _sample(world: SimulatedWorld) -> Sample:
    used = world.partition_loads()
    fit = [used[name] for name in world.partitions()]
    demand = world.demand()
    served = 1.0
    shards = world.shard_loads()
    if shards:
        served = sum(min(1.0, each) for each in shards.values()) / sum(shards.values())
    for tier in (Tier.BACKENDS,) if shards else (Tier.BACKENDS, Tier.SHARDS):
        full = demand * PER_ORDER[tier] / (CAPACITY[tier] * max(1, world.ready(tier)))
        served = min(served, 1 / full if full > 1 else 1.0)
    wanted = sum(used.values())
    through = sum(min(1.0, each) for each in used.values()) / wanted if wanted > 0 else 1.0
    ready = {tier: world.ready(tier) for tier in Tier}
    return Sample(
        world.now, demand, ready, max(used.values(), default=0.0),
        sum(fit) / max(1, len(fit)), len(world.moves), min(served, through),
        shards,
    )  # fmt: skip


def broken(world: SimulatedWorld, orders: Orders, spec: TradingClusterSpec) -> list[str]:
    """What the orders, or the world that earlier ones made, break."""
    problems = []
    layout = world.view_layout()
    if not layout.tiles():
        problems.append(f"{world.now:.0f} s: slots do not tile the symbols")
    known = {each.name for each in layout.partitions}
    problems += [
        f"{world.now:.0f} s: slot {slot.slot_id} belongs to {slot.partition}, which is not there"
        for slot in layout.slots if slot.partition not in known
    ]  # fmt: skip
    for tier, count in orders.counts.items():
        policy: TierAutoscaling = getattr(spec.autoscaling, tier.value)
        steps_back = count < world.counts[tier] and count >= policy.max
        if not policy.min <= count <= policy.max and not steps_back:
            problems.append(f"{world.now:.0f} s: {count} {tier}, beyond min and max")
        if policy.mode.value != "on":
            problems.append(f"{world.now:.0f} s: {tier} scaled in mode {policy.mode}")
    busy = {name for move in world.moves for name in (move.seen.source, move.seen.target)}
    owner = {(slot.first, slot.past): slot.partition for slot in layout.slots}
    for move in orders.moves:
        if is_shard(move.target):
            problems += _broken_shards(world, move)
            continue
        if {move.source, move.target} & busy:
            problems.append(f"{world.now:.0f} s: {move.source} or {move.target} moves twice")
        busy |= {move.source, move.target}
        is_worse = move.target_after > move.source_before + 1e-9
        if move.why is not MoveWhy.LEAVING and is_worse:
            problems.append(f"{world.now:.0f} s: {move.target} would be fuller than the source was")
        problems += [
            f"{world.now:.0f} s: {first}..{past} is not {move.source}'s"
            for first, past in move.ranges if owner.get((first, past), move.source) != move.source
        ]  # fmt: skip
    return problems


def _broken_shards(world: SimulatedWorld, move: MoveWish) -> list[str]:
    """What a move between shards breaks, by what their loads really are."""
    at, layout, loads = f"{world.now:.0f} s", world.view_layout(), world.shard_loads()
    problems = []
    if any(is_shard(each.seen.target) for each in world.moves):
        problems.append(f"{at}: a second move between shards at a time")
    if len(loads) != world.counts[Tier.SHARDS] or not all(each.is_ready for each in layout.shards):
        problems.append(f"{at}: ranges move between shards while one comes or goes")
    if move.target not in loads or move.source not in loads:
        return [*problems, f"{at}: {move.source} or {move.target} is no shard"]
    hot, base = world.hot(), world.shape.orders_per_second * world.trace.demand(world.now)
    orders = base * sum(world.share(first, past, hot) for first, past in move.ranges)
    then = loads[move.target] + orders * PER_ORDER[Tier.SHARDS] / CAPACITY[Tier.SHARDS]
    mean = sum(loads.values()) / len(loads)
    if then > min(1.0, mean + band_of(mean) + NOISE):
        problems.append(f"{at}: {move.target} would be {then:.0%} full, the mean is {mean:.0%}")
    problems += [
        f"{at}: {slot.first}..{slot.past} is not {move.source}'s"
        for slot in layout.slots for first, past in move.ranges
        if first < slot.past and slot.first < past and slot.shard != move.source
    ]  # fmt: skip
    return problems
