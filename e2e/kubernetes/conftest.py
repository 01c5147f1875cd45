"""Fixtures: an API server of its own for the control plane's tests, and operators on it."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stub_kubelet import StubKubelet

from kubernetes_cluster.control_plane import ControlPlane
from kubernetes_cluster.processes import free_port
from operator_process import ROOT, Kubectl, OperatorProcess

SETTINGS = {"TRADING_OPERATOR_RESYNC_SECONDS": "2", "TRADING_OPERATOR_LEASE_SECONDS": "5"}
DEFINITION = ROOT / "crds" / "tradingclusters.yaml"


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """An API server with its controllers and our definition; pods become ready by a stub."""
    folder = Path(tempfile.mkdtemp(prefix="tc-plane-", dir="/var/tmp"))
    made = ControlPlane(folder)
    try:
        made.start()
        made.kubectl("apply", "--server-side", "-f", str(DEFINITION))
        made.kubectl("wait", "--for=condition=Established", "-f", str(DEFINITION))
        kubelet = StubKubelet(made.kubeconfig)
        kubelet.start()
        yield made
        kubelet.stop()
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kubectl(plane: ControlPlane) -> Kubectl:
    """As the administrator."""
    return Kubectl(plane.kubeconfig, str(plane.binaries / "kubectl"))


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of its own."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def start_operator(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators that serve the test's namespace alone; they end with the test."""
    started: list[OperatorProcess] = []

    def start(identity: str = "a", crash: str = "", **extra: str) -> OperatorProcess:
        process = OperatorProcess(
            plane.kubeconfig, tmp_path, identity, namespace, namespace,
            {**SETTINGS, **extra},
            port=free_port(),
        )  # fmt: skip
        started.append(process.start(crash))
        return process

    yield start
    for process in started:
        process.kill()
