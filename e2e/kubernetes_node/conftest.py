"""Fixtures: a Kubernetes with a real kubelet, our image in it, and the operator from its chart.

KUBECONFIG names a cluster to use, which must know the image. Without it, a cluster of kind is made
where Docker and kind are there, else a node of this machine. It goes at the end, unless it was
there before (`python -m kubernetes_cluster up`) or E2E_KEEP is set.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from namespaces import OPERATOR_NAMESPACE, make_namespace, own_namespace, wait_all_are_gone

from diagnostics import keep_logs
from kubernetes_cluster import kind
from kubernetes_cluster.__main__ import down, held, require_all, runs, the_plane, up
from kubernetes_cluster.binaries import CHART, ensure
from kubernetes_cluster.image import IMAGE, build_image
from kubernetes_cluster.node import Node
from kubernetes_cluster.problems import CannotError
from operator_process import ROOT, Kubectl

CHART_FOLDER = ROOT / "charts" / "trading-operator"
TIMES = ROOT / "build" / "e2e-times.json"


@pytest.fixture(scope="session")
def given() -> str:
    """The kubeconfig of the caller; "" = we make a cluster."""
    return os.environ.get("KUBECONFIG", "")


@pytest.fixture(scope="session")
def kubectl(given: str, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """As the administrator of a cluster that runs and has the image."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as end:
        try:
            with capture.global_and_fixture_disabled():  # it may wait, or build for minutes
                require_all()
                binary = str(ensure(("kubectl", *CHART)) / "kubectl")
                kubeconfig = Path(given) if given else make_cluster(end)
        except CannotError as error:
            pytest.exit(f"no cluster to test on: {error}", returncode=1)
        yield Kubectl(kubeconfig, binary)
        if request.session.testsfailed and not given:
            keep_logs(the_plane().folder, "node")


def make_cluster(end: ExitStack) -> Path:
    """One with our image in it, until `end`; returns the administrator's kubeconfig.

    Raises CannotError.
    """
    end.enter_context(held(is_patient=True))
    if kind.is_there():
        was_there = kind.is_up()
        made = kind.up()
        if not was_there:
            end.callback(_unless_kept, kind.down)
        kind.load_built_image()
        return made
    if not runs():
        end.callback(_unless_kept, down)
    up()
    plane = the_plane()
    Node(plane).load_image(build_image())
    return plane.kubeconfig


def _unless_kept(take_down: Callable[[], None]) -> None:
    if not os.environ.get("E2E_KEEP"):
        take_down()


@pytest.fixture(scope="session")
def node(given: str) -> Node:
    """The node that we made, to do to it what a kubectl cannot."""
    if given or kind.is_there():
        pytest.skip("the cluster is not one of ours to take apart")
    return Node(the_plane())


@pytest.fixture(scope="session")
def operator(kubectl: Kubectl, times: dict[str, Any]) -> Iterator[Kubectl]:
    """Two operators from the chart, in a namespace that enforces Pod Security `restricted`."""
    make_namespace(kubectl, OPERATOR_NAMESPACE)
    repository, _, tag = IMAGE.partition(":")
    begun = time.monotonic()
    done = subprocess.run(
        [
            str(ensure(CHART) / "helm"), "upgrade", "--install", "trading-operator",
            str(CHART_FOLDER), "-n", OPERATOR_NAMESPACE, "--wait", "--timeout", "120s",
            "--kubeconfig", str(kubectl.kubeconfig), "--set", f"image.repository={repository}",
            "--set", f"image.tag={tag}", "--set", "leaseSeconds=8",
            # A node that stays from an earlier run may have older pods of the same name.
            "--set", f"podAnnotations.run={uuid.uuid4().hex}", "--take-ownership",
        ],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    times["chart_installed"] = round(time.monotonic() - begun, 1)
    yield kubectl
    wait_all_are_gone(kubectl)


@pytest.fixture
def namespace(operator: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of its own."""
    with own_namespace(operator, request) as name:
        yield name


@pytest.fixture
def room(kubectl: Kubectl) -> Iterator[str]:
    """A namespace that admits restricted pods alone, in a cluster that needs no operator."""
    name = f"smoke-{uuid.uuid4().hex[:6]}"
    make_namespace(kubectl, name)
    yield name
    kubectl("delete", "namespace", name, "--timeout=60s")


@pytest.fixture(scope="session")
def times() -> Iterator[dict[str, Any]]:
    """Seconds that were measured, by what they are of; kept in build/e2e-times.json."""
    measured: dict[str, Any] = {}
    yield measured
    TIMES.parent.mkdir(exist_ok=True)
    TIMES.write_text(json.dumps(measured, indent=1) + "\n")
    print(f"\nseconds: {json.dumps(measured)}")
