"""What growing costs, and how far the budgets let it go."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from trading_contract.costs import Counts, cost_per_month, processes
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.decisions import Blocker, Obstacle
from trading_operator.planner.scaling.signals import Tier


def with_count(counts: Counts, tier: Tier, count: int) -> Counts:
    """The counts with another one for the tier."""
    return replace(counts, **{tier.value: count})


def affordable(
    spec: TradingClusterSpec, counts: Counts, tier: Tier, wanted: int
) -> tuple[int, tuple[Obstacle, ...]]:
    """The largest number up to `wanted`, never below the present one, and what forbids more."""
    budget, present = spec.autoscaling.budget, getattr(counts, tier.value)
    obstacles: dict[Blocker, Obstacle] = {}
    count = wanted
    while count > present:
        then = with_count(counts, tier, count)
        obstacle = _exceeds(spec, then, budget.processes_max, budget.cost_per_month_max)
        if obstacle is None:
            break
        obstacles[obstacle.blocker] = obstacle
        count -= 1
    return max(count, min(wanted, present)), tuple(obstacles.values())


def _exceeds(
    spec: TradingClusterSpec, counts: Counts, processes_max: int | None, cost_max: str | None
) -> Obstacle | None:
    number = processes(spec, counts)
    if processes_max is not None and number > processes_max:
        text = f"{number} processes would be more than budget.processesMax {processes_max}"
        return Obstacle(Blocker.PROCESSES_BUDGET, text)
    cost = cost_per_month(spec, counts)
    if cost_max is not None and cost is not None and cost > Decimal(cost_max):
        text = (
            f"{cost} {spec.prices.currency} a month would be more than "
            f"budget.costPerMonthMax {cost_max}"
        )
        return Obstacle(Blocker.COST_BUDGET, text)
    return None


def relative_cost(spec: TradingClusterSpec, before: Counts, after: Counts) -> float:
    """By what share a change makes the cluster dearer; by processes where no prices are known."""
    then, now = cost_per_month(spec, after), cost_per_month(spec, before)
    if then is None or not now:
        return processes(spec, after) / max(1, processes(spec, before)) - 1
    return float(then / now) - 1


def cost_change(spec: TradingClusterSpec, before: Counts, after: Counts) -> float | None:
    """What a change costs more per month; None without prices."""
    then, now = cost_per_month(spec, after), cost_per_month(spec, before)
    return None if then is None or now is None else float(then - now)
