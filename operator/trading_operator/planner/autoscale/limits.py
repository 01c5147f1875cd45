"""What a cluster cannot have although its load asks for it: only a person can give more."""

from __future__ import annotations

from trading_contract.autoscaling_status import AutoscalingStatus

# By blocker, which is the condition's reason, too.
WAYS_OUT = {
    "AtMax": "raise autoscaling.{tier}.max, or give each of them more CPU",
    "ProcessesBudget": "raise autoscaling.budget.processesMax",
    "CostBudget": "raise autoscaling.budget.costPerMonthMax",
}


def limit_of(told: AutoscalingStatus) -> tuple[str, str] | None:
    """The first limit that load has met, with the way out; None = nothing is missing."""
    for tier in told.tiers:
        for blocker in tier.decision.blocked_by if tier.decision else ():
            if (way_out := WAYS_OUT.get(blocker.reason)) is not None:
                text = f"{tier.name}: {blocker.message}: {way_out.format(tier=tier.name)}"
                return blocker.reason, text
    symbols = told.balance.unsplittable_symbols if told.balance else ()
    if symbols:
        names = ", ".join(symbols)
        text = f"{names}: fills a partition alone, and one writer is the limit: limit its orders"
        return "SymbolCannotBeSplit", text
    return None
