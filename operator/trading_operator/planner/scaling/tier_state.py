"""How each tier is off: units, utilisation, queues; and which of them limits the orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trading_operator.planner.scaling.capacity import SATURATED, Capacities, is_waiting
from trading_operator.planner.scaling.signals import Rates, Tier, UnitLoad

# Redis gets what is committed already: however slow, no order waits for it.
ORDER_PATH = (Tier.BACKENDS, Tier.PARTITIONS, Tier.SHARDS)
CLEARLY = 0.05  # of utilisation: closer ones limit together


@dataclass(frozen=True)
class TierCount:
    """How many units a tier should have, has, and how many of these work."""

    wanted: int
    ready: int
    names: tuple[str, ...] = ()  # of the units that should give readings


@dataclass(frozen=True)
class TierState:
    """One tier as it is now. Utilisations are shares of a unit's capacity, `total` their sum."""

    tier: Tier
    count: TierCount
    total: float = 0.0
    highest: float = 0.0
    work_per_second: float = 0.0
    waiting_units: int = 0
    missing_share: float = 0.0  # of the units that should have told something
    wait_milliseconds: float = 0.0
    batch: float | None = None  # of partitions: commands in a commit, as far as it is known

    @property
    def mean(self) -> float:
        """Mean utilisation of the units that are ready."""
        return self.total / max(1, self.count.ready)

    @property
    def is_complete(self) -> bool:
        """Whether every unit told something that can be believed."""
        return self.missing_share == 0.0 and self.count.ready > 0

    @property
    def is_saturated(self) -> bool:
        """Whether a unit is full, or work queues at one that has much to do."""
        return self.highest >= SATURATED or (self.waiting_units > 0 and self.highest >= 0.5)

    @property
    def queues(self) -> bool:
        """Whether work queues at most of its units, and they have much to do."""
        return 2 * self.waiting_units >= self.count.ready > 0 and self.highest >= 0.5


def tier_states(
    counts: Mapping[Tier, TierCount], rates: Rates, capacities: Capacities
) -> dict[Tier, TierState]:
    """The state of every tier that has units."""
    states = {}
    for tier, count in counts.items():
        units = rates.unit_loads(tier)
        working = [unit for unit in units if not unit.is_follower]
        used = [capacities.utilisation(tier, unit) for unit in working]
        expected = max(1, len(count.names) or count.ready)
        waits = [unit.wait_milliseconds or 0.0 for unit in units]
        states[tier] = TierState(
            tier,
            count,
            sum(used),
            max(used, default=0.0),
            sum(unit.work_per_second for unit in working),
            sum(is_waiting(tier, unit) for unit in units),
            max(0.0, 1 - len(units) / expected),
            max(waits, default=0.0),
            _batch(units),
        )
    return states


def _batch(units: Sequence[UnitLoad]) -> float | None:
    """Commands in a commit, over all units that made any."""
    told = [(u.work_per_second, u.batches_per_second) for u in units if u.batches_per_second]
    return sum(work for work, _ in told) / sum(made for _, made in told if made) if told else None


@dataclass(frozen=True)
class Attribution:
    """Which tier limits the orders, and what each tier could carry.

    `limits_per_second` is the work at which the tier would be full, were it balanced.
    """

    limiting: Tier | None = None
    limits_per_second: Mapping[Tier, float] = field(default_factory=dict)
    text: str = "no tier is near its limit"

    def limit(self, more: Mapping[Tier, float] | None = None) -> float | None:
        """Work at which the first tier is full; `more` multiplies what a tier could carry."""
        factors = more or {}
        limits = [each * factors.get(tier, 1.0) for tier, each in self.limits_per_second.items()]
        return min(limits, default=None)


def attribute(states: Mapping[Tier, TierState]) -> Attribution:
    """The limiting tier: saturated, and clearly more utilised than the other saturated ones.

    With two that are equally full both limit; then the one where work queues is named.
    """
    path = [states[tier] for tier in ORDER_PATH if tier in states and states[tier].total > 0]
    work = max((each.work_per_second for each in path if each.tier is Tier.BACKENDS), default=0.0)
    work = work or max((each.work_per_second for each in path), default=0.0)
    # Where work queues, what passes now is all that passes, whatever its capacity was thought.
    # Who carries more than was thought while work waits elsewhere can do nobody knows how much.
    waits = any(each.waiting_units for each in path)
    limits = {each.tier: work / (max(1.0, each.mean) if each.queues else each.mean)
              for each in path if each.waiting_units or each.mean <= 1.0 or not waits}  # fmt: skip
    full = [each for each in path if each.is_saturated]
    if not full:
        return Attribution(None, limits)
    first = max(full, key=lambda each: (each.waiting_units > 0, each.highest))
    text = f"{first.tier}: the busiest unit is at {first.highest:.0%}"
    if first.waiting_units:
        text += f", and work waits up to {first.wait_milliseconds:.0f} ms there"
    return Attribution(first.tier, limits, text)


def is_held_back_by(states: Mapping[Tier, TierState], limiting: Tier | None, tier: Tier) -> bool:
    """Whether more units of the tier would bring nothing, as another one limits."""
    if limiting is None or limiting is tier or tier not in ORDER_PATH:
        return False
    mine, theirs = states[tier], states[limiting]
    if theirs.waiting_units and not mine.waiting_units:
        return True
    # Every backend can take every order: a busier one has connections that others could have.
    fullest = theirs.mean if limiting is Tier.BACKENDS else theirs.highest
    # Above 1 it says how much is asked for, not how much fuller it is.
    return min(1.0, fullest) > min(1.0, mine.highest) + CLEARLY
