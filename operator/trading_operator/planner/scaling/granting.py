"""What becomes of the wishes: budgets and benefits, the tier that limits first. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from trading_contract.costs import Counts
from trading_contract.policies import TierAutoscaling, TierMode
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.budgets import (
    affordable,
    cost_change,
    relative_cost,
    with_count,
)
from trading_operator.planner.scaling.decisions import (
    Action,
    Blocker,
    Decision,
    Obstacle,
    Why,
)
from trading_operator.planner.scaling.predictions import expected
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.scaling.tier_state import (
    ORDER_PATH,
    Attribution,
    TierCount,
    TierState,
)


def within_limits(
    spec: TradingClusterSpec, seen: Mapping[Tier, TierCount], wishes: Mapping[Tier, Decision],
    states: Mapping[Tier, TierState], attribution: Attribution,
) -> dict[Tier, Decision]:  # fmt: skip
    """The wishes after budgets and benefits. The tier that limits is served first."""
    present = {tier: seen[tier].wanted if tier in seen else 0 for tier in Tier}
    counts = Counts(*(present[tier] for tier in Tier))
    more = {
        tier: each.to_count / max(1, each.from_count)
        for tier, each in wishes.items()
        if each.action is Action.GROW and tier in ORDER_PATH
    }
    done: dict[Tier, Decision] = {}
    for tier in sorted(wishes, key=lambda each: (each is not attribution.limiting, each)):
        decision = wishes[tier]
        if decision.action is Action.GROW:
            decision = _grown(spec, counts, decision, attribution, more)
        if decision.is_change:
            then = with_count(counts, tier, decision.to_count)
            decision = replace(
                decision,
                expected=expected(decision, states[tier], attribution, more),
                cost_per_month_change=cost_change(spec, counts, then),
            )
            policy: TierAutoscaling = getattr(spec.autoscaling, tier.value)
            if policy.mode is TierMode.DRY_RUN:
                dry = Obstacle(Blocker.DRY_RUN, "mode is dryRun: it is told, not done")
                decision = replace(decision, blocked_by=(*decision.blocked_by, dry))
            else:
                counts = then
        done[tier] = decision
    return done


def _grown(
    spec: TradingClusterSpec, counts: Counts, decision: Decision, attribution: Attribution,
    more: Mapping[Tier, float],
) -> Decision:  # fmt: skip
    tier = decision.tier
    to, obstacles = affordable(spec, counts, tier, decision.to_count)
    if to > decision.from_count and decision.why is not Why.FEWER_THAN_MIN:
        small = _benefit_obstacle(spec, counts, replace(decision, to_count=to), attribution, more)
        if small is not None:
            to, obstacles = decision.from_count, (*obstacles, small)
    action = Action.GROW if to > decision.from_count else Action.HOLD
    return replace(
        decision, to_count=to, action=action, blocked_by=(*decision.blocked_by, *obstacles)
    )


def _benefit_obstacle(
    spec: TradingClusterSpec, counts: Counts, decision: Decision, attribution: Attribution,
    more: Mapping[Tier, float],
) -> Obstacle | None:  # fmt: skip
    """Why another unit brings too little, if it does: gain in throughput over rise in cost."""
    tier = decision.tier
    with_it = attribution.limit({**more, tier: decision.to_count / max(1, decision.from_count)})
    without = attribution.limit({key: each for key, each in more.items() if key is not tier})
    if tier not in ORDER_PATH or with_it is None or not without:
        return None
    gain = with_it / without - 1
    cost = relative_cost(spec, counts, with_count(counts, tier, decision.to_count))
    least = spec.autoscaling.benefit_per_cost_percent_min
    if gain * 100 >= least * cost:
        return None
    text = (
        f"{decision.to_count} would raise what the cluster can carry by {gain:.1%} and its cost by "
        f"{cost:.1%}; benefitPerCostPercentMin is {least}"
    )
    return Obstacle(Blocker.BENEFIT_TOO_SMALL, text)
