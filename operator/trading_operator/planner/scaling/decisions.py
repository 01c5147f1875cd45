"""What was decided for a tier, why, from what, what stood in the way, and what it should bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from trading_operator.planner.scaling.signals import Tier

HISTORY_MAX = 100
SETTLING_SECONDS = 120.0  # from a change to the look that tells what it brought


class Action(StrEnum):
    """What becomes of the number of units."""

    HOLD = "Hold"
    GROW = "Grow"
    SHRINK = "Shrink"


class Why(StrEnum):
    """Why; a machine may compare them, so none is ever renamed."""

    WITHIN_BAND = "WithinBand"
    LOAD_ABOVE_TARGET = "LoadAboveTarget"
    UNIT_SATURATED = "UnitSaturated"
    LOAD_EXPECTED = "LoadExpected"
    SLOTS_DO_NOT_FIT = "SlotsDoNotFit"
    LOAD_BELOW_TARGET = "LoadBelowTarget"
    FEWER_THAN_MIN = "FewerThanMin"
    MORE_THAN_MAX = "MoreThanMax"
    NOT_KNOWN_ENOUGH = "NotKnownEnough"
    SWITCHED_OFF = "SwitchedOff"
    SCALED_BY_ANOTHER = "ScaledByAnother"


class Blocker(StrEnum):
    """What stood in the way of more or of fewer; none is ever renamed."""

    DRY_RUN = "DryRun"
    METRICS_MISSING = "MetricsMissing"
    TIER_DOES_NOT_LIMIT = "TierDoesNotLimit"
    BENEFIT_TOO_SMALL = "BenefitTooSmall"
    COOLDOWN = "Cooldown"
    AT_MAX = "AtMax"
    AT_MIN = "AtMin"
    PROCESSES_BUDGET = "ProcessesBudget"
    COST_BUDGET = "CostBudget"
    OUTSIDE_WINDOW = "OutsideWindow"
    LOAD_EXPECTED_SOON = "LoadExpectedSoon"
    NOT_LOW_LONG_ENOUGH = "NotLowLongEnough"
    WOULD_NOT_FIT = "WouldNotFit"
    UNITS_NOT_READY = "UnitsNotReady"
    MOVES_UNDER_WAY = "MovesUnderWay"
    BEING_EMPTIED = "BeingEmptied"


@dataclass(frozen=True)
class Obstacle:
    """One blocker with the figures, for people."""

    blocker: Blocker
    text: str


@dataclass(frozen=True)
class Effect:
    """What a change brings, at the work of the time of the decision.

    `utilisation` is the mean of the tier; `limit_per_second` the work at which the first tier of
    the order path would be full.
    """

    utilisation: float
    limit_per_second: float | None = None


@dataclass(frozen=True)
class Decision:
    """One decision about one tier.

    `from_count` and `to_count` differ only when something is done (or would be, in a dry run);
    `wanted_count` is what load alone asks for.
    """

    tier: Tier
    at_seconds: float
    action: Action
    why: Why
    from_count: int
    to_count: int
    wanted_count: int
    inputs: Mapping[str, float] = field(default_factory=dict)
    blocked_by: tuple[Obstacle, ...] = ()
    expected: Effect | None = None
    observed: Effect | None = None
    cost_per_month_change: float | None = None

    @property
    def is_dry(self) -> bool:
        """Whether it only tells what would be done."""
        return any(each.blocker is Blocker.DRY_RUN for each in self.blocked_by)

    @property
    def is_blocked(self) -> bool:
        """Whether load asks for another number than there will be."""
        return bool(self.blocked_by)

    @property
    def is_change(self) -> bool:
        """Whether it asks for another number of units."""
        return self.to_count != self.from_count

    @property
    def kind(self) -> tuple[object, ...]:
        """What makes it another decision than the one before."""
        blockers = tuple(each.blocker for each in self.blocked_by)
        return (self.action, self.why, self.from_count, self.to_count, blockers)

    @property
    def prediction_error(self) -> float | None:
        """Observed utilisation over the expected one, less 1; None until it was observed."""
        if self.expected is None or self.observed is None or self.expected.utilisation <= 0:
            return None
        return self.observed.utilisation / self.expected.utilisation - 1


@dataclass(frozen=True)
class History:
    """The newest decisions, oldest first. One that repeats its forerunner is not kept again."""

    decisions: tuple[Decision, ...] = ()

    def last(self, tier: Tier, at_seconds: float | None = None) -> Decision | None:
        """The newest of the tier, or the newest that was in force at that time."""
        for each in reversed(self.decisions):
            if each.tier is tier and (at_seconds is None or each.at_seconds <= at_seconds):
                return each
        return None

    def with_decision(self, new: Decision) -> History:
        """With one more, if it says anything new."""
        last = self.last(new.tier)
        if last is not None and last.kind == new.kind:
            return self  # it holds on, or what was asked for has not come yet
        return History(self._bounded((*self.decisions, new)))

    def unobserved(self, tier: Tier, now_seconds: float) -> Decision | None:
        """The last change of the tier if what it brought is to be told now: it has settled."""
        changes = (each for each in reversed(self.decisions) if each.tier is tier)
        last = next((each for each in changes if each.is_change and not each.is_dry), None)
        if last is None or last.observed is not None:
            return None
        return last if now_seconds - last.at_seconds >= SETTLING_SECONDS else None

    def with_observed(self, decision: Decision, seen: Effect) -> History:
        """With what a decision of it has brought."""
        at = self.decisions.index(decision)
        done = replace(decision, observed=seen)
        return History((*self.decisions[:at], done, *self.decisions[at + 1 :]))

    @staticmethod
    def _bounded(decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
        """The newest ones; the last of each tier stays whatever the others do."""
        if len(decisions) <= HISTORY_MAX:
            return decisions
        newest = decisions[-HISTORY_MAX:]
        tiers = {each.tier for each in newest}
        return decisions[1:] if decisions[0].tier in tiers else (decisions[0], *decisions[2:])
