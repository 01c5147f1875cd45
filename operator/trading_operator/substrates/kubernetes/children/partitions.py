"""The partitions: a StatefulSet each, as each is the only writer of its slots."""

from __future__ import annotations

from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.substrates.kubernetes.children.building import (
    SECRETS_FOLDER,
    TOPOLOGY_FOLDER,
    ClusterIdentity,
    Object,
    container,
    env,
    http_probe,
    pod_template,
    secrets_mount,
    secrets_volume,
    topology_mount,
    topology_volume,
)

ROLE = "partition"
PORT = 9000
HEALTH_PORT = 9001
STARTUP_SECONDS_MAX = 600  # a book of many millions of orders is loaded before it answers


def service(identity: ClusterIdentity) -> Object:
    """Gives every partition's pod a stable name, ready or not."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(f"{identity.name}-partitions", ROLE),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": identity.selector(ROLE),
            "ports": [{"name": "wire", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
        },
    }


def stateful_set(identity: ClusterIdentity, spec: TradingClusterSpec, component: str) -> Object:
    """One partition. Its pod is replaced by us alone, and a new one fences the old by its epoch."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": identity.metadata(f"{identity.name}-{component}", ROLE, component),
        "spec": {
            "replicas": 1,
            "serviceName": f"{identity.name}-partitions",
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": identity.selector(ROLE, component)},
            "template": _template(identity, spec, component),
        },
    }


def _template(identity: ClusterIdentity, spec: TradingClusterSpec, component: str) -> Object:
    main = container(
        "partition",
        spec,
        ["trading-engine", "run"],
        spec.partitions.resources,
        env=env(
            TRADING_ENGINE_PARTITION=component,
            TRADING_ENGINE_TOPOLOGY_FILE=f"{TOPOLOGY_FOLDER}/topology.json",
            TRADING_ENGINE_SECRETS_FOLDER=SECRETS_FOLDER,
            TRADING_ENGINE_LISTEN_HOST="0.0.0.0",  # noqa: S104 -- a pod's own network
            TRADING_ENGINE_LISTEN_PORT=str(PORT),
            TRADING_ENGINE_HEALTH_PORT=str(HEALTH_PORT),
            TRADING_ENGINE_LOG_LEVEL=spec.observability.log_level,
        ),
        ports=[
            {"name": "wire", "containerPort": PORT, "protocol": "TCP"},
            {"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"},
        ],
        volumeMounts=[topology_mount(), secrets_mount()],
        startupProbe=http_probe("/healthz", HEALTH_PORT, 1, STARTUP_SECONDS_MAX),
        readinessProbe=http_probe("/readyz", HEALTH_PORT, 1, 2),
        livenessProbe=http_probe("/healthz", HEALTH_PORT, 5, 6),
    )
    pod: Object = {
        "serviceAccountName": f"{identity.name}-data",
        "containers": [main],
        "volumes": [topology_volume(identity), secrets_volume(identity, ["tc_engine"])],
    }
    return pod_template(identity, spec, ROLE, component, pod)
