"""The replicas: a Deployment that drains before it stops."""

from __future__ import annotations

from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.substrates.kubernetes.children.building import (
    SECRETS_FOLDER,
    TOPOLOGY_FOLDER,
    ClusterIdentity,
    Object,
    container,
    env,
    env_from_field,
    http_probe,
    pod_template,
    secrets_mount,
    secrets_volume,
    topology_mount,
    topology_volume,
)

ROLE = "replica"
PORT = 8080
# After SIGTERM: this long not ready and still serving, until no balancer sends to it any more.
DRAIN_NOTICE_SECONDS = 5
DRAIN_SECONDS = 15


def api_keys_name(identity: ClusterIdentity, spec: TradingClusterSpec) -> str:
    """The Secret with the API keys: a person's, else ours."""
    return spec.access.api_keys_secret_ref or f"{identity.name}-api-keys"


def deployment(identity: ClusterIdentity, spec: TradingClusterSpec) -> Object:
    """No replica goes before its successor is ready; the number may be somebody else's."""
    body: Object = {
        "selector": {"matchLabels": identity.selector(ROLE)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": _template(identity, spec),
    }
    if spec.backends.managed_by != "External":
        body["replicas"] = spec.backends.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": identity.metadata(f"{identity.name}-backend", ROLE),
        "spec": body,
    }


def _template(identity: ClusterIdentity, spec: TradingClusterSpec) -> Object:
    variables = env(
        TRADING_BACKEND_TOPOLOGY_FILE=f"{TOPOLOGY_FOLDER}/topology.json",
        TRADING_BACKEND_SECRETS_FOLDER=SECRETS_FOLDER,
        TRADING_BACKEND_LISTEN_HOST="0.0.0.0",  # noqa: S104 -- a pod's own network
        TRADING_BACKEND_LISTEN_PORT=str(PORT),
        TRADING_BACKEND_LOG_LEVEL=spec.observability.log_level,
        TRADING_BACKEND_DRAIN_NOTICE_SECONDS=str(DRAIN_NOTICE_SECONDS),
        TRADING_BACKEND_DRAIN_SECONDS=str(DRAIN_SECONDS),
    )
    main = container(
        "backend",
        spec,
        ["trading-backend", "run"],
        spec.backends.resources,
        env=[env_from_field("TRADING_BACKEND_REPLICA", "metadata.name"), *variables],
        ports=[{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        volumeMounts=[topology_mount(), secrets_mount()],
        startupProbe=http_probe("/healthz", PORT, 1, 120),
        readinessProbe=http_probe("/servez", PORT, 1, 2),
        livenessProbe=http_probe("/healthz", PORT, 5, 6),
    )
    pod: Object = {
        "serviceAccountName": f"{identity.name}-data",
        "terminationGracePeriodSeconds": DRAIN_NOTICE_SECONDS + DRAIN_SECONDS + 10,
        "containers": [main],
        "volumes": [
            topology_volume(identity),
            secrets_volume(identity, ["tc_reader"], api_keys_name(identity, spec)),
        ],
    }
    return pod_template(identity, spec, ROLE, "", pod)
