"""The operator goes: trading goes on, and everything can be deleted without it. The last file."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest
from namespaces import OPERATOR_NAMESPACE
from node_exchange import NodeExchange, small_document

from exchange import Trader
from kubernetes_cluster.binaries import CHART, ensure
from operator_process import Kubectl, until

pytestmark = pytest.mark.kubernetes
SECONDS_MAX = 60


def _uninstall(kubectl: Kubectl) -> None:
    done = subprocess.run(
        [
            str(ensure(CHART) / "helm"), "uninstall", "trading-operator", "-n", OPERATOR_NAMESPACE,
            "--kubeconfig", str(kubectl.kubeconfig), "--wait", "--timeout", f"{SECONDS_MAX}s",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _trade(exchange: NodeExchange, trader: Trader, orders: int) -> None:
    for number in range(orders):
        side = "BUY" if number % 2 else "SELL"
        trader.place("BTCUSDT", side, "0.001", "50000.00")


def test_without_an_operator_trading_goes_on_and_all_can_be_deleted_within_a_minute(
    operator: Kubectl, namespace: str, times: dict[str, Any]
) -> None:
    exchange = NodeExchange(operator, namespace, "orphan")
    operator("apply", "-n", namespace, "-f", "-", stdin=small_document("orphan"))
    # The API server was away just before. Kubernetes' own controllers and kube-proxy ask it again
    # after pauses that have grown to a minute: who fills the Service may come back last of all.
    exchange.wait_ready(240)
    begun = time.monotonic()
    until(exchange.is_reached, "the Service leads to the replicas", 180)
    times["service_leads_after_ready"] = round(time.monotonic() - begun, 1)
    key = exchange.create_key("steady")
    until(lambda: exchange.knows(key.api_key), "the replicas know the key", 120)
    trader = Trader(exchange.rest, key)
    _trade(exchange, trader, 4)
    begun = time.monotonic()
    _uninstall(operator)
    times["chart_uninstalled"] = round(time.monotonic() - begun, 1)
    until(
        lambda: not operator.get("pods", OPERATOR_NAMESPACE)["items"], "no operator runs",
        SECONDS_MAX,
    )  # fmt: skip
    _trade(exchange, trader, 20)
    trader.http.close()
    begun = time.monotonic()
    operator(
        "delete", "tradingcluster", "orphan", "-n", namespace, f"--timeout={SECONDS_MAX}s"
    )  # fmt: skip
    until(lambda: not operator.get("pods", namespace)["items"], "its pods are gone", SECONDS_MAX)
    times["cluster_deleted_without_operator"] = round(time.monotonic() - begun, 1)
    kept = operator("get", "secret,configmap,pvc", "-n", namespace, "-o", "name").split()
    wanted = {
        "secret/orphan-credentials", "secret/orphan-api-keys", "configmap/orphan-topology",
        "persistentvolumeclaim/data-orphan-shard-0-0",
    }  # fmt: skip
    assert wanted <= set(kept)
    begun = time.monotonic()
    operator("delete", "namespace", namespace, f"--timeout={SECONDS_MAX}s")
    times["namespace_deleted_without_operator"] = round(time.monotonic() - begun, 1)
    operator("create", "namespace", namespace)  # the fixture deletes it again
