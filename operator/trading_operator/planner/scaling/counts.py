"""How many units a tier should have: bands, cooldowns, and what stands in the way.

Growing is quick and needs little proof, shrinking is slow and needs all of it: every unit heard,
ten minutes of less, peaks that still fit, no load expected, a time at which it is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trading_contract.policies import TierMode
from trading_operator.planner.scaling.decisions import Action, Blocker, Decision, Obstacle, Why
from trading_operator.planner.scaling.tier_case import LEAD_SECONDS, TierCase

SHRINK_BELOW = 0.90
# One look may be the beginning of a load, and of what limits it nothing may be known yet.
LOOKS_ABOVE = 2
# Cheap units that may come at once where doubling would be fewer: what a HorizontalPodAutoscaler's
# default policies allow (100 % or 4 pods, whichever is more).
CHEAP_STEP_UNITS = 4
UTILISATION_AFTER_SHRINKING_MAX = 0.70
FORECAST_SECONDS = 1800.0
COMPLETE_SECONDS = 300.0  # by chance alone one look may hear of everybody
SHRINK_SECONDS = 300.0


def wish(case: TierCase) -> Decision:
    """What load alone asks for, before budgets and benefits: a decision with its obstacles."""
    hold = Decision(
        case.tier, case.now_seconds, Action.HOLD, Why.WITHIN_BAND, case.present, case.present,
        case.present, _inputs(case),
    )  # fmt: skip
    if case.policy.mode is TierMode.OFF:
        return replace(hold, why=Why.SWITCHED_OFF)
    if case.policy.mode is TierMode.EXTERNAL:
        return replace(hold, why=Why.SCALED_BY_ANOTHER)
    if case.present < case.policy.min:
        return _grow(case, replace(hold, why=Why.FEWER_THAN_MIN), case.policy.min)
    if case.present > case.policy.max:
        return _shrink(case, replace(hold, why=Why.MORE_THAN_MAX))
    if case.state.missing_share >= 1.0 or not case.memory.averages.ids:
        missing = Obstacle(Blocker.METRICS_MISSING, "no unit has told anything to be believed")
        return replace(hold, why=Why.NOT_KNOWN_ENOUGH, blocked_by=(missing,))
    wanted = max(case.needed(case.load), case.bins + case.spares)
    ratio = case.ratio
    # Where only some queue, moves help and more units may not.
    is_queueing = 2 * case.state.waiting_units >= case.state.count.ready > 0
    is_queueing = is_queueing and case.state.mean >= 0.5
    if is_queueing and ratio > SHRINK_BELOW:
        wanted = max(wanted, case.present + 1)
    if (
        wanted > case.present
        and not case.is_falling
        and (case.memory.looks_above >= LOOKS_ABOVE or is_queueing)
    ):
        return _grow(case, replace(hold, why=_why_more(case, is_queueing=is_queueing)), wanted)
    if ratio < SHRINK_BELOW and wanted < case.present:
        return _shrink(case, replace(hold, why=Why.LOAD_BELOW_TARGET, wanted_count=wanted))
    return hold


def _why_more(case: TierCase, *, is_queueing: bool) -> Why:
    if case.needed(case.steady) > case.present:
        return Why.LOAD_ABOVE_TARGET
    if is_queueing:
        return Why.UNIT_SATURATED
    if case.needed(case.load) > case.present:
        return Why.LOAD_EXPECTED
    return Why.SLOTS_DO_NOT_FIT


def _inputs(case: TierCase) -> dict[str, float]:
    state = case.state
    return {
        "work_per_second": state.work_per_second,
        "utilisation_mean": state.mean,
        "utilisation_highest": state.highest,
        "utilisation_target": case.target,
        "load_units": case.load,
        "load_expected_units": case.expected(LEAD_SECONDS[case.tier]),
        "units_ready": float(state.count.ready),
        "units_waiting": float(state.waiting_units),
        "wait_milliseconds": state.wait_milliseconds,
        "missing_share": state.missing_share,
    }


def _grow(case: TierCase, decision: Decision, wanted: int) -> Decision:
    obstacles: list[Obstacle] = []
    if wanted > case.policy.max:
        text = f"{wanted} would be more than max {case.policy.max}"
        obstacles.append(Obstacle(Blocker.AT_MAX, text))
    is_minimum = decision.why is Why.FEWER_THAN_MIN
    if not is_minimum:
        obstacles += _cooling(case, case.policy.cooldown_seconds)
        if case.held_back:
            obstacles.append(Obstacle(Blocker.TIER_DOES_NOT_LIMIT, case.held_back))
    most = max(2 * case.present, case.present + (CHEAP_STEP_UNITS if case.is_cheap else 0))
    to = min(wanted, case.policy.max, wanted if is_minimum else most)
    stopped = {Blocker.COOLDOWN, Blocker.TIER_DOES_NOT_LIMIT} & {e.blocker for e in obstacles}
    if stopped or to <= case.present:
        to = case.present
    action = Action.GROW if to > case.present else Action.HOLD
    return replace(
        decision, action=action, to_count=to, wanted_count=wanted, blocked_by=tuple(obstacles)
    )


def _shrink(case: TierCase, decision: Decision) -> Decision:
    obstacles = tuple(_against_less(case, decision.why))
    to = case.present if obstacles else case.present - 1
    action = Action.HOLD if obstacles else Action.SHRINK
    wanted = max(min(decision.wanted_count, case.present - 1), case.policy.min)
    return replace(decision, action=action, to_count=to, wanted_count=wanted, blocked_by=obstacles)


def _against_less(case: TierCase, why: Why) -> Iterator[Obstacle]:
    state, less = case.state, case.present - 1
    if state.count.ready < case.present:
        yield Obstacle(
            Blocker.UNITS_NOT_READY, f"{state.count.ready} of {case.present} units are ready"
        )
    if case.moves_under_way:
        yield Obstacle(Blocker.MOVES_UNDER_WAY, f"{case.moves_under_way} moves are under way")
    yield from _cooling(
        case,
        max(case.policy.cooldown_seconds, min(SHRINK_SECONDS, 5 * case.policy.cooldown_seconds)),
    )
    if not case.may_shrink:
        yield Obstacle(Blocker.OUTSIDE_WINDOW, "windows and tradingHours allow no shrinking now")
    if why is Why.MORE_THAN_MAX:
        return
    if case.present <= case.policy.min:
        yield Obstacle(Blocker.AT_MIN, f"there are {case.present}, min is {case.policy.min}")
        return
    since, enough = (
        case.memory.complete_since_seconds,
        min(COMPLETE_SECONDS, case.low_seconds),
    )
    if not state.is_complete:
        text = f"{state.missing_share:.0%} of the units told nothing sound"
        yield Obstacle(Blocker.METRICS_MISSING, text)
    elif since is None or case.now_seconds - since < enough:
        text = f"within {enough:.0f} s some units told nothing sound"
        yield Obstacle(Blocker.METRICS_MISSING, text)
    yield from _against_less_load(case, less)


def _against_less_load(case: TierCase, less: int) -> Iterator[Obstacle]:
    needs, low = case.memory.needs, case.low_seconds
    highest_need = max((need for _, need in needs), default=case.present)
    is_warm = case.memory.averages.is_warm
    covered = bool(needs) and case.now_seconds - needs[0][0] >= low
    if not covered or not is_warm or highest_need > less:
        text = f"within {low:.0f} s up to {highest_need} were needed"
        if not covered or not is_warm:
            text = f"it was not watched for {low:.0f} s yet"
        yield Obstacle(Blocker.NOT_LOW_LONG_ENOUGH, text)
    soon = case.expected(FORECAST_SECONDS + LEAD_SECONDS[case.tier], FORECAST_SECONDS)
    if case.needed(soon) > less:
        text = f"within half an hour of this time {case.needed(soon)} are usually needed"
        yield Obstacle(Blocker.LOAD_EXPECTED_SOON, text)
    peak = max(case.memory.averages.peak()) / max(1, less - case.spares)
    packed = case.highest_without_one
    after = peak if packed is None else max(peak, packed)
    if after > UTILISATION_AFTER_SHRINKING_MAX or case.bins + case.spares > less:
        within = f"by the peaks of {case.window_seconds:.0f} s"
        text = f"{within} the others would be up to {after:.0%} full"
        yield Obstacle(Blocker.WOULD_NOT_FIT, text)


def _cooling(case: TierCase, seconds: float) -> Iterator[Obstacle]:
    changed = case.memory.changed_at_seconds
    if changed is None:
        return
    since = case.now_seconds - changed
    if 0 <= since < seconds:  # a change in the future is one before the clock went back
        text = f"the last change was {since:.0f} s ago, the next may come after {seconds:.0f} s"
        yield Obstacle(Blocker.COOLDOWN, text)
