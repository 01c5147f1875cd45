"""A pod as the API gives it -> what the planner needs to know of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trading_operator.planner.kubernetes.children import COMPONENT_LABEL, ROLE_LABEL
from trading_operator.planner.kubernetes.seen import (
    REVISION_ANNOTATION,
    TEMPLATE_ANNOTATION,
    PodProblem,
    PodSeen,
)
from trading_operator.planner.observed import Role

IMAGE_REASONS = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
    "RegistryUnavailable", "ImageInspectError",
})  # fmt: skip
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})
MESSAGE_CHARACTERS_MAX = 300


def pod_seen(body: dict[str, Any], topology_changed_at: float) -> PodSeen:
    """One pod. `topology_changed_at` = when the topology's ConfigMap last changed, Unix seconds."""
    metadata, status = body["metadata"], body.get("status", {})
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    role = labels.get(ROLE_LABEL, "")
    created_at = unix_seconds(metadata.get("creationTimestamp", ""))
    told = annotations.get(REVISION_ANNOTATION, "0")
    conditions = status.get("conditions") or ()
    ready: dict[str, str] = next((each for each in conditions if each["type"] == "Ready"), {})
    is_ready = ready.get("status") == "True"
    return PodSeen(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        role=role,
        component=_component(metadata["name"], role, labels.get(COMPONENT_LABEL, "")),
        template_hash=annotations.get(TEMPLATE_ANNOTATION, ""),
        ip=status.get("podIP", ""),
        is_ready=is_ready,
        unready_since=0.0 if is_ready else unix_seconds(ready.get("lastTransitionTime") or ""),
        is_deleting="deletionTimestamp" in metadata,
        is_older_than_topology=created_at <= topology_changed_at,
        told_revision=int(told) if told.isdigit() else 0,
        problem=_problem(body, created_at),
    )


def unix_seconds(text: str) -> float:
    """RFC 3339 -> Unix seconds; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _component(name: str, role: str, component: str) -> str:
    """Nodes share one template, so their pods are told apart by their numbers."""
    if role == Role.NODE:
        return f"{Role.NODE}-{name.rpartition('-')[2]}"
    return "" if role == Role.REPLICA else component


def _problem(body: dict[str, Any], created_at: float) -> PodProblem | None:
    status = body.get("status", {})
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            text = condition.get("message", "")[:MESSAGE_CHARACTERS_MAX]
            since = unix_seconds(condition.get("lastTransitionTime") or "")
            if "PersistentVolumeClaim" in text or "storageclass" in text.lower():
                text += "; see spec.shards.storage.storageClass and the StorageClasses that exist"
                return PodProblem("StorageUnavailable", text, True, since)
            text += "; make room, or ask for less in the resources of its tier"
            return PodProblem("Unschedulable", text, True, since)
    containers = [
        *(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())
    ]  # fmt: skip
    for container in containers:
        waiting = container.get("state", {}).get("waiting") or {}
        reason, said = waiting.get("reason", ""), waiting.get("message", "")
        text = f"{reason}: {' '.join(said.split())[:MESSAGE_CHARACTERS_MAX]}"
        if reason in IMAGE_REASONS:
            text = f"spec.image: {container.get('image', '')} cannot be had ({text}); correct it"
            return PodProblem("ImageUnavailable", text, True, created_at)
        if reason in CONFIG_REASONS:
            return PodProblem("SecretMissing", text, True, created_at)
        if reason == "CrashLoopBackOff":
            return PodProblem("ComponentFailed", f"it keeps ending ({text})", False, created_at)
    return None
