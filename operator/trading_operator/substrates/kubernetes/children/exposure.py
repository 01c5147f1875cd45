"""Where clients connect: a Service, and if asked for an Ingress and an HTTPRoute."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.tradingcluster import GatewaySpec, TradingClusterSpec
from trading_operator.substrates.kubernetes.children import backends
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity, Object

DEFAULT_PORT = 80


def objects(identity: ClusterIdentity, spec: TradingClusterSpec) -> Iterator[Object]:
    """The Service first."""
    port = spec.exposure.port or DEFAULT_PORT
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(identity.name, backends.ROLE),
        "spec": {
            "type": "ClusterIP",
            "selector": identity.selector(backends.ROLE),
            "ports": [
                {"name": "http", "port": port, "targetPort": backends.PORT, "protocol": "TCP"}
            ],
        },
    }
    if spec.exposure.ingress_host is not None:
        yield _ingress(identity, spec.exposure.ingress_host, port)
    if spec.exposure.gateway is not None:
        yield _route(identity, spec, spec.exposure.gateway, port)


def _ingress(identity: ClusterIdentity, host: str, port: int) -> Object:
    backend = {"service": {"name": identity.name, "port": {"number": port}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": identity.metadata(identity.name),
        "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]},
    }


def _route(
    identity: ClusterIdentity, spec: TradingClusterSpec, gateway: GatewaySpec, port: int
) -> Object:
    parent = gateway.model_dump(by_alias=True, exclude_none=True)
    host = spec.exposure.ingress_host
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": identity.metadata(identity.name),
        "spec": {
            "parentRefs": [parent],
            **({"hostnames": [host]} if host else {}),
            "rules": [{"backendRefs": [{"name": identity.name, "port": port}]}],
        },
    }
