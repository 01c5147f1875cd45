"""What is read from a pod: whose it is, whether it works, and what keeps it from that."""

from __future__ import annotations

from typing import Any

import pytest

from trading_operator.substrates.kubernetes.pods import pod_seen, unix_seconds

CREATED = "2026-01-01T00:00:10Z"


def _pod(role: str = "shard", component: str = "shard-0", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "demo-shard-0-0",
            "uid": "u1",
            "creationTimestamp": CREATED,
            "labels": {"hft.trading/role": role, "hft.trading/component": component},
            "annotations": {"hft.trading/template-hash": "abc"},
        },
        "status": status,
    }


def _waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "main", "image": "nothing:1", "state": state}]}


def test_a_ready_pod_has_its_address_and_template() -> None:
    seen = pod_seen(
        _pod(podIP="10.0.0.7", conditions=[{"type": "Ready", "status": "True"}]), 0.0
    )  # fmt: skip
    assert (seen.component, seen.ip, seen.template_hash) == ("shard-0", "10.0.0.7", "abc")
    assert seen.is_ready
    assert seen.problem is None


def test_since_when_a_pod_is_not_ready_is_told() -> None:
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:30Z"}
    since = pod_seen(_pod(conditions=[condition]), 0.0).unready_since
    assert since == unix_seconds(CREATED) + 20
    ready = {**condition, "status": "True"}
    assert pod_seen(_pod(conditions=[ready]), 0.0).unready_since == 0
    assert pod_seen(_pod(), 0.0).unready_since == 0


def test_nodes_of_one_stateful_set_are_told_apart_by_their_numbers() -> None:
    body = _pod(role="redis", component="redis")
    body["metadata"]["name"] = "demo-redis-4"
    assert pod_seen(body, 0.0).component == "redis-4"


def test_a_pod_on_its_way_out_is_told() -> None:
    body = _pod()
    body["metadata"]["deletionTimestamp"] = CREATED
    assert pod_seen(body, 0.0).is_deleting


@pytest.mark.parametrize(
    ("status", "reason", "needs_person", "text"),
    [
        (_waiting("ImagePullBackOff", "not found"), "ImageUnavailable", True, "spec.image"),
        (_waiting("InvalidImageName"), "ImageUnavailable", True, "spec.image"),
        (_waiting("CreateContainerConfigError", "secret x"), "SecretMissing", True, "secret x"),
        (_waiting("CrashLoopBackOff", "again"), "ComponentFailed", False, "keeps ending"),
    ],
)
def test_what_keeps_a_container_from_starting_is_told(
    status: dict[str, Any], reason: str, needs_person: bool, text: str
) -> None:
    problem = pod_seen(_pod(**status), 0.0).problem
    assert problem is not None
    assert (problem.reason, problem.needs_person) == (reason, needs_person)
    assert text in problem.text
    assert problem.since == unix_seconds(CREATED)


def test_a_container_that_is_merely_being_made_is_no_problem() -> None:
    assert pod_seen(_pod(**_waiting("ContainerCreating")), 0.0).problem is None


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        ("0/1 nodes are available: 1 Insufficient cpu.", "Unschedulable", "resources"),
        ("pod has unbound immediate PersistentVolumeClaims", "StorageUnavailable", "storageClass"),
    ],
)
def test_a_pod_without_a_place_names_what_to_change(message: str, reason: str, field: str) -> None:
    condition = {
        "type": "PodScheduled", "status": "False", "message": message,
        "lastTransitionTime": CREATED,
    }  # fmt: skip
    problem = pod_seen(_pod(conditions=[condition]), 0.0).problem
    assert problem is not None
    assert problem.reason == reason
    assert field in problem.text


def test_a_pod_older_than_the_topology_has_to_be_told() -> None:
    at = unix_seconds(CREATED)
    assert pod_seen(_pod(), at + 1).is_older_than_topology
    assert not pod_seen(_pod(), at - 1).is_older_than_topology
