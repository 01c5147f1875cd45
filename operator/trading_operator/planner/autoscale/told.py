"""Decisions as the status tells them, and back: what an operator that begins reads there."""

from __future__ import annotations

from collections.abc import Iterable

from trading_contract.autoscaling_status import (
    BLOCKERS_MAX,
    DECISIONS_MAX,
    HOT_SYMBOLS_MAX,
    MOVES_MAX,
    TEXT_MAX,
    BalanceStatus,
    BlockerStatus,
    DecisionStatus,
    EffectStatus,
    InputsStatus,
    MoveWishStatus,
)
from trading_contract.symbols import parse_range
from trading_operator.planner.moves import times
from trading_operator.planner.moves.selection import range_text
from trading_operator.planner.scaling.decisions import (
    Action,
    Blocker,
    Decision,
    Effect,
    History,
    Obstacle,
    Why,
)
from trading_operator.planner.scaling.layout import BalancePlan, BalanceWhy, MoveWhy, MoveWish
from trading_operator.planner.scaling.signals import Tier


def decision_told(decision: Decision) -> DecisionStatus:
    """Whole percents and operations; nothing else is lost."""
    error, cost = decision.prediction_error, decision.cost_per_month_change
    return DecisionStatus(
        tier=decision.tier.value,
        at=times.told(decision.at_seconds),
        action=decision.action.value,
        reason=decision.why.value,
        from_count=decision.from_count,
        to_count=decision.to_count,
        wanted_count=decision.wanted_count,
        inputs=_inputs_told(decision),
        blocked_by=tuple(
            BlockerStatus(reason=each.blocker.value, message=each.text[:TEXT_MAX])
            for each in decision.blocked_by[:BLOCKERS_MAX]
        ),
        expected=_effect_told(decision.expected),
        observed=_effect_told(decision.observed),
        error_percent=None if error is None else round(error * 100),
        cost_per_month_change=f"{cost:.2f}" if cost else "",
    )


def history_told(history: History) -> tuple[DecisionStatus, ...]:
    """The newest decisions, oldest first."""
    return tuple(map(decision_told, history.decisions[-DECISIONS_MAX:]))


def history_read(told: Iterable[DecisionStatus]) -> History:
    """The same decisions; what a version before or after this one wrote otherwise is left out."""
    decisions = []
    for each in told:
        try:
            decisions.append(decision_read(each))
        except ValueError:
            continue
    return History(tuple(decisions))


def decision_read(told: DecisionStatus) -> Decision:
    """Raises ValueError for a word or a time that this version does not know."""
    at_seconds = times.seconds_of(told.at)
    if at_seconds is None:
        raise ValueError(f"at: {told.at!r} is no time")
    cost = told.cost_per_month_change
    return Decision(
        Tier(told.tier), at_seconds, Action(told.action), Why(told.reason), told.from_count,
        told.to_count, told.wanted_count, _inputs_read(told.inputs),
        tuple(Obstacle(Blocker(each.reason), each.message) for each in told.blocked_by),
        _effect_read(told.expected), _effect_read(told.observed), float(cost) if cost else None,
    )  # fmt: skip


def balance_told(plan: BalancePlan, now_seconds: float) -> BalanceStatus:
    """One round of rebalancing."""
    return BalanceStatus(
        at=times.told(now_seconds),
        reason=plan.why.value,
        mean_percent=_percent(plan.mean),
        highest_percent=_percent(max(plan.utilisation.values(), default=0.0)),
        band_percent=_percent(plan.band),
        moves=tuple(map(_wish_told, plan.moves[:MOVES_MAX])),
        unsplittable_symbols=plan.unsplittable_hot_symbols[:HOT_SYMBOLS_MAX],
    )


def balance_read(told: BalanceStatus) -> BalancePlan:
    """The same, as far as it was told; raises ValueError for a word that is not known."""
    moves = tuple(map(_wish_read, told.moves))
    return BalancePlan(
        BalanceWhy(told.reason), moves, (), {"the fullest": told.highest_percent / 100},
        told.mean_percent / 100, told.band_percent / 100, told.unsplittable_symbols,
    )  # fmt: skip


def says_the_same(old: BalanceStatus | None, new: BalanceStatus) -> bool:
    """Whether only figures differ: then the old one stays, so that not every look is news."""
    return old is not None and (old.reason, old.moves, old.unsplittable_symbols) == (
        new.reason, new.moves, new.unsplittable_symbols
    )  # fmt: skip


def _wish_told(wish: MoveWish) -> MoveWishStatus:
    return MoveWishStatus(
        symbols=tuple(range_text(first, past) for first, past in wish.ranges),
        source=wish.source,
        target=wish.target,
        reason=wish.why.value,
        source_before_percent=_percent(wish.source_before),
        source_after_percent=_percent(wish.source_after),
        target_before_percent=_percent(wish.target_before),
        target_after_percent=_percent(wish.target_after),
    )


def _wish_read(told: MoveWishStatus) -> MoveWish:
    before, after = told.source_before_percent / 100, told.source_after_percent / 100
    return MoveWish(
        tuple(map(parse_range, told.symbols)), told.source, told.target, MoveWhy(told.reason),
        before - after, before, after, told.target_before_percent / 100,
        told.target_after_percent / 100,
    )  # fmt: skip


def _inputs_told(decision: Decision) -> InputsStatus | None:
    of = decision.inputs
    if not of:
        return None
    return InputsStatus(
        work_per_second=round(of["work_per_second"]),
        mean_percent=_percent(of["utilisation_mean"]),
        highest_percent=_percent(of["utilisation_highest"]),
        target_percent=_percent(of["utilisation_target"]),
        load_percent=_percent(of["load_units"]),
        expected_percent=_percent(of["load_expected_units"]),
        ready=round(of["units_ready"]),
        waiting=round(of["units_waiting"]),
        wait_microseconds=round(of["wait_milliseconds"] * 1000),
        missing_percent=_percent(of["missing_share"]),
    )


def _inputs_read(told: InputsStatus | None) -> dict[str, float]:
    if told is None:
        return {}
    return {
        "work_per_second": float(told.work_per_second),
        "utilisation_mean": told.mean_percent / 100,
        "utilisation_highest": told.highest_percent / 100,
        "utilisation_target": told.target_percent / 100,
        "load_units": told.load_percent / 100,
        "load_expected_units": told.expected_percent / 100,
        "units_ready": float(told.ready),
        "units_waiting": float(told.waiting),
        "wait_milliseconds": told.wait_microseconds / 1000,
        "missing_share": told.missing_percent / 100,
    }


def _effect_told(effect: Effect | None) -> EffectStatus | None:
    if effect is None:
        return None
    limit = effect.limit_per_second
    return EffectStatus(
        mean_percent=_percent(effect.utilisation),
        limit_per_second=None if limit is None else round(limit),
    )


def _effect_read(told: EffectStatus | None) -> Effect | None:
    if told is None:
        return None
    limit = told.limit_per_second
    return Effect(told.mean_percent / 100, None if limit is None else float(limit))


def _percent(share: float) -> int:
    return round(share * 100)
