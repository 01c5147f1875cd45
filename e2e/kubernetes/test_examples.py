"""Every example comes Ready, and a GitOps tool that applies it again finds nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from operator_process import ROOT, Kubectl, OperatorProcess

pytestmark = pytest.mark.kubernetes
FILES = [
    path
    for path in sorted((ROOT / "examples").rglob("*.yaml"))
    if "kind: TradingCluster" in path.read_text() and path.name != "flux.yaml"
]


def test_there_is_one_in_every_folder_but_the_bot() -> None:
    folders = {path.relative_to(ROOT / "examples").parts[0] for path in FILES}
    there = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}
    assert there - folders == {"05-ccxt-bot"}


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_comes_ready_and_applying_it_again_changes_nothing(
    kubectl: Kubectl, namespace: str, start_operator: Callable[..., OperatorProcess], file: Path
) -> None:
    start_operator()
    kubectl("apply", "-n", namespace, "-f", str(file))
    for document in yaml.safe_load_all(file.read_text()):
        if document["kind"] == "TradingCluster":
            name = document["metadata"]["name"]
            kubectl.wait_condition(namespace, name, "Ready", timeout_seconds=90)
    said = kubectl("apply", "-n", namespace, "-f", str(file)).splitlines()
    assert said
    assert all(line.endswith("unchanged") for line in said), said
    assert kubectl("diff", "-n", namespace, "-f", str(file)) == ""
