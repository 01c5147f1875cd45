"""Clusters under load in an imagined world: what parts would tell, without parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trading_contract.autoscaling_status import AutoscalingStatus
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.autoscale.plan import ScaleMemory
from trading_operator.planner.observed import Role
from trading_operator.planner.plan import Intent, Plan, make_plan
from trading_operator.planner.scaling.observed_load import ClusterLoad
from trading_operator.planner.scaling.signals import Rates, Readings, SlotLoad, Tier, UnitLoad
from trading_operator.tests.builders import cluster
from trading_operator.tests.scenes import LETTERS, Scene

CORE = 850.0  # CPU milliseconds per second that fill a partition with a whole core
ON = {"mode": "on", "max": 8, "cooldownSeconds": 30}
ROLES = {
    Tier.BACKENDS: Role.REPLICA, Tier.PARTITIONS: Role.PARTITION, Tier.SHARDS: Role.SHARD,
    Tier.REDIS: Role.NODE,
}  # fmt: skip


def scaling(
    *tiers: str, rebalancing: str = "off", policy: Mapping[str, Any] = ON, **spec: Any
) -> TradingCluster:
    """A cluster of which these tiers scale; each unit has a whole core."""
    for tier in ("backends", "partitions", "redis"):
        spec[tier] = {"resources": {"cpu": "1"}, **spec.get(tier, {})}
    autoscaling = {tier: dict(policy) for tier in tiers} | spec.pop("autoscaling", {})
    return cluster(
        LETTERS, autoscaling=autoscaling, rebalancing={"mode": rebalancing}, **spec
    )  # fmt: skip


class LoadedScene(Scene):
    """`used` is the share of a core of each partition, `slots` the same by slot where it matters.

    Without anything said, replicas are busy at a tenth and shards at a twentieth.
    """

    def __init__(self, wanted: TradingCluster) -> None:
        super().__init__(wanted)
        self.memory: ScaleMemory | None = None
        self.used: dict[str, float] = {}
        self.slots: dict[int, float] = {}
        self.waits: dict[str, float] = {}

    def plan(self) -> Plan:
        """What is planned now; changes nothing."""
        intent = Intent(self.wanted, previous=self.previous, scale=self.memory)
        return make_plan(intent, self.world, self.now)

    def step(self, *, carry_out: bool = False) -> Plan:
        """One pass; what is to be remembered is."""
        plan = super().step(carry_out=carry_out)
        self.memory = plan.scale
        return plan

    def look(self, passes: int = 3, seconds: float = 5.0) -> Plan:
        """A new look at the load, decided about and acted upon; moves are done at once."""
        self.now += seconds
        self.world = replace(self.world, load=self._load())
        plans = [self.step(carry_out=True) for _ in range(passes)]
        for order in self.orders():
            self.carry_out(order)
        return plans[0]

    def looks(self, count: int) -> Plan:
        """So many looks; the plan of the last."""
        assert count > 0
        for _ in range(count):
            plan = self.look()
        return plan

    def restart(self, *, loses_status: bool = False) -> None:
        """The operator dies and is there again."""
        self.memory = None
        if loses_status:
            self.previous = None

    @property
    def told(self) -> AutoscalingStatus:
        """What the status says of autoscaling."""
        assert self.previous is not None and self.previous.autoscaling is not None
        return self.previous.autoscaling

    def running(self, role: Role) -> list[str]:
        """The components of a role that run."""
        processes = (self.world.processes or {}).values()
        return sorted(each.name for each in processes if each.role == role)

    def _load(self) -> ClusterLoad:
        assert self.world.topology is not None
        units = {tier: tuple(map(self._unit, self.running(role))) for tier, role in ROLES.items()}
        homes = {
            row.slot_id: row.partition or slot.partition
            for slot in self.world.topology.slots
            for seen in self.world.shards.values() for row in seen.rows or ()
            if row.slot_id == slot.id and row.state == "ACTIVE"
        }  # fmt: skip
        loads = []
        for slot, home in sorted(homes.items()):
            alike = [other for other, at in homes.items() if at == home]
            even = self.used.get(home, 0.1) / len(alike)
            loads.append(SlotLoad(slot, CORE * self.slots.get(slot, even)))
        return ClusterLoad(self.now, {}, Readings(), Rates(units, tuple(loads)))

    def _unit(self, name: str) -> UnitLoad:
        if name.startswith("shard-"):
            loads = {"rows_per_second": 40_000 * self.used.get(name, 0.05)}
        elif name.startswith("redis-"):
            loads = {"operations_per_second": 60_000 * self.used.get(name, 0.05)}
        else:
            loads = {"cpu_milliseconds_per_second": CORE * self.used.get(name, 0.1)}
        return UnitLoad(name, self.now, 100.0, loads, {}, self.waits.get(name, 1.0))
