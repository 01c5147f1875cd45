"""How many units a tier should have: bands, cooldowns, and what stands in the way.

Growing is quick and needs little proof, shrinking is slow and needs all of it: every unit heard,
ten minutes of less, peaks that still fit, no load expected, a time at which it is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from trading_contract.policies import TierAutoscaling, TierMode
from trading_operator.planner.scaling.averages import WINDOW_SECONDS
from trading_operator.planner.scaling.capacity import SATURATED
from trading_operator.planner.scaling.decisions import Action, Blocker, Decision, Obstacle, Why
from trading_operator.planner.scaling.memory import TierMemory
from trading_operator.planner.scaling.predictions import overhead
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.scaling.tier_state import TierState

GROW_ABOVE = 1.10  # of the target
SHRINK_BELOW = 0.90
LOOKS_ABOVE = 2
# Cheap units that may come at once where doubling would be fewer: what a HorizontalPodAutoscaler's
# default policies allow (100 % or 4 pods, whichever is more).
STEP_UNITS = {Tier.BACKENDS: 4, Tier.PARTITIONS: 4}
FALLING = 0.8  # of the steady load: whoever grows now grows for what is over
UTILISATION_AFTER_SHRINKING_MAX = 0.70
FORECAST_SECONDS = 1800.0
NEEDS_SECONDS = 600.0  # of that window
WATCH_GAP_SECONDS = 60.0
COMPLETE_SECONDS = 300.0  # by chance alone one look may hear of everybody
SHRINK_SECONDS = 300.0
# From the decision to the work that the new unit takes.
LEAD_SECONDS = {Tier.BACKENDS: 60.0, Tier.PARTITIONS: 120.0, Tier.SHARDS: 1800.0, Tier.REDIS: 600.0}


@dataclass(frozen=True)
class TierCase:
    """All that the decision about one tier depends on.

    `bins` are the units that its pieces need when they are packed, 0 where pieces do not matter;
    `highest_without_one` the highest utilisation when the last unit's pieces go to the others.
    """

    policy: TierAutoscaling
    state: TierState
    memory: TierMemory
    now_seconds: float
    bins: int = 0
    spares: int = 0
    highest_without_one: float | None = None
    may_shrink: bool = True
    moves_under_way: int = 0
    held_back: str = ""
    window_seconds: float = WINDOW_SECONDS

    @property
    def low_seconds(self) -> float:
        """For how long there must have been less."""
        share = self.window_seconds * NEEDS_SECONDS / WINDOW_SECONDS
        return min(share, NEEDS_SECONDS, 10.0 * self.policy.cooldown_seconds)

    @property
    def tier(self) -> Tier:
        """Which tier it is."""
        return self.state.tier

    @property
    def present(self) -> int:
        """How many units there should be now."""
        return self.state.count.wanted

    @property
    def target(self) -> float:
        """Utilisation to aim for."""
        return self.policy.target_utilization_percent / 100

    @property
    def load(self) -> float:
        """Units' worth of work to plan for: steady, or expected within the lead."""
        return max(self.steady, self.expected(LEAD_SECONDS[self.tier]))

    @property
    def steady(self) -> float:
        """Units' worth of work by the averages; the fast one where the tier is nearly full."""
        averages = self.memory.averages
        if not averages.ids:
            return self.state.total
        return averages.steady(emergency=self.is_emergency)[0]

    @property
    def is_falling(self) -> bool:
        """Whether there is clearly less to do now than the averages say, and none is expected."""
        averages = self.memory.averages
        now = averages.fast[0] if averages.fast else self.state.total
        return max(now, self.expected(LEAD_SECONDS[self.tier])) < FALLING * self.steady

    @property
    def is_emergency(self) -> bool:
        """Whether the units together are nearly full by the fast average."""
        fast = self.memory.averages.fast
        return bool(fast) and fast[0] / max(1, self.present) > SATURATED

    def expected(self, ahead_seconds: float, behind_seconds: float = 0.0) -> float:
        """Units' worth of work that the time of day usually brings."""
        return self.memory.profile.expected(
            self.now_seconds - behind_seconds, self.now_seconds + ahead_seconds
        )

    def needed(self, load: float) -> int:
        """Units for that much work at the target, with the spares.

        More units than now make more commits of the same work (`predictions.overhead`).
        """
        count = max(1, math.ceil(round(load / self.target, 6)))
        working = max(1, self.present - self.spares)
        if count > working:
            most = max(count, 2 * working)  # it grows no further at once
            while count < most and self._used(load, working, count) > self.target:
                count += 1
        return count + self.spares

    def _used(self, load: float, working: int, count: int) -> float:
        return load / count * overhead(self.state.batch, working / count)


def with_need(case: TierCase) -> TierCase:
    """The case with this look's need remembered, and for how many looks it was too much."""
    before, complete_since = case.memory.needs, case.memory.complete_since_seconds
    if before and case.now_seconds - before[-1][0] > WATCH_GAP_SECONDS:
        before, complete_since = (), None  # nobody watched, or the clock jumped
    needs = (*before, (case.now_seconds, case.needed(case.load)))
    since = case.now_seconds - case.low_seconds
    # One that is older than the window stays: it tells that the window is covered.
    while len(needs) > 2 and needs[1][0] <= since:
        needs = needs[1:]
    needs = tuple(each for each in needs if each[0] <= case.now_seconds)
    if not case.state.is_complete:
        complete_since = None
    elif complete_since is None or complete_since > case.now_seconds:
        complete_since = case.now_seconds
    is_above = _ratio(case) > GROW_ABOVE or case.bins + case.spares > case.present
    looks = case.memory.looks_above + 1 if is_above else 0
    memory = replace(
        case.memory, needs=needs, looks_above=looks, complete_since_seconds=complete_since
    )
    return replace(case, memory=memory)


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
    ratio = _ratio(case)
    # Where only some queue, moves help and more units may not.
    is_queueing = 2 * case.state.waiting_units >= case.state.count.ready > 0
    is_queueing = is_queueing and case.state.mean >= 0.5
    if is_queueing and ratio > SHRINK_BELOW:
        wanted = max(wanted, case.present + 1)
    if (
        wanted > case.present
        and not case.is_falling
        and (case.memory.looks_above >= LOOKS_ABOVE or case.is_emergency or is_queueing)
    ):
        return _grow(case, replace(hold, why=_why_more(case, is_queueing=is_queueing)), wanted)
    if ratio < SHRINK_BELOW and wanted < case.present:
        return _shrink(case, replace(hold, why=Why.LOAD_BELOW_TARGET, wanted_count=wanted))
    return hold


def _ratio(case: TierCase) -> float:
    return case.load / (case.target * max(1, case.present - case.spares))


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
    most = max(2 * case.present, case.present + STEP_UNITS.get(case.tier, 0))
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
