"""The specification that a simulation runs under when a person brings none."""

from __future__ import annotations

from typing import Any

from trading_contract.manifest import parse_cluster
from trading_contract.tradingcluster import TradingClusterSpec


def simulated_spec(
    partitions_max: int = 64, backends_max: int = 64, **rebalancing: Any
) -> TradingClusterSpec:
    """All tiers scale, ranges move; prices are set so that costs are told."""
    scaled = {"mode": "on", "min": 1}
    document = {
        "apiVersion": "hft.trading/v1alpha1",
        "kind": "TradingCluster",
        "metadata": {"name": "simulated"},
        "spec": {
            "symbols": [{"name": "BTCUSDT"}],
            "autoscaling": {
                "backends": {**scaled, "max": backends_max},
                "partitions": {**scaled, "max": partitions_max},
                "shards": {**scaled, "max": 32, "cooldownSeconds": 900},
                "redis": {"mode": "on", "min": 3, "max": 32},
            },
            "rebalancing": {"mode": "on", **rebalancing},
            "prices": {"cpuCore": "20", "memoryGibibyte": "3", "storageGibibyte": "0.1"},
        },
    }
    return parse_cluster(document).spec
