"""What a real kubelet and scheduler say to bad specifications: told with the way out, healed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from node_exchange import SMALL, NodeExchange, small_document

from operator_process import Kubectl

pytestmark = pytest.mark.kubernetes
HUGE = {"cpu": "20m", "memory": "900Gi"}
MISSING_CLASS = "tc-nowhere"
# The cluster's name: what is wrong, the reason, a word of the message.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no-such-image": (
        {"image": "localhost:1/does-not-exist:1"}, "ImageUnavailable", "spec.image",
    ),
    "more-than-the-machine-has": (
        {"partitions": {"resources": HUGE}}, "Unschedulable", "resources",
    ),
    "no-such-class": (
        {"shards": {
            "resources": SMALL, "storage": {"size": "1Gi", "storageClass": MISSING_CLASS},
        }},
        "StorageUnavailable", "spec.shards.storage.storageClass",
    ),
}  # fmt: skip


def test_each_is_told_and_heals_when_it_is_put_right(operator: Kubectl, namespace: str) -> None:
    """All at once: each waits for the same deadline before it says that only a person can help."""
    for name, (wrong, _, _) in WRONG.items():
        operator("apply", "-n", namespace, "-f", "-", stdin=small_document(name, **wrong))
    for name, (_, reason, word) in WRONG.items():
        stalled = operator.wait_condition(namespace, name, "Stalled", timeout_seconds=120)
        assert stalled["reason"] == reason
        assert word in stalled["message"]
    for name in ("no-such-image", "more-than-the-machine-has"):
        operator("apply", "-n", namespace, "-f", "-", stdin=small_document(name))
    body = _default_class(operator)
    body["metadata"] = {"name": MISSING_CLASS}
    operator("apply", "-f", "-", stdin=json.dumps(body))
    try:
        for name in WRONG:
            NodeExchange(operator, namespace, name).wait_ready(240)
    finally:
        operator("delete", "storageclass", MISSING_CLASS)


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


@pytest.mark.long  # no class of a name, above, is the same to the operator
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
