"""What all objects of a cluster have in common: names, labels, owner, and restricted pods."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trading_contract.tradingcluster import ReclaimPolicy, Resources, TradingClusterSpec
from trading_operator.planner.kubernetes.children import (
    CLUSTER_LABEL,
    COMPONENT_LABEL,
    ROLE_LABEL,
)
from trading_operator.planner.kubernetes.seen import TEMPLATE_ANNOTATION

API_VERSION = "hft.trading/v1alpha1"
MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "trading-operator"
USER = 10_001
HASH_CHARACTERS = 16
TOPOLOGY_FOLDER = "/etc/trading/topology"
SECRETS_FOLDER = "/etc/trading/secrets"
Object = dict[str, Any]


@dataclass(frozen=True)
class ClusterIdentity:
    """Which TradingCluster the objects belong to."""

    name: str
    namespace: str
    uid: str

    def labels(self, role: str = "", component: str = "") -> dict[str, str]:
        """The labels of an object or a pod."""
        labels = {CLUSTER_LABEL: self.name, MANAGED_LABEL: MANAGER}
        if role:
            labels[ROLE_LABEL] = role
        if component:
            labels[COMPONENT_LABEL] = component
        return labels

    def selector(self, role: str, component: str = "") -> dict[str, str]:
        """Which pods are meant; a part of their labels that never changes."""
        labels = self.labels(role, component)
        return {key: value for key, value in labels.items() if key != MANAGED_LABEL}

    def metadata(
        self, name: str, role: str = "", component: str = "", *, is_owned: bool = True
    ) -> Object:
        """Metadata of an object; one that is owned goes with the TradingCluster."""
        metadata: Object = {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels(role, component),
        }
        if is_owned:
            metadata["ownerReferences"] = [self.owner_reference]
        return metadata

    @property
    def owner_reference(self) -> Object:
        """The TradingCluster as the controller."""
        return {
            "apiVersion": API_VERSION,
            "kind": "TradingCluster",
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }


def goes_with_cluster(spec: TradingClusterSpec) -> bool:
    """Whether what the disks need goes when the TradingCluster goes, as the disks do."""
    return spec.shards.storage.reclaim is ReclaimPolicy.DELETE


def claim_retention(spec: TradingClusterSpec) -> Object:
    """The retention policy of the shards' disks."""
    deleted = "Delete" if goes_with_cluster(spec) else "Retain"
    return {"whenDeleted": deleted, "whenScaled": "Retain"}


def resources(wanted: Resources) -> Object:
    """Requests as asked for; memory is limited to it, CPU is not: throttling hurts latency most."""
    return {
        "requests": {"cpu": wanted.cpu, "memory": wanted.memory},
        "limits": {"memory": wanted.memory},
    }


def env(**values: str) -> list[Object]:
    """Environment variables with fixed values, sorted by name."""
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def env_from_field(name: str, path: str) -> Object:
    """An environment variable from the pod's own fields."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def http_probe(path: str, port: int, period_seconds: int, failures: int) -> Object:
    """A probe that asks a path."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def container(
    name: str,
    spec: TradingClusterSpec,
    args: Sequence[str],
    wanted: Resources,
    **more: Any,
) -> Object:
    """A container that Pod Security `restricted` admits, with a read-only root."""
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("tmp", "run")]
    mounts += more.pop("volumeMounts", [])
    return {
        "name": name,
        "image": spec.image,
        "imagePullPolicy": spec.image_pull_policy,
        "args": list(args),
        "resources": resources(wanted),
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **more,
    }


def pod_template(
    identity: ClusterIdentity,
    spec: TradingClusterSpec,
    role: str,
    component: str,
    pod: Object,
    **more_labels: str,
) -> Object:
    """A pod template with labels, safety and spread, and the hash of all of it as annotation."""
    selector = identity.selector(role, component)
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "run", "emptyDir": {}}]
    secrets = [{"name": name} for name in spec.image_pull_secrets]
    template: Object = {
        "metadata": {"labels": {**identity.labels(role, component), **more_labels}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": selector},
                }
            ],
            **({"imagePullSecrets": secrets} if secrets else {}),
            **pod,
            "volumes": [*volumes, *pod.get("volumes", [])],
        },
    }
    template["metadata"]["annotations"] = {TEMPLATE_ANNOTATION: template_hash(template)}
    return template


def template_hash(template: Object) -> str:
    """Changes when pods made from the template would differ."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]


def topology_volume(identity: ClusterIdentity) -> Object:
    """The topology's ConfigMap, as a folder: only so do changes arrive."""
    return {"name": "topology", "configMap": {"name": f"{identity.name}-topology"}}


def topology_mount() -> Object:
    """Where roles find it."""
    return {"name": "topology", "mountPath": TOPOLOGY_FOLDER, "readOnly": True}


def secrets_volume(
    identity: ClusterIdentity, credentials: Sequence[str], api_keys: str = ""
) -> Object:
    """The passwords that a role needs, and the API keys for replicas."""
    items = [{"key": key, "path": key} for key in credentials]
    sources: list[Object] = [{"secret": {"name": f"{identity.name}-credentials", "items": items}}]
    if api_keys:
        file = "api-keys.json"
        sources.append({"secret": {"name": api_keys, "items": [{"key": file, "path": file}]}})
    return {"name": "secrets", "projected": {"defaultMode": 0o440, "sources": sources}}


def secrets_mount() -> Object:
    """Where roles find them."""
    return {"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True}
