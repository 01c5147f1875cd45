"""What the planner of scale remembers between looks. A value; what is lost is learned again.

Decisions and the times of changes are in the cluster's status and moves are objects, so after a
restart only averages begin anew. Until they are warm nothing shrinks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trading_operator.planner.scaling.averages import Averages
from trading_operator.planner.scaling.capacity import Capacities, default_capacities
from trading_operator.planner.scaling.decisions import History
from trading_operator.planner.scaling.forecast import DayProfile
from trading_operator.planner.scaling.layout import SlotPlace
from trading_operator.planner.scaling.signals import SlotLoad, Tier


@dataclass(frozen=True)
class TierMemory:
    """One tier.

    `needs` are (time, units needed) of the last ten minutes, of rising time;
    `complete_since_seconds` tells since when every look heard of every unit.
    """

    averages: Averages = field(default_factory=Averages)
    profile: DayProfile = field(default_factory=DayProfile)
    needs: tuple[tuple[float, int], ...] = ()
    looks_above: int = 0
    changed_at_seconds: float | None = None
    complete_since_seconds: float | None = None


@dataclass(frozen=True)
class ShardMemory:
    """What the balance of shards remembers.

    `averages` are the utilisations of shards by their number; `over_since_seconds` tells by shard
    since when it has been above the band, or not below half of it again.
    """

    averages: Averages = field(default_factory=Averages)
    over_since_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """All of it.

    `places` are the slots that the averages are of; `unread` those of which nothing was told yet;
    `work` and `loads` are what the last look said of each;
    `looks_overfull` counts by partition how long it has been above the band; the load was last
    seen to shift at `shifted_at_seconds`.
    """

    tiers: Mapping[Tier, TierMemory] = field(default_factory=dict)
    slots: Averages = field(default_factory=Averages)
    places: tuple[SlotPlace, ...] = ()
    unread: frozenset[int] = frozenset()
    work: Mapping[int, float] = field(default_factory=dict)
    loads: Mapping[int, SlotLoad] = field(default_factory=dict)
    capacities: Capacities = field(default_factory=default_capacities)
    looks_overfull: Mapping[str, int] = field(default_factory=dict)
    shifted_at_seconds: float | None = None
    history: History = field(default_factory=History)
    shards: ShardMemory = field(default_factory=ShardMemory)

    def tier(self, tier: Tier) -> TierMemory:
        """Of one tier."""
        return self.tiers.get(tier) or TierMemory()


def after_restart(history: History, profiles: Mapping[Tier, DayProfile] | None = None) -> Memory:
    """What is known to an operator that begins: what the status and the store say."""
    tiers = {}
    for tier in Tier:
        changes = [each for each in history.decisions if each.tier is tier and each.is_change]
        changed = changes[-1].at_seconds if changes else None
        profile = (profiles or {}).get(tier) or DayProfile()
        tiers[tier] = TierMemory(profile=profile, changed_at_seconds=changed)
    return Memory(tiers=tiers, history=history)
