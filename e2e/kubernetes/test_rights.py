"""The operator's rights are exactly those that it needs; read from the API server's audit log."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from kubernetes_cluster.control_plane import ControlPlane
from kubernetes_cluster.rights import Right, granted, used
from operator_process import ROOT
from trading_operator.substrates.kubernetes.children import access
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity

pytestmark = pytest.mark.kubernetes
CHART_FOLDER = ROOT / "charts" / "trading-operator"
GATEWAY = "gateway.networking.k8s.io"
# The operator grants it to Patroni, and nobody can grant what they do not hold.
GRANTED_ON = granted(
    each
    for each in access.objects(ClusterIdentity("demo", "default", "uid"))
    if each["kind"] == "Role"
)
# What else is granted and not seen here, and why.
NOT_SEEN = {
    # The planner keeps its last twenty moves, and no test makes more.
    Right("delete", "hft.trading", "symbolmoves"),
    # No Gateway API is installed here.
    *(Right(verb, GATEWAY, "httproutes") for verb in ("get", "create", "patch", "delete")),
}
MANY = 20


def test_every_right_is_used_and_nothing_else_is_asked_for(
    plane: ControlPlane, helm: Callable[..., str]
) -> None:
    rights, refused = used(plane.audit_log, "trading-operator")
    if len(rights) < MANY:
        pytest.skip("it judges what the other tests of this folder did: run them all")
    # One test sends an operator where it has no rights, into a namespace of that name; another
    # one starts the API server anew, which refuses everything until it has read the Roles.
    unexplained = [
        each
        for each in refused
        if "-elsewhere/" not in each.uri and not plane.was_starting(each.at)
    ]
    assert unexplained == []
    text = helm(
        "template", "trading-operator", str(CHART_FOLDER), "--set", "rbac.scope=namespace",
        "-s", "templates/rbac.yaml",
    )  # fmt: skip
    roles = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "Role"]
    assert sorted(granted(roles) - rights - GRANTED_ON - NOT_SEEN) == []
