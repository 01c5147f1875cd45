"""The counts in effect: what load has made of the counts in the specification, which stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trading_contract.autoscaling_status import AutoscalingStatus
from trading_contract.costs import Counts
from trading_contract.policies import PolicyMode, TierAutoscaling, TierMode
from trading_contract.tradingcluster import TradingCluster, TradingClusterSpec
from trading_operator.planner.observed import Role
from trading_operator.planner.scaling.signals import Tier

ROLES: Mapping[Tier, Role] = {
    Tier.BACKENDS: Role.REPLICA,
    Tier.PARTITIONS: Role.PARTITION,
    Tier.SHARDS: Role.SHARD,
    Tier.REDIS: Role.NODE,
}
WATCHED = frozenset({TierMode.ON, TierMode.DRY_RUN, TierMode.EXTERNAL})


def policy_of(spec: TradingClusterSpec, tier: Tier) -> TierAutoscaling:
    """How a tier follows its load."""
    policy: TierAutoscaling = getattr(spec.autoscaling, tier.value)
    return policy


def scales(spec: TradingClusterSpec, tier: Tier) -> bool:
    """Whether load sets the count of a tier."""
    return policy_of(spec, tier).mode is TierMode.ON


def is_watched(spec: TradingClusterSpec) -> bool:
    """Whether the specification asks for any decision, be it only told."""
    modes = {policy_of(spec, tier).mode for tier in Tier}
    return bool(modes & WATCHED) or spec.rebalancing.mode is not PolicyMode.OFF


def counts_in_effect(
    spec: TradingClusterSpec, decided: Mapping[Tier, int], there: Mapping[Tier, int]
) -> dict[Tier, int]:
    """Units of each tier that there should be now.

    Where load sets the count: the one that was `decided`; else as many as are `there` (the status
    was lost; 0 = none yet), else that of the specification, within min and max.
    """
    wished = Counts.of(spec)
    counts = {tier: int(getattr(wished, tier.value)) for tier in Tier}
    for tier in Tier:
        if not scales(spec, tier):
            continue
        policy = policy_of(spec, tier)
        first = min(max(counts[tier], policy.min), policy.max)
        count = decided.get(tier, 0) or there.get(tier, 0) or first
        counts[tier] = max(count, _undrained(spec, tier))
    return counts


def counts_said(said: AutoscalingStatus | None) -> dict[Tier, int]:
    """The counts that a status tells."""
    counts = {tier: said.count(tier.value) if said else None for tier in Tier}
    return {tier: count for tier, count in counts.items() if count}


def _undrained(spec: TradingClusterSpec, tier: Tier) -> int:
    """With fewer units than this, only drained ones would be left."""
    drained = getattr(getattr(spec, tier.value), "drained", ())
    return next(n + 1 for n in range(len(drained) + 1) if f"{ROLES[tier]}-{n}" not in drained)


def with_counts(cluster: TradingCluster, counts: Mapping[Tier, int]) -> TradingCluster:
    """The cluster as if its specification asked for these counts."""
    spec = cluster.spec
    parts = {
        "backends": spec.backends.model_copy(update={"replicas": counts[Tier.BACKENDS]}),
        "partitions": spec.partitions.model_copy(update={"count": counts[Tier.PARTITIONS]}),
        "shards": spec.shards.model_copy(update={"count": counts[Tier.SHARDS]}),
        "redis": spec.redis.model_copy(update={"masters": counts[Tier.REDIS]}),
    }
    if all(getattr(spec, name) == part for name, part in parts.items()):
        return cluster
    return cluster.model_copy(update={"spec": spec.model_copy(update=parts)})


def highest(names: Iterable[str], tier: Tier) -> int:
    """How many units the names with the highest number stand for; 0 = none of the tier."""
    mine = (name.rpartition("-") for name in names if name.startswith(f"{ROLES[tier]}-"))
    return max((int(number) + 1 for _, _, number in mine if number.isdigit()), default=0)


def most(spec: TradingClusterSpec, tier: Tier) -> int:
    """As many units of a tier as there may ever be under this specification."""
    count = int(getattr(Counts.of(spec), tier.value))
    return max(count, policy_of(spec, tier).max) if scales(spec, tier) else count
