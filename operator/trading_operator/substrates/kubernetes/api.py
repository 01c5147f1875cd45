"""The calls of the Kubernetes API that the operator makes: the official client, bounded in time.

Paths come from a table instead of discovery, so that no right but those for the kinds themselves is
needed and a start costs no calls.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.dynamic import DynamicClient

from trading_contract.errors import UserError, WorldError
from trading_operator.effects import Seam
from trading_operator.planner.kubernetes.children import CHILD_MANAGER

Body = dict[str, Any]
CALL_SECONDS_MAX = 15.0
PAGE_ITEMS = 500
STATUS_MANAGER = "trading-operator-status"
NOT_FOUND, CONFLICT, UNPROCESSABLE, FORBIDDEN = 404, 409, 422, 403


@dataclass(frozen=True)
class Kind:
    """Where the objects of a kind live."""

    name: str
    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """As manifests say it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The path of one object, or of all of a namespace, or of all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{place}/{self.plural}{tail}"


CLUSTER = Kind("TradingCluster", "hft.trading", "v1alpha1", "tradingclusters")
MOVE = Kind("SymbolMove", "hft.trading", "v1alpha1", "symbolmoves")
OWN = (CLUSTER, MOVE)  # kinds of ours: people make their objects, so no label is asked for
POD = Kind("Pod", "", "v1", "pods")
CLAIM = Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims")
LEASE = Kind("Lease", "coordination.k8s.io", "v1", "leases")
EVENT = Kind("Event", "events.k8s.io", "v1", "events")
CHILDREN = {
    kind.name: kind
    for kind in (
        Kind("Secret", "", "v1", "secrets"),
        Kind("ConfigMap", "", "v1", "configmaps"),
        Kind("ServiceAccount", "", "v1", "serviceaccounts"),
        Kind("Service", "", "v1", "services"),
        Kind("Role", "rbac.authorization.k8s.io", "v1", "roles"),
        Kind("RoleBinding", "rbac.authorization.k8s.io", "v1", "rolebindings"),
        Kind("StatefulSet", "apps", "v1", "statefulsets"),
        Kind("Deployment", "apps", "v1", "deployments"),
        Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
        Kind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
        Kind("Ingress", "networking.k8s.io", "v1", "ingresses"),
        Kind("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes"),
    )
}
# Kinds that a Kubernetes cluster may not have: their absence is a fact, not an error.
OPTIONAL = frozenset({"HTTPRoute"})
KINDS = {**CHILDREN, POD.name: POD, CLAIM.name: CLAIM, **{kind.name: kind for kind in OWN}}


