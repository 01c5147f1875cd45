"""The largest `status.load` that the operator writes is what the definition takes, unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operator_process import ROOT, Kubectl
from trading_contract.load_status import (
    PARTS_MAX,
    BackendLoadStatus,
    ClusterLoadStatus,
    EndToEndStatus,
    PartitionLoadStatus,
    RedisLoadStatus,
    ShardLoadStatus,
    SlotLoadStatus,
)
from trading_contract.status import ClusterStatus, Phase
from trading_operator.substrates.kubernetes.api import STATUS_MANAGER

pytestmark = pytest.mark.kubernetes
MINIMAL = ROOT / "examples" / "01-minimal" / "cluster.yaml"
STATUS_BYTES_MAX = 128 << 10


def full(kind: type[Any], number: int) -> Any:
    """A part of which everything is known, with large numbers."""
    values: dict[str, Any] = {
        name: 2**40 for name, each in kind.model_fields.items() if each.annotation is not str
    }
    return kind(**values, name=f"{kind.__name__}-{number}")


def largest() -> ClusterLoadStatus:
    """As much as there ever is."""
    number = range(PARTS_MAX)
    symbol = "S" * 32
    return ClusterLoadStatus(
        observed_at="2026-01-01T00:00:00Z",
        end_to_end=EndToEndStatus(
            orders_per_second=1, rejections_per_second=2, latency_p50_microseconds=3,
            latency_p99_microseconds=4,
        ),
        backends=tuple(full(BackendLoadStatus, n) for n in number),
        partitions=tuple(full(PartitionLoadStatus, n) for n in number),
        shards=(
            ShardLoadStatus(name="shard-0", unknown="Missing: it gave no reading"),
            *(full(ShardLoadStatus, n) for n in number[1:]),
        ),
        redis=tuple(full(RedisLoadStatus, n) for n in number),
        slots=tuple(
            SlotLoadStatus(
                first=symbol, past=symbol, partition="partition-0", cpu_percent=100,
                open_orders=2**40, hottest=(symbol,) * 3,
            )
            for _ in number
        ),
    )  # fmt: skip


def test_the_api_server_takes_it_and_gives_it_back(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", str(MINIMAL))
    status = ClusterStatus(phase=Phase.RUNNING, load=largest())
    document = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    document.pop("processes")
    assert len(json.dumps(document)) < STATUS_BYTES_MAX
    body = {
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": "minimal", "namespace": namespace}, "status": document,
    }  # fmt: skip
    kubectl(
        "apply", "--server-side", "--force-conflicts", "--validate=strict", "--subresource=status",
        f"--field-manager={STATUS_MANAGER}", "-f", "-", stdin=json.dumps(body),
    )  # fmt: skip
    found = kubectl.get("tradingclusters.hft.trading", namespace, "minimal")
    assert ClusterStatus.model_validate(found["status"]).load == status.load
    assert kubectl("diff", "-n", namespace, "-f", str(MINIMAL)) == ""
