"""The shards: PostgreSQL under Patroni, whose store is the Kubernetes API itself."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.topology import shard_settings
from trading_operator.substrates.kubernetes.children.building import (
    SECRETS_FOLDER,
    ClusterIdentity,
    Object,
    claim_retention,
    container,
    env,
    env_from_field,
    goes_with_cluster,
    http_probe,
    pod_template,
    secrets_mount,
    secrets_volume,
)

ROLE = "shard"
PORT = 5432
PATRONI_PORT = 8008
# Their Endpoints hold Patroni's state. Kubernetes removes Endpoints that have no Service, so these
# must be there, and they must live as long as the disks.
PATRONI_SERVICES = ("", "-config", "-sync", "-failover")
SCOPE_LABEL = "hft.trading/scope"
CREDENTIALS = ["postgres", "replication", "patroni"]


def scope(identity: ClusterIdentity, component: str) -> str:
    """Patroni's name of a shard."""
    return f"{identity.name}-{component}"


def services(
    identity: ClusterIdentity, spec: TradingClusterSpec, component: str
) -> Iterator[Object]:
    """Patroni's four without selector, and the members' stable names."""
    name = scope(identity, component)
    is_owned = goes_with_cluster(spec)
    for suffix in PATRONI_SERVICES:
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": identity.metadata(f"{name}{suffix}", ROLE, component, is_owned=is_owned),
            "spec": {
                "clusterIP": "None",
                "ports": [
                    {"name": "postgresql", "port": PORT, "targetPort": PORT, "protocol": "TCP"}
                ],
            },
        }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(f"{name}-members", ROLE, component),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": identity.selector(ROLE, component),
            "ports": [
                {"name": "postgresql", "port": PORT, "targetPort": PORT, "protocol": "TCP"},
                {
                    "name": "patroni",
                    "port": PATRONI_PORT,
                    "targetPort": PATRONI_PORT,
                    "protocol": "TCP",
                },
            ],
        },
    }


def stateful_set(identity: ClusterIdentity, spec: TradingClusterSpec, component: str) -> Object:
    """One shard with its members."""
    storage = spec.shards.storage
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.storage_class is not None:
        claim["storageClassName"] = storage.storage_class
    labels = identity.labels(ROLE, component)
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": identity.metadata(scope(identity, component), ROLE, component),
        "spec": {
            "replicas": spec.shards.members,
            "serviceName": f"{scope(identity, component)}-members",
            # One after the other would wait for ever when the first waits for the second.
            "podManagementPolicy": "Parallel",
            # The rolling update of Kubernetes knows no primaries.
            "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": claim_retention(spec),
            "selector": {"matchLabels": identity.selector(ROLE, component)},
            "template": _template(identity, spec, component),
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data", "labels": labels},
                    "spec": claim,
                }
            ],
        },
    }


def _template(identity: ClusterIdentity, spec: TradingClusterSpec, component: str) -> Object:
    settings = shard_settings(spec)
    variables = env(
        TRADING_SHARD_SCOPE=scope(identity, component),
        TRADING_SHARD_NAMESPACE=identity.namespace,
        TRADING_SHARD_CLUSTER=identity.name,
        TRADING_SHARD_MEMBERS=str(spec.shards.members),
        TRADING_SHARD_DURABILITY=spec.shards.durability.value,
        TRADING_SHARD_SECRETS_FOLDER=SECRETS_FOLDER,
        **{f"TRADING_SHARD_{key.upper()}": value for key, value in settings.items()},
    )
    main = container(
        "postgres",
        spec,
        ["trading-shard"],
        spec.shards.resources,
        env=[
            env_from_field("POD_IP", "status.podIP"),
            env_from_field("POD_NAME", "metadata.name"),
            *variables,
        ],
        ports=[
            {"name": "postgresql", "containerPort": PORT, "protocol": "TCP"},
            {"name": "patroni", "containerPort": PATRONI_PORT, "protocol": "TCP"},
        ],
        volumeMounts=[
            {"name": "data", "mountPath": "/data"},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
            secrets_mount(),
        ],
        startupProbe=http_probe("/liveness", PATRONI_PORT, 1, 300),
        readinessProbe=http_probe("/readiness", PATRONI_PORT, 1, 3),
        livenessProbe=http_probe("/liveness", PATRONI_PORT, 5, 3),
    )
    pod: Object = {
        "serviceAccountName": f"{identity.name}-shard",
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 60,
        "containers": [main],
        "volumes": [
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
            secrets_volume(identity, CREDENTIALS),
        ],
    }
    # Patroni finds the members of a shard by this label.
    label = {SCOPE_LABEL: scope(identity, component)}
    return pod_template(identity, spec, ROLE, component, pod, **label)
