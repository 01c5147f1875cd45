"""The whole product on a real Kubernetes: from the chart to trades, and through what goes wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from namespaces import OPERATOR_NAMESPACE
from node_exchange import SMALL, SMALL_NODE, NodeExchange

from exchange import Trader
from history.client import Crowd
from kubernetes_cluster.image import IMAGE
from kubernetes_cluster.node import Node
from kubernetes_cluster.rights import used
from operator_process import ROOT, Kubectl, until
from test_survives_kills import crowd_of, judge, wait_for_acknowledgements

pytestmark = pytest.mark.kubernetes
EXAMPLES = ROOT / "examples"


def _small(path: Path) -> str:
    """An example with resources that a machine of two cores has many times over."""
    document = yaml.safe_load(path.read_text())
    spec = document["spec"]
    for tier in ("backends", "partitions", "shards", "redis"):
        spec.setdefault(tier, {})["resources"] = dict(SMALL)
    spec["shards"]["storage"] = {"size": "1Gi"}
    return yaml.safe_dump(document)


def test_the_minimal_example_comes_ready_and_an_unmodified_client_trades(
    operator: Kubectl, namespace: str, times: dict[str, Any]
) -> None:
    begun = time.monotonic()
    operator("apply", "-n", namespace, "-f", str(EXAMPLES / "01-minimal" / "cluster.yaml"))
    operator(
        "wait", "-n", namespace, "--for=condition=Ready", "tradingcluster/minimal",
        "--timeout=180s",
    )  # fmt: skip
    times["minimal_ready"] = round(time.monotonic() - begun, 1)
    exchange = NodeExchange(operator, namespace, "minimal")
    maker, taker = exchange.create_key("maker"), exchange.create_key("taker")
    until(lambda: exchange.knows(taker.api_key), "the replicas know the keys", 90)
    bot = subprocess.run(
        [
            sys.executable, str(EXAMPLES / "05-ccxt-bot" / "bot.py"), "--url", exchange.rest,
            "--key", maker.api_key, "--secret", maker.secret,
            "--taker-key", taker.api_key, "--taker-secret", taker.secret,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert bot.returncode == 0, bot.stdout + bot.stderr


@pytest.mark.parametrize(
    ("example", "name"),
    [("02-three-shards", "three-shards"), ("03-redis-cluster-and-partitions", "partitions")],
)
def test_the_larger_examples_come_ready(
    operator: Kubectl, namespace: str, times: dict[str, Any], example: str, name: str
) -> None:
    (path,) = (EXAMPLES / example).glob("*.yaml")
    begun = time.monotonic()
    operator("apply", "-n", namespace, "-f", "-", stdin=_small(path))
    NodeExchange(operator, namespace, name).wait_ready(240)
    times[f"{name}_ready"] = round(time.monotonic() - begun, 1)


SPEC: dict[str, Any] = {
    "symbols": [
        {"name": "BTCUSDT", "tickSize": "0.01", "lotSize": "0.00001", "minNotional": "5"},
        {"name": "ETHUSDT", "tickSize": "0.01", "lotSize": "0.0001", "minNotional": "5"},
        {"name": "SOLUSDT", "tickSize": "0.01", "lotSize": "0.001", "minNotional": "5"},
        {"name": "XRPUSDT", "tickSize": "0.0001", "lotSize": "0.1", "minNotional": "5"},
    ],
    "backends": {"replicas": 2, "resources": SMALL},
    "partitions": {"count": 2, "resources": SMALL},
    "shards": {
        "count": 1, "members": 2, "resources": SMALL,
        "storage": {"size": "1Gi", "reclaim": "delete"},
    },
    "redis": {"masters": 3, "replicasPerMaster": 1, "resources": SMALL_NODE},
}  # fmt: skip


def _document(**changes: Any) -> str:
    return yaml.safe_dump({
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": "busy"}, "spec": {**SPEC, **changes},
    })  # fmt: skip


def _apply(exchange: NodeExchange, **changes: Any) -> None:
    exchange.kubectl("apply", "-n", exchange.namespace, "-f", "-", stdin=_document(**changes))


def test_nothing_is_lost_or_doubled_whatever_goes_away(
    operator: Kubectl, namespace: str, node: Node, tmp_path: Path, times: dict[str, Any]
) -> None:
    exchange = NodeExchange(operator, namespace, "busy")
    _apply(exchange)
    times["busy_ready"] = round(exchange.wait_ready(300), 1)
    node.tag_image(IMAGE, f"{IMAGE}-next")
    crowd, accounts = crowd_of(exchange, tmp_path, "n")  # type: ignore[arg-type]
    until(lambda: all(exchange.knows(key) for key in accounts), "the keys are there", 90)
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        for name, disturb in _disturbances(exchange, node).items():
            begun = time.monotonic()
            disturb()
            wait_for_acknowledgements(crowd, 20, 120)
            times[f"{name}_orders_again"] = round(time.monotonic() - begun, 1)
            _wait_settled(exchange, crowd)
            times[f"{name}_ready_again"] = round(time.monotonic() - begun, 1)
    assert crowd.counts().get("place ok", 0) > 300, crowd.counts()
    judge(exchange, tmp_path, accounts)  # type: ignore[arg-type]


def _wait_settled(exchange: NodeExchange, crowd: Crowd) -> None:
    exchange.wait_ready(240)
    wait_for_acknowledgements(crowd, 20, 60)


def _disturbances(exchange: NodeExchange, node: Node) -> dict[str, Callable[[], None]]:
    kubectl = exchange.kubectl

    def delete_backend() -> None:
        exchange.delete_pod(exchange.pods("replica")[0]["metadata"]["name"])

    def delete_redis_master() -> None:
        exchange.delete_pod("busy-redis-0")

    def delete_primary() -> None:
        primary = next(
            pod["metadata"]["name"]
            for pod in exchange.pods("shard")
            if pod["metadata"]["labels"].get("hft.trading/patroni-role") in ("primary", "master")
        )
        exchange.delete_pod(primary)

    def delete_primary_under_new_controllers() -> None:
        _restart_controllers(exchange, node)
        delete_primary()

    def delete_operators() -> None:
        kubectl(
            "delete", "pods", "-n", OPERATOR_NAMESPACE, "--wait=false",
            "-l", "app.kubernetes.io/name=trading-operator",
        )  # fmt: skip

    def take_the_api_server_away() -> None:
        node.plane.stop_api_server()
        time.sleep(60)
        node.plane.start_api_server()

    def scale(replicas: int) -> Callable[[], None]:
        return lambda: _apply(exchange, backends={**SPEC["backends"], "replicas": replicas})

    return {
        "backend_pod": delete_backend,
        "partition_pod": lambda: exchange.delete_pod("busy-partition-0-0"),
        "redis_master_pod": delete_redis_master,
        "primary_pod": delete_primary,
        "primary_pod_new_controllers": delete_primary_under_new_controllers,
        "operator_pods": delete_operators,
        "scale_2_to_6": scale(6),
        "scale_6_to_2": scale(2),
        "key_rotated": lambda: _rotate_a_key(exchange),
        "image_changed": lambda: _apply(exchange, image=f"{IMAGE}-next"),
        # The last, as Kubernetes' own controllers come back from it up to a minute late.
        "api_server_60_s": take_the_api_server_away,
    }


def _restart_controllers(exchange: NodeExchange, node: Node) -> None:
    """Kubernetes' own, which remove Endpoints without a Service: Patroni's are not among them."""
    kubectl, namespace = exchange.kubectl, exchange.namespace

    def kept() -> dict[str, str]:
        items = kubectl.get("endpoints", namespace)["items"]
        state = "busy-shard-0", "busy-shard-0-config", "busy-shard-0-sync"
        uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in items}
        return {name: uids[name] for name in state}

    before = kept()
    node.plane.restart_controllers()
    kubectl("create", "service", "clusterip", "probe", "-n", namespace, "--tcp=1")
    until(
        lambda: "probe" in kubectl("get", "endpoints", "-n", namespace, "-o", "name"),
        "the controllers work", 60,
    )  # fmt: skip
    assert kept() == before


def _rotate_a_key(exchange: NodeExchange) -> None:
    """A second key of the same account works before the first one goes, and after it."""
    old = exchange.create_key("old")
    until(lambda: exchange.knows(old.api_key), "the replicas know the key", 120)
    new = exchange.create_key("new", account=old.account)
    until(lambda: exchange.knows(new.api_key), "the replicas know both", 120)
    first, second = Trader(exchange.rest, old), Trader(exchange.rest, new)
    with first.http, second.http:
        assert (_status(first), _status(second)) == (200, 200)
        exchange.ctl("keys", "revoke", "old")
        until(lambda: _status(first) == 401, "the old key is refused", 120)
        assert _status(second) == 200


def _status(trader: Trader) -> int:
    return trader.signed("GET", "account").status_code


def test_no_call_of_the_operator_was_forbidden(operator: Kubectl, node: Node) -> None:
    """An API server that starts refuses everything until it has read the Roles; nothing else is."""
    rights, refused = used(node.plane.audit_log, "trading-operator")
    assert len(rights) > 20
    assert [each for each in refused if not node.plane.was_starting(each.at)] == []
