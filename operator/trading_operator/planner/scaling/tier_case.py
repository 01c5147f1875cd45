"""One tier before it is decided about: what it needs, and for how long it has needed that."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from trading_contract.policies import TierAutoscaling
from trading_operator.planner.scaling.averages import WINDOW_SECONDS
from trading_operator.planner.scaling.capacity import SATURATED
from trading_operator.planner.scaling.memory import TierMemory
from trading_operator.planner.scaling.predictions import overhead
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.scaling.tier_state import TierState

GROW_ABOVE = 1.10  # of the target
FALLING = 0.8  # of the steady load: whoever grows now grows for what is over
NEEDS_SECONDS = 600.0  # of that window
WATCH_GAP_SECONDS = 60.0
CHEAP = frozenset({Tier.BACKENDS, Tier.PARTITIONS})  # quick to come, and quick to go again
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
        """Units' worth of work by the averages; the fast one where the tier is nearly full.

        Of cheap units the last look's, then: a load that rises tenfold would else have them one
        after another, as averages follow.
        """
        averages = self.memory.averages
        if not averages.ids:
            return self.state.total
        steady = averages.steady(emergency=self.is_emergency)[0]
        return max(steady, self.state.total) if self.is_emergency and self.is_cheap else steady

    @property
    def is_cheap(self) -> bool:
        """Whether a unit too many does little harm."""
        return self.tier in CHEAP

    @property
    def is_falling(self) -> bool:
        """Whether there is clearly less to do now than the averages say, and none is expected."""
        now = max((self.state.total, *self.memory.averages.fast))
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

    @property
    def ratio(self) -> float:
        """Load over what the units that work should carry."""
        return self.load / (self.target * max(1, self.present - self.spares))


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
    is_above = case.ratio > GROW_ABOVE or case.bins + case.spares > case.present
    looks = case.memory.looks_above + 1 if is_above else 0
    memory = replace(
        case.memory, needs=needs, looks_above=looks, complete_since_seconds=complete_since
    )
    return replace(case, memory=memory)
