"""Clusters and worlds for the tests of the planner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trading_contract.manifest import parse_cluster
from trading_contract.status import ClusterStatus, ConditionType
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import Action
from trading_operator.planner.observed import Observed
from trading_operator.planner.plan import Intent, Plan, make_plan
from trading_operator.planner.preview import imagine, with_statuses

NOW = 1_800_000_000.0
ROUNDS_MAX = 100
SYMBOLS = ("ADAUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "LTCUSDT", "SOLUSDT", "TRXUSDT", "XRPUSDT")
TOPOLOGIES: tuple[dict[str, Any], ...] = (
    {},
    {"partitions": {"count": 2}},
    {"shards": {"count": 3}},
    {"shards": {"count": 3}, "partitions": {"count": 2}},
    {"partitions": {"count": 12}},
    {"backends": {"replicas": 4}},
    {"redis": {"masters": 3, "replicasPerMaster": 1}},
    {"redis": {"masters": 5, "replicasPerMaster": 2}, "exposure": {"port": 8080}},
    {
        "shards": {"count": 2},
        "partitions": {"count": 2},
        "placement": [
            {"range": "..E", "shard": 1, "partition": 0},
            {"range": "E..", "shard": 0, "partition": 1},
        ],
    },
)


def cluster(
    symbols: tuple[str, ...] = SYMBOLS, generation: int = 1, **spec: object
) -> TradingCluster:
    """A TradingCluster of these symbols with the given fields of its spec."""
    return parse_cluster(
        {
            "apiVersion": "hft.trading/v1alpha1",
            "kind": "TradingCluster",
            "metadata": {"name": "tested", "generation": generation},
            "spec": {"symbols": [{"name": name} for name in symbols], **spec},
        }
    )


def planned(wanted: TradingCluster, world: Observed, **more: Any) -> Plan:
    """One plan for that world."""
    return make_plan(Intent(wanted, **more), world, NOW)


def steps(
    wanted: TradingCluster, world: Observed, **more: Any
) -> Iterator[tuple[Action, Observed]]:
    """Each action with the world after it, planned anew after each, until nothing is left."""
    for _ in range(40 * ROUNDS_MAX):
        plan = planned(wanted, world, **more)
        if not plan.actions:
            return
        world = imagine(with_statuses(world, plan), plan.actions[0])
        yield plan.actions[0], world
    raise AssertionError("the plan never ends")


def converged(wanted: TradingCluster, world: Observed | None = None, **more: Any) -> Observed:
    """The world after everything was done; fails when that never comes."""
    world = world or Observed(processes={})
    for _ in range(ROUNDS_MAX):
        plan = planned(wanted, world, **more)
        world = with_statuses(world, plan)
        if not plan.actions:
            return world
        for action in plan.actions:
            world = imagine(world, action)
    raise AssertionError(f"the plan never ends: {plan.actions}")


def verdict(status: ClusterStatus, kind: str) -> tuple[str, str]:
    """Status and reason of one condition."""
    found = next(each for each in status.conditions if each.type is ConditionType(kind))
    return found.status, found.reason
