"""Decisions in a person's words: what was done or not, why, and what stood in the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from trading_operator.planner.scaling.decisions import Action, Decision, History, Why
from trading_operator.planner.scaling.layout import BalancePlan, BalanceWhy
from trading_operator.planner.scaling.signals import Tier

_WHY = {
    Why.WITHIN_BAND: "the load is within the band around the target",
    Why.LOAD_ABOVE_TARGET: "there is more load than they should carry",
    Why.UNIT_SATURATED: "work queues at one of them",
    Why.LOAD_EXPECTED: "this time of day usually brings more",
    Why.SLOTS_DO_NOT_FIT: "the symbol ranges do not pack into fewer",
    Why.LOAD_BELOW_TARGET: "there is less load than they could carry",
    Why.FEWER_THAN_MIN: "there are fewer than min",
    Why.MORE_THAN_MAX: "there are more than max",
    Why.NOT_KNOWN_ENOUGH: "too little is known",
    Why.SWITCHED_OFF: "mode is off: the count of the specification holds",
    Why.SCALED_BY_ANOTHER: "mode is external: somebody else's autoscaler sets the number",
}
_BALANCE = {
    BalanceWhy.BALANCED: "every partition is within the band",
    BalanceWhy.MOVES_WANTED: "partitions are outside the band",
    BalanceWhy.SWITCHED_OFF: "rebalancing.mode is off",
    BalanceWhy.NOT_WORTH_IT: "even the fullest partition has little to do",
    BalanceWhy.TOO_LITTLE_KNOWN: "too many partitions told nothing that can be believed",
    BalanceWhy.JUST_FAILED: "a move has just failed; it is tried again in a while",
    BalanceWhy.TOO_MANY_FAILED: "two of the last five moves failed: a person should look first",
    BalanceWhy.BUDGET_SPENT: "movesPerHourMax is spent",
    BalanceWhy.OUTSIDE_WINDOW: "none of rebalancing.windows is open",
    BalanceWhy.MOVES_UNDER_WAY: "as many moves are under way as parallelMovesMax allows",
    BalanceWhy.LOOKING: "a partition is above the band, but not for long enough yet",
    BalanceWhy.OPTIONS_EXHAUSTED: "a partition is above the band, and no move would help",
    BalanceWhy.WOULD_BREAK: "the moves would have broken an invariant, so none is made",
}


_SHARD_BALANCE = _BALANCE | {
    BalanceWhy.BALANCED: "every shard is within the band",
    BalanceWhy.MOVES_WANTED: "a shard has been above the band for long enough",
    BalanceWhy.TIER_SWITCHED_OFF: "autoscaling.shards.mode is off, so load moves nothing there",
    BalanceWhy.NOT_WORTH_IT: "even the fullest shard has little to do",
    BalanceWhy.TOO_LITTLE_KNOWN: "a shard told nothing that can be believed, or was not watched "
    "for long enough yet",
    BalanceWhy.SHARDS_CHANGE: "a shard comes, goes, is not ready, or did so lately",
    BalanceWhy.MOVES_UNDER_WAY: "a move between shards is under way, and there is one at a time",
    BalanceWhy.PARTITIONS_FIRST: "ranges move between partitions first",
    BalanceWhy.RESTING: "a shard is above the band, but a move has just changed it",
    BalanceWhy.LOOKING: "a shard came above the band, but has not been there for long enough",
    BalanceWhy.OPTIONS_EXHAUSTED: "a shard is above the band, and no move would help: what fits "
    "nowhere stays, and so does what was moved within the hour",
}


def explain(decision: Decision) -> str:
    """One decision, in a few lines."""
    return "\n".join(_lines(decision))


def explain_at(history: History, tier: Tier, at_seconds: float) -> str:
    """Why the tier was as it was at that time, as far as the history reaches."""
    decision = history.last(tier, at_seconds)
    if decision is None:
        return f"{tier}: nothing is known of {_time(at_seconds)}; the history does not reach back"
    return explain(decision)


def explain_balance(plan: BalancePlan, tier: Tier = Tier.PARTITIONS) -> str:
    """The round of rebalancing, with the moves it asks for."""
    why = _SHARD_BALANCE if tier is Tier.SHARDS else _BALANCE
    head = "rebalancing of shards" if tier is Tier.SHARDS else "rebalancing"
    lines = [f"{head}: {why[plan.why]}."]
    if plan.mean:
        lines.append(
            f"  {tier.capitalize()} use {plan.mean:.0%} on average, the fullest "
            f"{max(plan.utilisation.values()):.0%}; the band is {plan.band:.0%} wide."
        )
    lines += [
        f"  {', '.join(f'{first}..{past}' for first, past in move.ranges)}: {move.source} "
        f"({move.source_before:.0%} to {move.source_after:.0%}) gives to {move.target} "
        f"({move.target_before:.0%} to {move.target_after:.0%}); {move.why}."
        for move in plan.moves
    ]
    lines += [
        f"  {name} fills a partition alone and cannot be split: one writer is the limit. Give "
        "partitions faster cores, or limit the rate of its orders."
        for name in plan.unsplittable_hot_symbols
    ]
    return "\n".join(lines)


def _lines(decision: Decision) -> Iterator[str]:
    tier, inputs = decision.tier, decision.inputs
    if decision.action is Action.HOLD:
        head = f"{tier}: {decision.from_count}, unchanged"
    else:
        word = "more" if decision.action is Action.GROW else "fewer"
        verb = "would become" if decision.is_dry else "become"
        head = f"{tier}: {decision.from_count} {verb} {decision.to_count}, {word}"
    yield f"{head} ({_time(decision.at_seconds)}): {_WHY[decision.why]}."
    if decision.why not in {Why.SWITCHED_OFF, Why.SCALED_BY_ANOTHER, Why.NOT_KNOWN_ENOUGH}:
        yield (
            f"  They use {inputs.get('utilisation_mean', 0):.0%} of their capacity on average, the "
            f"busiest {inputs.get('utilisation_highest', 0):.0%}; the target is "
            f"{inputs.get('utilisation_target', 0):.0%}, at "
            f"{inputs.get('work_per_second', 0):,.0f} operations a second."
        )
    if decision.wanted_count != decision.to_count and decision.blocked_by:
        yield f"  Load alone asks for {decision.wanted_count}. What stands in the way:"
    yield from (f"  - {each.blocker}: {each.text}." for each in decision.blocked_by)
    if decision.expected is not None:
        yield _effects(decision)
    if decision.cost_per_month_change:
        yield f"  It changes the estimated cost by {decision.cost_per_month_change:+,.2f} a month."


def _effects(decision: Decision) -> str:
    assert decision.expected is not None
    text = f"  Expected: {decision.expected.utilisation:.0%} on average"
    if decision.expected.limit_per_second is not None:
        text += f", room for {decision.expected.limit_per_second:,.0f} orders a second"
    if decision.observed is None:
        return text + "; what it brought is not known yet."
    error = decision.prediction_error
    off = "" if error is None else f", {error:+.0%} off"
    return f"{text}. Observed at the same load: {decision.observed.utilisation:.0%}{off}."


def _time(at_seconds: float) -> str:
    return datetime.fromtimestamp(at_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
