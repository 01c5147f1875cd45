"""Objects beside the specification that are bad or missing: told, and healed when put right."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from operator_process import Kubectl, OperatorProcess, until

pytestmark = pytest.mark.kubernetes
Start = Callable[..., OperatorProcess]


def _apply(kubectl: Kubectl, namespace: str, **spec: object) -> None:
    document = {
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": "demo"}, "spec": {"symbols": [{"name": "BTCUSDT"}], **spec},
    }  # fmt: skip
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(document))


def _set(kubectl: Kubectl, namespace: str, secret: str, key: str, value: str | None) -> None:
    patch = json.dumps({"data": {key: value}})
    kubectl("patch", "secret", secret, "-n", namespace, "--type=merge", "-p", patch)


@pytest.mark.parametrize("value", [None, base64.b64encode(b"\xff\xfe").decode()])
def test_a_password_that_was_edited_away_is_named_and_trading_goes_on(
    kubectl: Kubectl, namespace: str, start_operator: Start, value: str | None
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    good = kubectl.get("secret", namespace, "demo-credentials")["data"]["tc_engine"]
    _set(kubectl, namespace, "demo-credentials", "tc_engine", value)
    stalled = kubectl.wait_condition(namespace, "demo", "Stalled")
    assert stalled["reason"] == "SecretMissing"
    assert "demo-credentials lacks tc_engine" in stalled["message"]
    assert kubectl.condition(namespace, "demo", "Available")["status"] == "True"
    _set(kubectl, namespace, "demo-credentials", "tc_engine", good)
    kubectl.wait_condition(namespace, "demo", "Ready")


def test_a_file_of_api_keys_that_was_edited_to_nonsense_is_named(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    good = kubectl.get("secret", namespace, "demo-api-keys")["data"]["api-keys.json"]
    bad = base64.b64encode(b"{").decode()
    _set(kubectl, namespace, "demo-api-keys", "api-keys.json", bad)
    stalled = kubectl.wait_condition(namespace, "demo", "Stalled")
    assert stalled["reason"] == "SecretMissing"
    assert "demo-api-keys: api-keys.json is malformed" in stalled["message"]
    _set(kubectl, namespace, "demo-api-keys", "api-keys.json", good)
    kubectl.wait_condition(namespace, "demo", "Ready")


def test_a_gateway_where_kubernetes_knows_none_is_told_and_trading_begins_all_the_same(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace, exposure={"gateway": {"name": "edge"}})
    stalled = kubectl.wait_condition(namespace, "demo", "Stalled")
    assert stalled["reason"] == "InvalidSpec"
    assert "spec.exposure.gateway" in stalled["message"]
    assert "Gateway API" in stalled["message"]
    until(
        lambda: kubectl.condition(namespace, "demo", "Available")["status"] == "True",
        "it trades", 60,
    )  # fmt: skip
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")


@pytest.fixture
def elsewhere(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """A namespace in which the test's operator has no rights and which it does not serve."""
    name = f"{namespace}-elsewhere"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_a_cluster_where_the_operator_may_not_look_says_so_and_disturbs_no_other(
    kubectl: Kubectl, namespace: str, elsewhere: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, elsewhere)
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    time.sleep(3)  # more than one full list
    body = kubectl.get("tradingclusters", elsewhere, "demo")
    (ready,) = body["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("Unknown", "NotSeen")
    assert "serves this namespace" in ready["message"]
    assert not kubectl.get("statefulsets", elsewhere)["items"]


def test_an_operator_that_is_told_of_a_namespace_it_may_not_see_waits_for_its_rights(
    kubectl: Kubectl, namespace: str, elsewhere: str, start_operator: Start
) -> None:
    operator = start_operator(TRADING_OPERATOR_NAMESPACES=f"{namespace},{elsewhere}")
    _apply(kubectl, elsewhere)
    until(lambda: "orbidden" in operator.log.read_text(), "it says what it may not", 30)
    assert operator.process is not None
    kubectl(
        "create", "rolebinding", "late", "-n", elsewhere, "--clusterrole=admin",
        f"--serviceaccount={namespace}:trading-operator",
    )  # fmt: skip
    text = kubectl("get", "role", "trading-operator", "-n", namespace, "-o", "json")
    role = json.loads(text)
    role["metadata"] = {"name": "trading-operator", "namespace": elsewhere}
    kubectl("apply", "-f", "-", stdin=json.dumps(role))
    kubectl(
        "create", "rolebinding", "later", "-n", elsewhere, "--role=trading-operator",
        f"--serviceaccount={namespace}:trading-operator",
    )  # fmt: skip
    if operator.wait_died(5.0):
        operator.start()  # as a kubelet does
    kubectl.wait_condition(elsewhere, "demo", "Ready", timeout_seconds=90)


def test_a_cluster_goes_within_a_minute_though_no_operator_is_there(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    operator = start_operator()
    _apply(kubectl, namespace, shards={"storage": {"reclaim": "delete"}})
    kubectl.wait_condition(namespace, "demo", "Ready")
    operator.kill()
    kubectl("delete", "tradingcluster", "demo", "-n", namespace, "--timeout=60s")
    kinds = "statefulset,deployment,pod,service,secret,configmap,pvc,role,networkpolicy"

    def is_gone() -> bool:
        return not kubectl.get(kinds, namespace, selector="hft.trading/cluster=demo")["items"]

    until(is_gone, "nothing of it is left", 60)


def test_what_is_no_longer_wanted_and_owns_nothing_is_removed(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    on_one = [{"range": "..", "shard": 0, "partition": 0}]
    more = {"shards": {"count": 2}, "partitions": {"count": 2}}
    host = {"exposure": {"ingressHost": "a.example"}}
    _apply(kubectl, namespace, placement=on_one, **more, **host)
    kubectl.wait_condition(namespace, "demo", "Ready", timeout_seconds=90)
    _apply(kubectl, namespace, placement=on_one, **more, exposure={"ingressHost": "b.example"})
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, placement=on_one, shards={"storage": {"reclaim": "delete"}})
    kubectl.wait_condition(namespace, "demo", "Ready", timeout_seconds=90)
    secret = kubectl.get("secret", namespace, "demo-credentials")
    assert secret["metadata"]["ownerReferences"]  # it goes with the cluster from now on
    kinds = "statefulset,service,poddisruptionbudget,ingress"
    items = kubectl.get(kinds, namespace, selector="hft.trading/cluster=demo")["items"]
    names = {item["metadata"]["name"] for item in items}
    assert not any("shard-1" in name or "partition-1" in name for name in names)
    assert not kubectl.get("ingress", namespace)["items"]
