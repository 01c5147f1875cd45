"""The metrics in docs/metrics.md are those that are exported, and the example uses only these."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from prometheus_client.core import Metric

from trading_contract.load_metrics import (
    exposition,
    node_metrics,
    partition_metrics,
    replica_metrics,
    shard_metrics,
)
from trading_contract.manifest import load_cluster
from trading_operator.shell.health import Metrics
from trading_operator.tests import loads

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "examples" / "10-keda"
ROW = re.compile(r"^\| `(trading_\w+)` \| (\w+) \| ([\w, ]*) ?\|", re.MULTILINE)
WHERE = ("trade", "demo")


def exported() -> Iterable[Metric]:
    """Every metric of every part, each with at least one value."""
    yield from replica_metrics(loads.replica("r0"))
    slot = loads.slot(1, hottest=(loads.hot("BTCUSDT", 1.0),))
    yield from partition_metrics(
        loads.partition("p0", commits=(loads.commits("shard-0"),), slots=(slot,))
    )
    yield from shard_metrics([(WHERE, loads.shard("shard-0"))])
    yield from node_metrics([(WHERE, loads.node("redis-0", replication_lag_seconds=1.0))])
    operator = Metrics()
    operator.actions.labels("ApplyChild", "done")
    operator.visits.labels("done")
    operator.calls.labels("get", "Pod")
    operator.clusters.labels("Running")
    yield from (m for m in operator.registry.collect() if m.name.startswith("trading_"))


def told(metric: Metric) -> tuple[str, str, frozenset[str]]:
    """Name, type and labels as a reader of the docs knows them."""
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    labels = {label for sample in metric.samples for label in sample.labels}
    return name, metric.type, frozenset(labels - {"le"})


def documented() -> list[tuple[str, str, frozenset[str]]]:
    """The rows of the tables."""
    rows = ROW.findall((ROOT / "docs" / "metrics.md").read_text())
    return [
        (name, kind, frozenset(each.strip() for each in labels.split(",") if each.strip()))
        for name, kind, labels in rows
    ]


def test_the_docs_name_what_is_exported_and_nothing_else() -> None:
    assert sorted(documented(), key=str) == sorted(map(told, exported()), key=str)


def test_what_is_not_known_is_left_out_and_not_zero() -> None:
    load = loads.shard("shard-0", disk_size_bytes=None)
    text = exposition(shard_metrics([(WHERE, load)])).decode()
    assert 'trading_shard_rows_total{cluster="demo",namespace="trade",shard="shard-0"} 0.0' in text
    assert "trading_shard_disk_size_bytes{" not in text


def test_classes_of_a_histogram_add_up() -> None:
    load = loads.replica("r0", order_latency=loads.durations(1, 1, 40))
    text = exposition(replica_metrics(load)).decode()
    name = "trading_replica_order_latency_seconds"
    assert f'{name}_bucket{{le="0.001",replica="r0"}} 2.0' in text
    assert f'{name}_bucket{{le="+Inf",replica="r0"}} 3.0' in text
    assert f'{name}_count{{replica="r0"}} 3.0' in text
    (total,) = re.findall(rf'{name}_sum{{replica="r0"}} (\S+)', text)
    assert float(total) == pytest.approx(0.042)


def test_the_example_scales_its_cluster_by_metrics_that_there_are() -> None:
    scaled = yaml.safe_load((EXAMPLE / "scaled-object.yaml").read_text())["spec"]
    cluster = load_cluster((EXAMPLE / "cluster.yaml").read_text())
    assert scaled["scaleTargetRef"]["name"] == f"{cluster.metadata.name}-backend"
    assert cluster.spec.backends.managed_by == "External"
    assert cluster.spec.autoscaling.backends.mode == "external"
    queries = [trigger["metadata"]["query"] for trigger in scaled["triggers"]]
    used = {name for query in queries for name in re.findall(r"trading_\w+", query)}
    there = {name for name, kind, _ in documented() if kind != "histogram"}
    there |= {f"{name}_bucket" for name, kind, _ in documented() if kind == "histogram"}
    assert len(used) == 2
    assert used <= there
    assert all(f'cluster="{cluster.metadata.name}"' in query for query in queries)


def test_the_example_scrapes_the_ports_that_pods_have() -> None:
    monitor = yaml.safe_load((EXAMPLE / "pod-monitor.yaml").read_text())["spec"]
    golden = (ROOT / "operator/trading_operator/tests/golden/01-minimal.yaml").read_text()
    by_role = {
        child["spec"]["template"]["metadata"]["labels"]["hft.trading/role"]: {
            port["name"]
            for container in child["spec"]["template"]["spec"]["containers"]
            for port in container["ports"]
        }
        for child in yaml.safe_load_all(golden) if child["kind"] in {"Deployment", "StatefulSet"}
    }  # fmt: skip
    (roles,) = monitor["selector"]["matchExpressions"]
    assert roles["values"] == ["replica", "partition"]
    ports = {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]}
    assert ports & by_role["replica"] == {"http"}
    assert ports & by_role["partition"] == {"health"}
