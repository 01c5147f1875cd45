"""What another number of units will use, and what it came to use. Pure.

Work divides, commits do not: a unit with half of the commands makes more than half of the commits,
each with fewer commands, and a commit costs about as much whatever is in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from trading_operator.planner.scaling.decisions import Decision, Effect, History
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.scaling.tier_state import ORDER_PATH, Attribution, TierState

COMMIT_COST = 100.0  # of a partition's CPU, in commands
STEPS = 40  # of halving: exact enough for any batch


def expected(
    decision: Decision, state: TierState, attribution: Attribution, more: Mapping[Tier, float]
) -> Effect:
    """What the change will bring at the work of now, and then be left of the order path's room.

    `more` says how many times as many units the tiers of the order path will have.
    """
    factor = decision.to_count / max(1, decision.from_count)
    factors = {**more, decision.tier: factor} if decision.tier in ORDER_PATH else dict(more)
    used = state.total / max(1, decision.to_count)
    return Effect(used * overhead(state.batch, 1 / factor), attribution.limit(factors))


def remember(
    history: History, decisions: Mapping[Tier, Decision], states: Mapping[Tier, TierState],
    attribution: Attribution, now_seconds: float,
) -> History:  # fmt: skip
    """The history with these decisions, and with what earlier ones have brought meanwhile.

    That is told at the work of the time of the decision: that the load went on changing is no
    error of the prediction.
    """
    for tier, decision in decisions.items():
        state = states[tier]
        due, work = history.unobserved(tier, now_seconds), state.work_per_second
        then = due.inputs.get("work_per_second", 0.0) if due else 0.0
        if due and state.is_complete and not decision.is_change and work > 0 and then > 0:
            factor = then / work
            used = state.mean * factor * overhead(state.batch, factor)
            history = history.with_observed(due, Effect(used, attribution.limit()))
        history = history.with_decision(decision)
    return history


def overhead(batch: float | None, factor: float) -> float:
    """What one command will cost over what it costs, at `factor` times as many for each unit.

    `batch` is the number of commands in a commit now; None = nothing is known of commits.
    """
    if batch is None or factor <= 0:
        return 1.0
    return _cost(_batch(_arrivals(batch) * factor)) / _cost(max(1.0, batch))


def at_batch(of: float | None, batch: float | None) -> float:
    """What a command that is one of `batch` in its commit would cost in one of `of`, over that."""
    if of is None or batch is None:
        return 1.0
    return _cost(max(1.0, of)) / _cost(max(1.0, batch))


def _cost(batch: float) -> float:
    return 1.0 + COMMIT_COST / batch


def _batch(arrivals: float) -> float:
    """Commands in a commit if so many arrive, by chance, while one is made.

    What arrives meanwhile is in the next; if nothing does, the next one has a single command.
    """
    return arrivals + math.exp(-arrivals)


def _arrivals(batch: float) -> float:
    """The other way round."""
    low, high = max(0.0, batch - 1.0), max(0.0, batch)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _batch(middle) < batch else (low, middle)
    return high if batch > 1.0 else 0.0
