"""Fixtures: an API server of its own for the control plane's tests, and operators on it.

Operators run as the ServiceAccount of the chart, installed in the test's namespace alone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stub_kubelet import StubKubelet

from diagnostics import keep_logs
from kubernetes_cluster.binaries import CHART, ensure
from kubernetes_cluster.control_plane import ControlPlane
from kubernetes_cluster.processes import free_port
from operator_process import ROOT, Kubectl, OperatorProcess

SETTINGS = {"TRADING_OPERATOR_RESYNC_SECONDS": "2"}
DEFINITIONS = [str(ROOT / "crds" / f"{each}.yaml") for each in ("tradingclusters", "symbolmoves")]
CHART_FOLDER = ROOT / "charts" / "trading-operator"
Helm = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges the other tests comes last."""
    items.sort(key=lambda item: item.path.name == "test_rights.py")


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """An API server with its controllers and our definition; pods become ready by a stub."""
    folder = Path(tempfile.mkdtemp(prefix="tc-plane-", dir="/var/tmp"))
    made = ControlPlane(folder)
    try:
        made.start()
        for definition in DEFINITIONS:
            made.install(definition)
        kubelet = StubKubelet(made.kubeconfig)
        kubelet.start()
        yield made
        kubelet.stop()
    finally:
        made.stop()
        if request.session.testsfailed:
            keep_logs(folder, "control-plane")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kubectl(plane: ControlPlane) -> Kubectl:
    """As the administrator."""
    return Kubectl(plane.kubeconfig, str(plane.binaries / "kubectl"))


@pytest.fixture(scope="session")
def helm(plane: ControlPlane) -> Helm:
    """Run helm; returns its stdout, raises with what it said."""
    binary = ensure(CHART) / "helm"

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(binary), *words, "--kubeconfig", str(plane.kubeconfig)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def namespace(kubectl: Kubectl, helm: Helm) -> Iterator[str]:
    """A namespace of its own, with the operator's rights in it and nowhere else."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    rights = helm(
        "template", "trading-operator", str(CHART_FOLDER), "-n", name,
        "--set", "rbac.scope=namespace", "-s", "templates/rbac.yaml",
    )  # fmt: skip
    kubectl("apply", "-f", "-", stdin=rights)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def start_operator(
    plane: ControlPlane, namespace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators that serve the test's namespace alone; they end with the test."""
    started: list[OperatorProcess] = []

    def start(identity: str = "a", crash: str = "", **extra: str) -> OperatorProcess:
        process = OperatorProcess(
            plane.account_kubeconfig(namespace, "trading-operator"),
            tmp_path, identity, namespace, namespace,
            {**SETTINGS, **extra},
            port=free_port(), world_kubeconfig=plane.kubeconfig,
        )  # fmt: skip
        started.append(process.start(crash))
        return process

    yield start
    for process in started:
        process.kill()
    if request.session.testsfailed:
        keep_logs(tmp_path, request.node.name)
