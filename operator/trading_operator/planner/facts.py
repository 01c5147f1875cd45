"""All that the status of a cluster follows from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trading_contract.autoscaling_status import AutoscalingStatus
from trading_contract.status import Endpoints, TierStatus
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import Action
from trading_operator.planner.assessment import Health
from trading_operator.planner.moves.plan import MovesPlan
from trading_operator.planner.observed import Observed
from trading_operator.planner.redis_cluster import RedisPlan
from trading_operator.planner.topology import WantedCluster


@dataclass(frozen=True)
class Obstacle:
    """What only a person can clear: a reason of the closed set, and the field with the way out."""

    reason: str
    text: str


@dataclass(frozen=True)
class Facts:
    """All that the conditions follow from.

    `obstacles` are those that the substrate knows of, `durability_lifted` says on which shards an
    acknowledged order rests on one copy although more were asked for, `spares_missing` which
    standbys are away.
    """

    cluster: TradingCluster
    is_going_down: bool
    wanted: WantedCluster
    observed: Observed
    health: Mapping[str, Health]
    redis: RedisPlan
    actions: tuple[Action, ...]
    is_disk_full: bool
    endpoints: Endpoints = field(default_factory=Endpoints)
    tiers: tuple[TierStatus, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    durability_lifted: str = ""
    spares_missing: str = ""
    moves: MovesPlan = field(default_factory=MovesPlan)
    scaling: AutoscalingStatus | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of the cluster runs any more."""
        return self.observed.processes is not None and not self.observed.processes