class ApiError(WorldError):
    """The API server refused a call; `code` is the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


async def connect(seam: Seam | None = None, kubeconfig: str | None = None) -> KubernetesApi:
    """The API of the pod's own Kubernetes cluster, else of the kubeconfig (default: KUBECONFIG).

    Raises `UserError` when there is neither.
    """
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException:
        try:
            await load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, client_configuration=configuration
            )
        except (ConfigException, OSError) as error:
            text = f"no Kubernetes: not in a pod, and no kubeconfig ({error}); set KUBECONFIG"
            raise UserError(text) from error
    return KubernetesApi(ApiClient(configuration), seam)


class KubernetesApi:
    """One connection pool. Every call ends in `CALL_SECONDS_MAX`; WorldError = try again later."""

    def __init__(self, client: ApiClient, seam: Seam | None = None) -> None:
        self.client = client
        self._seam = seam or Seam()
        self._dynamic = DynamicClient(client)  # type: ignore[no-untyped-call]
        self.calls: dict[tuple[str, str], int] = {}

    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Body]:
        """All objects, page by page; an optional kind that is not served has none."""
        items: list[Body] = []
        token = None
        while True:
            try:
                page = await self._call(
                    "get", kind, kind.path(namespace), label_selector=selector or None,
                    limit=PAGE_ITEMS, _continue=token,
                )  # fmt: skip
            except ApiError as error:
                if kind.name in OPTIONAL and error.code in (NOT_FOUND, FORBIDDEN):
                    return []
                raise
            named = {"kind": kind.name, "apiVersion": kind.api_version}
            items.extend({**item, **named} for item in page.get("items", ()))
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """One object; None when it is not there."""
        try:
            return await self._call("get", kind, kind.path(namespace, name))
        except ApiError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def apply(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Body:
        """Server-side apply of our fields; creates what is not there."""
        name = manifest["metadata"]["name"]
        return await self._call(
            "patch", kind, kind.path(namespace, name), body=dict(manifest),
            content_type="application/apply-patch+yaml", field_manager=CHILD_MANAGER,
            force_conflicts=True,
        )  # fmt: skip

    async def apply_status(
        self, kind: Kind, namespace: str, name: str, status: Mapping[str, Any]
    ) -> Body:
        """Server-side apply of the whole status of an object of ours, in one write."""
        body = {
            "apiVersion": kind.api_version, "kind": kind.name,
            "metadata": {"name": name, "namespace": namespace}, "status": dict(status),
        }  # fmt: skip
        return await self._call(
            "patch", kind, kind.path(namespace, name, "status"), body=body,
            content_type="application/apply-patch+yaml", field_manager=STATUS_MANAGER,
            force_conflicts=True,
        )  # fmt: skip

    async def create(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Body:
        """Create; an object that is there already is an error with code 409."""
        return await self._call(
            "post", kind, kind.path(namespace), body=dict(manifest), field_manager=CHILD_MANAGER
        )

    async def replace(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Body:
        """Write a whole object; only if nobody changed it since it was read."""
        path = kind.path(namespace, body["metadata"]["name"])
        return await self._call("put", kind, path, body=dict(body))

    async def annotate(
        self, kind: Kind, namespace: str, name: str, uid: str, annotations: Mapping[str, str]
    ) -> Body:
        """Set annotations on exactly the object that was seen."""
        body = {"metadata": {"uid": uid, "annotations": dict(annotations)}}
        return await self.merge(kind, kind.path(namespace, name), body)

    async def merge(self, kind: Kind, path: str, body: Mapping[str, Any]) -> Body:
        """A JSON merge patch of what is at `path`."""
        return await self._call(
            "patch", kind, path, body=dict(body), content_type="application/merge-patch+json",
            field_manager=CHILD_MANAGER,
        )  # fmt: skip

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = ""
    ) -> None:
        """Delete exactly the object that was seen.

        One that is gone, or that has a successor of the same name, is no error.
        """
        conditions = {"uid": uid}
        if resource_version:
            conditions["resourceVersion"] = resource_version
        body = {
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions,
            "propagationPolicy": "Background",
        }  # fmt: skip
        try:
            await self._call("delete", kind, kind.path(namespace, name), body=body)
        except ApiError as error:
            is_other = error.code == CONFLICT and not resource_version
            if error.code != NOT_FOUND and not is_other:
                raise

    async def _call(self, method: str, kind: Kind, path: str, **options: Any) -> Body:
        count = (method, kind.name)
        self.calls[count] = self.calls.get(count, 0) + 1
        is_change = method != "get"
        if is_change:
            self._seam.before(f"{method} {path}")
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                response = await self._dynamic.request(method, path, serialize=False, **options)
                body: Body = await response.json()
        except ApiException as error:
            raise ApiError(error.status or 0, f"{kind.name} {path}: {_message(error)}") from error
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            text = f"the API server does not answer ({type(error).__name__})"
            raise ApiError(0, text) from error
        if is_change:
            self._seam.after(f"{method} {path}")
        return body

    async def close(self) -> None:
        """Drop all connections."""
        await self.client.close()  # type: ignore[no-untyped-call]


def _message(error: ApiException) -> str:
    """What the API server says of a refusal, in one line."""
    try:
        text = str(json.loads(error.body or "")["message"])
    except (ValueError, TypeError, KeyError):
        text = str(error.reason)
    return " ".join(text.split())[:500]
