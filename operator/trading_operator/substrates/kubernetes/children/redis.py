"""The Redis nodes: one StatefulSet; the planner forms the cluster out of them."""

from __future__ import annotations

from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.topology import quantity_bytes
from trading_operator.substrates.kubernetes.children.building import (
    ClusterIdentity,
    Object,
    container,
    env,
    env_from_field,
    pod_template,
)

ROLE = "redis"
PORT = 6379
BUS_PORT = 16_379
DISK = "64Mi"  # holds nodes.conf, the node's identity; the data is derived and not kept


def service(identity: ClusterIdentity) -> Object:
    """Gives every node a stable name, ready or not."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(f"{identity.name}-redis", ROLE),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": identity.selector(ROLE),
            "ports": [
                {"name": "redis", "port": PORT, "targetPort": PORT, "protocol": "TCP"},
                {"name": "bus", "port": BUS_PORT, "targetPort": BUS_PORT, "protocol": "TCP"},
            ],
        },
    }


def stateful_set(identity: ClusterIdentity, spec: TradingClusterSpec, nodes: int) -> Object:
    """All nodes; what they hold can be published again, so their disks go with them."""
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": DISK}},
    }
    if spec.shards.storage.storage_class is not None:
        claim["storageClassName"] = spec.shards.storage.storage_class
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": identity.metadata(f"{identity.name}-redis", ROLE),
        "spec": {
            "replicas": nodes,
            "serviceName": f"{identity.name}-redis",
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Delete",
                "whenScaled": "Delete",
            },
            "selector": {"matchLabels": identity.selector(ROLE)},
            "template": _template(identity, spec),
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data", "labels": identity.labels(ROLE)},
                    "spec": claim,
                }
            ],
        },
    }


def _template(identity: ClusterIdentity, spec: TradingClusterSpec) -> Object:
    memory = quantity_bytes(spec.redis.resources.memory)
    ping = {"exec": {"command": ["redis-cli", "-p", str(PORT), "ping"]}}
    main = container(
        "redis",
        spec,
        ["trading-redis"],
        spec.redis.resources,
        env=[
            env_from_field("POD_IP", "status.podIP"),
            env_from_field("POD_NAME", "metadata.name"),
            *env(
                TRADING_REDIS_DOMAIN=f"{identity.name}-redis.{identity.namespace}.svc",
                TRADING_REDIS_MAXMEMORY_BYTES=str(memory * 3 // 4),
            ),
        ],
        ports=[
            {"name": "redis", "containerPort": PORT, "protocol": "TCP"},
            {"name": "bus", "containerPort": BUS_PORT, "protocol": "TCP"},
        ],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        startupProbe={**ping, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 120},
        readinessProbe={**ping, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2},
        livenessProbe={**ping, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    )
    pod: Object = {
        "serviceAccountName": f"{identity.name}-data",
        "terminationGracePeriodSeconds": 10,
        "containers": [main],
    }
    return pod_template(identity, spec, ROLE, "", pod)
