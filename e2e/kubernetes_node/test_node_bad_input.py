"""What a real kubelet and scheduler say to bad specifications: told with the way out, healed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from node_exchange import SMALL, NodeExchange, small_document

from operator_process import Kubectl

pytestmark = pytest.mark.kubernetes
HUGE = {"cpu": "20m", "memory": "900Gi"}
# (what is wrong, the reason, a word of the message); to put it right, it is left out.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "an image that does not exist": (
        {"image": "localhost:1/does-not-exist:1"}, "ImageUnavailable", "spec.image",
    ),
    "more memory than the machine has": (
        {"partitions": {"resources": HUGE}}, "Unschedulable", "resources",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_it_is_told_and_heals_when_it_is_put_right(
    operator: Kubectl, namespace: str, case: str
) -> None:
    wrong, reason, word = WRONG[case]
    exchange = NodeExchange(operator, namespace, "wrong")
    operator("apply", "-n", namespace, "-f", "-", stdin=small_document("wrong", **wrong))
    stalled = operator.wait_condition(namespace, "wrong", "Stalled", timeout_seconds=120)
    assert stalled["reason"] == reason
    assert word in stalled["message"]
    operator("apply", "-n", namespace, "-f", "-", stdin=small_document("wrong"))
    exchange.wait_ready(180)


def _set_default(kubectl: Kubectl, name: str, *, is_default: bool) -> None:
    note = {"storageclass.kubernetes.io/is-default-class": json.dumps(is_default)}
    patch = json.dumps({"metadata": {"annotations": note}})
    kubectl("patch", "storageclass", name, "--type=merge", "-p", patch)


def _default_class(kubectl: Kubectl) -> dict[str, Any]:
    for each in json.loads(kubectl("get", "storageclass", "-o", "json"))["items"]:
        notes = each["metadata"].get("annotations") or {}
        if notes.get("storageclass.kubernetes.io/is-default-class") == "true":
            found: dict[str, Any] = each
            return found
    raise AssertionError("the cluster of the tests has no default StorageClass")


def test_no_default_storage_class_is_told_and_heals_when_there_is_one(
    operator: Kubectl, namespace: str
) -> None:
    name = _default_class(operator)["metadata"]["name"]
    _set_default(operator, name, is_default=False)
    try:
        operator("apply", "-n", namespace, "-f", "-", stdin=small_document("homeless"))
        stalled = operator.wait_condition(namespace, "homeless", "Stalled", timeout_seconds=120)
    finally:
        _set_default(operator, name, is_default=True)
    assert stalled["reason"] == "StorageUnavailable"
    assert "spec.shards.storage.storageClass" in stalled["message"]
    NodeExchange(operator, namespace, "homeless").wait_ready(180)


def test_a_storage_class_that_does_not_exist_is_told_and_heals_when_it_does(
    operator: Kubectl, namespace: str
) -> None:
    shards = {"resources": SMALL, "storage": {"size": "1Gi", "storageClass": "tc-nowhere"}}
    document = small_document("homeless", shards=shards)
    operator("apply", "-n", namespace, "-f", "-", stdin=document)
    stalled = operator.wait_condition(namespace, "homeless", "Stalled", timeout_seconds=120)
    assert stalled["reason"] == "StorageUnavailable"
    assert "spec.shards.storage.storageClass" in stalled["message"]
    body = _default_class(operator)
    body["metadata"] = {"name": "tc-nowhere"}
    operator("apply", "-f", "-", stdin=json.dumps(body))
    try:
        NodeExchange(operator, namespace, "homeless").wait_ready(180)
    finally:
        operator("delete", "storageclass", "tc-nowhere")
