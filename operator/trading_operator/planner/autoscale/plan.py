"""One pass over one cluster: the counts in effect, new ones, moves, and what the status says.

A decision is made once for each look at the load. Its counts are in effect from the next pass on,
as by then the status that tells them was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trading_contract.autoscaling_status import (
    AutoscalingStatus,
    BalanceStatus,
    TierScalingStatus,
)
from trading_contract.costs import Counts, cores_of
from trading_contract.policies import PolicyMode
from trading_contract.tradingcluster import TradingCluster, TradingClusterSpec
from trading_operator.planner.autoscale.counts import (
    counts_in_effect,
    counts_said,
    is_watched,
    policy_of,
    scales,
    with_counts,
)
from trading_operator.planner.autoscale.told import (
    balance_told,
    decision_told,
    history_read,
    history_told,
    says_the_same,
)
from trading_operator.planner.autoscale.world import Sight, scaling_world
from trading_operator.planner.moves.asking import Asks
from trading_operator.planner.moves.times import told as told_time
from trading_operator.planner.scaling.capacity import sized_capacities
from trading_operator.planner.scaling.decisions import Decision, History
from trading_operator.planner.scaling.explain import explain
from trading_operator.planner.scaling.layout import BalancePlan, MoveWhy, MoveWish
from trading_operator.planner.scaling.memory import Memory, after_restart
from trading_operator.planner.scaling.plan import ScalingPlan, plan_scaling
from trading_operator.planner.scaling.signals import Tier

SHOWN_SECONDS = 30.0  # the figures of a decision that holds on
LOAD_TELLING_MIN = 0.1  # of a partition


@dataclass(frozen=True)
class ScaleMemory:
    """What is kept between two passes; without it, the status tells where to go on.

    `counts` are those in effect; `looked_at_seconds` is the time of the newest look that was
    decided about; `shown` are the decisions that the status tells.
    """

    counts: Mapping[Tier, int]
    planner: Memory = field(default_factory=Memory)
    looked_at_seconds: float | None = None
    limiting: str = ""
    balance: BalanceStatus | None = None
    shown: Mapping[Tier, Decision] = field(default_factory=dict)
    shard_balance: BalanceStatus | None = None


@dataclass(frozen=True)
class Scaled:
    """What load asks of the moves now; `memory` and `status` are None where nothing scales."""

    asks: Asks = field(default_factory=Asks)
    memory: ScaleMemory | None = None
    status: AutoscalingStatus | None = None


def remembered(
    cluster: TradingCluster, memory: ScaleMemory | None, said: AutoscalingStatus | None,
    there: Mapping[Tier, int],
) -> ScaleMemory | None:  # fmt: skip
    """What this pass begins with; None where the specification asks for no decision.

    `said` is the last status, `there` how many units of each tier are there.
    """
    spec, fresh = cluster.spec, sized_capacities(_cores(cluster.spec))
    if not is_watched(spec):
        return None
    if memory is None:
        planner = after_restart(history_read(said.history) if said else History())
        counts = counts_in_effect(spec, counts_said(said), there)
        balance = said.balance if said else None
        planner = replace(planner, capacities=fresh)
        return ScaleMemory(
            counts, planner, balance=balance, shard_balance=said.shard_balance if said else None
        )
    planner = memory.planner
    if planner.capacities.defaults != fresh.defaults:  # units of another size
        planner = replace(planner, capacities=fresh)
    counts = counts_in_effect(spec, memory.counts, there)
    return replace(memory, counts=counts, planner=planner)


def in_effect(cluster: TradingCluster, memory: ScaleMemory | None) -> TradingCluster:
    """The cluster as if its specification asked for the counts in effect."""
    return cluster if memory is None else with_counts(cluster, memory.counts)


def scale(memory: ScaleMemory | None, sight: Sight, now_seconds: float) -> Scaled:
    """What load asks for. Without a new look at it, what was said before."""
    if memory is None:
        return Scaled()
    load, topology = sight.observed.load, sight.observed.topology
    is_new = load is not None and load.at_seconds != memory.looked_at_seconds
    is_at_rest = sight.spec.paused or sight.spec.hibernated or not sight.is_at_work
    if load is None or not is_new or topology is None or is_at_rest:
        return Scaled(_asks(sight.spec, memory), memory, _status(sight.spec, memory))
    world = scaling_world(sight, load.rates, now_seconds)
    plan = plan_scaling(sight.spec, world, memory.planner, now_seconds)
    counts = {**memory.counts, **plan.counts}
    balance = _newest(memory.balance, plan.balance, now_seconds)
    shards = None
    if plan.shard_balance is not None:
        shards = _newest(memory.shard_balance, plan.shard_balance, now_seconds)
    limiting = plan.attribution.limiting
    memory = ScaleMemory(
        counts, plan.memory, load.at_seconds, limiting.value if limiting else "", balance,
        {tier: _shown(memory.shown.get(tier), each) for tier, each in plan.decisions.items()},
        shards,
    )  # fmt: skip
    asks = _asks(sight.spec, memory, _wishes(sight.spec, plan))
    return Scaled(asks, memory, _status(sight.spec, memory))


def _newest(old: BalanceStatus | None, plan: BalancePlan, now_seconds: float) -> BalanceStatus:
    """The old one while only figures differ."""
    new = balance_told(plan, now_seconds)
    return old if old is not None and says_the_same(old, new) else new


def _shown(old: Decision | None, new: Decision) -> Decision:
    """The old one for a while if it is of the same kind: not every figure is news."""
    if old is None or old.kind != new.kind:
        return new
    return old if 0 <= new.at_seconds - old.at_seconds < SHOWN_SECONDS else new


def _wishes(spec: TradingClusterSpec, plan: ScalingPlan) -> tuple[MoveWish, ...]:
    """Who leaves is emptied by turning over, whatever the loads."""
    if spec.rebalancing.mode is not PolicyMode.ON:
        return ()
    wishes = [wish for wish in plan.balance.moves if wish.why is not MoveWhy.LEAVING]
    if plan.shard_balance is not None and scales(spec, Tier.SHARDS):
        wishes += plan.shard_balance.moves
    return tuple(wishes)


def news(before: AutoscalingStatus | None, after: AutoscalingStatus | None) -> list[str]:
    """In words, decisions to change a count that `after` tells and `before` did not."""
    old = {(each.tier, each.at) for each in before.history} if before else set()
    told = after.history if after else ()
    return [
        explain(decision) for decision in history_read(told).decisions
        if decision.is_change and (decision.tier.value, told_time(decision.at_seconds)) not in old
    ]  # fmt: skip


def _asks(spec: TradingClusterSpec, memory: ScaleMemory, wishes: tuple[MoveWish, ...] = ()) -> Asks:
    """The wishes, and the loads by which whoever is new gets its share."""
    slots, capacity = memory.planner.slots, memory.planner.capacities.of(Tier.PARTITIONS)
    loads = dict(zip(slots.ids, slots.steady(), strict=True))
    if sum(loads.values()) < LOAD_TELLING_MIN * capacity:
        loads = {}  # chance would decide
    spares = spec.autoscaling.partitions.warm_spares if scales(spec, Tier.PARTITIONS) else 0
    return Asks(wishes, loads, spares)


def _cores(spec: TradingClusterSpec) -> dict[Tier, float]:
    """What one unit asks for."""
    return {
        Tier.REDIS: float(cores_of(spec.redis.resources.cpu)),
        Tier.SHARDS: float(cores_of(spec.shards.resources.cpu)),
        Tier.BACKENDS: float(cores_of(spec.backends.resources.cpu)),
        Tier.PARTITIONS: float(cores_of(spec.partitions.resources.cpu)),
    }


def _status(spec: TradingClusterSpec, memory: ScaleMemory) -> AutoscalingStatus:
    history = memory.planner.history
    return AutoscalingStatus(
        limiting=memory.limiting,
        tiers=tuple(_tier(spec, tier, memory) for tier in Tier),
        balance=memory.balance,
        shard_balance=memory.shard_balance,
        history=history_told(history),
    )


def _tier(spec: TradingClusterSpec, tier: Tier, memory: ScaleMemory) -> TierScalingStatus:
    decision = memory.shown.get(tier) or memory.planner.history.last(tier)
    return TierScalingStatus(
        name=tier.value,
        mode=policy_of(spec, tier).mode.value,
        count=memory.counts[tier] if scales(spec, tier) else getattr(Counts.of(spec), tier.value),
        decision=decision_told(decision) if decision else None,
    )
