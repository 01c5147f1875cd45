"""The chart: it renders what an API server takes, in both scopes; upgrades keep what is there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes_cluster.binaries import CHART, ensure
from kubernetes_cluster.control_plane import ControlPlane
from kubernetes_cluster.schemas import write_schemas
from operator_process import ROOT, Kubectl

pytestmark = pytest.mark.kubernetes
Helm = Callable[..., str]
CHART_FOLDER = ROOT / "charts" / "trading-operator"
CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "Namespace", "CustomResourceDefinition"}
SCOPES = ((), ("--set", "rbac.scope=namespace"), ("--set", "namespaces={a,b}"))


def _rendered(helm: Helm, *words: str, chart: Path = CHART_FOLDER) -> list[dict[str, Any]]:
    text = helm("template", "trading-operator", str(chart), "-n", "trading-system", *words)
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.fixture(scope="session")
def schemas(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> str:
    """For kubeconform."""
    folder = tmp_path_factory.mktemp("schemas")
    return write_schemas(lambda path: plane.kubectl("get", "--raw", path), folder)


def _conforms(schemas: str, text: str) -> str:
    """What kubeconform has against a text; empty = nothing."""
    done = subprocess.run(
        [
            str(ensure(CHART) / "kubeconform"), "-strict", "-summary", "-verbose",
            "-schema-location", schemas,
        ],
        input=text, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Summary: 0 resources" not in done.stdout, done.stdout
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_linter_of_helm_finds_nothing(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART_FOLDER))


@pytest.mark.parametrize("scope", SCOPES, ids=("all namespaces", "its own", "two namespaces"))
def test_what_it_renders_is_what_kubernetes_knows(
    helm: Helm, schemas: str, scope: tuple[str, ...]
) -> None:
    text = helm("template", "trading-operator", str(CHART_FOLDER), "-n", "trading-system", *scope)
    assert _conforms(schemas, text) == ""


def test_a_field_that_does_not_exist_would_be_found(helm: Helm, schemas: str) -> None:
    (deployment,) = [each for each in _rendered(helm) if each["kind"] == "Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    assert "imagePolicy" in _conforms(schemas, yaml.safe_dump(deployment))


@pytest.mark.parametrize("golden", sorted((ROOT / "operator").glob("**/golden/*.yaml")), ids=str)
def test_the_objects_of_a_cluster_are_what_kubernetes_knows(schemas: str, golden: Path) -> None:
    objects = [each for each in yaml.safe_load_all(golden.read_text()) if each]
    known = [each for each in objects if each["kind"] != "HTTPRoute"]  # has no schema here
    assert _conforms(schemas, yaml.safe_dump_all(known)) == ""


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*/cluster.yaml")), ids=str)
def test_the_examples_are_what_the_definition_says(schemas: str, example: Path) -> None:
    assert _conforms(schemas, example.read_text()) == ""


def test_one_namespace_needs_no_object_outside_of_it_but_the_definition(helm: Helm) -> None:
    objects = _rendered(helm, "--set", "rbac.scope=namespace")
    outside = {each["kind"] for each in objects if each["kind"] in CLUSTER_SCOPED}
    assert outside == {"CustomResourceDefinition"}
    rest = [each for each in objects if each["kind"] not in CLUSTER_SCOPED]
    assert {each["metadata"]["namespace"] for each in rest} == {"trading-system"}


def test_no_right_is_given_by_a_star(helm: Helm) -> None:
    for scope in SCOPES:
        for each in _rendered(helm, *scope):
            for rule in each.get("rules", ()):
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--set", "replicas=0"), "replicas"),
        (("--set", "rbac.scope=everything"), "scope"),
        (("--set", "replica=2"), "replica"),
        (("--set-string", "leaseSeconds=soon"), "leaseSeconds"),
    ],
)
def test_values_that_are_wrong_are_refused_by_name(
    helm: Helm, words: tuple[str, ...], field: str
) -> None:
    with pytest.raises(AssertionError, match=field):
        _rendered(helm, *words)


def test_an_upgrade_and_a_removal_keep_every_cluster(
    helm: Helm, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """The chart of the version before is made here: there is no release yet to take it from."""
    release, before = f"op-{namespace}", tmp_path / "before"
    shutil.copytree(CHART_FOLDER, before)
    text = (before / "Chart.yaml").read_text()
    described = yaml.safe_load(text)
    described |= {"version": "0.0.9", "appVersion": "0.0.9"}
    (before / "Chart.yaml").write_text(yaml.safe_dump(described))
    words = ("-n", namespace, "--set", "rbac.scope=namespace")
    own = ("--take-ownership",)  # of the definition, which other tests use too
    helm("install", release, str(before), *words, *own)
    minimal = (ROOT / "examples" / "01-minimal" / "cluster.yaml").read_text()
    kubectl("apply", "-n", namespace, "-f", "-", stdin=minimal)
    uid = kubectl.get("tradingclusters", namespace, "minimal")["metadata"]["uid"]
    helm("upgrade", release, str(CHART_FOLDER), *words, *own)
    (deployment,) = [
        each for each in kubectl.get("deployments", namespace)["items"]
        if each["metadata"]["name"] == release
    ]  # fmt: skip
    version = described["appVersion"]
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert not image.endswith(version)
    helm("uninstall", release, "-n", namespace)
    assert kubectl.get("tradingclusters", namespace, "minimal")["metadata"]["uid"] == uid
    kubectl("get", "crd", "tradingclusters.hft.trading")
