"""Who the pods are to the Kubernetes API: nobody, except that Patroni keeps its state there."""

from __future__ import annotations

from collections.abc import Iterator

from trading_operator.substrates.kubernetes.children.building import ClusterIdentity, Object


def objects(identity: ClusterIdentity) -> Iterator[Object]:
    """Accounts and the one Role."""
    shard = f"{identity.name}-shard"
    for name in (f"{identity.name}-data", shard):
        yield {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": identity.metadata(name),
            "automountServiceAccountToken": False,
        }
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": identity.metadata(shard),
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["pods"],
                "verbs": ["get", "list", "watch", "patch"],
            },
            {
                "apiGroups": [""],
                "resources": ["endpoints"],
                "verbs": ["get", "list", "watch", "create", "patch", "update"],
            },
        ],
    }
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": identity.metadata(shard),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": shard},
        "subjects": [{"kind": "ServiceAccount", "name": shard, "namespace": identity.namespace}],
    }
