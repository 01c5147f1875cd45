"""The statuses as kstatus reads them: the library itself, which Flux and others are built on."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from kubernetes_cluster.binaries import KSTATUS, ensure
from operator_process import ROOT, Kubectl
from trading_operator.tests.unit.test_health_rules import CASES, EXPECTED

pytestmark = pytest.mark.kubernetes
NAMED = {"apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster"}
MINIMAL = ROOT / "examples" / "01-minimal" / "cluster.yaml"


def _said_of(*bodies: dict[str, Any]) -> list[str]:
    done = subprocess.run(
        [str(ensure((KSTATUS,)) / KSTATUS)], input=json.dumps(bodies), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_it_says_of_every_status_of_the_plan_what_the_plan_means() -> None:
    cases = [case for case in EXPECTED if "status" in CASES[case]]
    assert len(cases) > 8
    said = _said_of(*({**NAMED, **CASES[case]} for case in cases))
    assert dict(zip(cases, said, strict=True)) == {case: EXPECTED[case][2] for case in cases}


def test_a_cluster_that_no_operator_has_seen_is_in_progress_and_says_so(
    kubectl: Kubectl, namespace: str
) -> None:
    """Just applied, or in a namespace that no operator may see."""
    kubectl("apply", "-n", namespace, "-f", str(MINIMAL))
    body = kubectl.get("tradingclusters", namespace, "minimal")
    (ready,) = body["status"]["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "Unknown", "NotSeen")
    assert "namespace" in ready["message"]
    assert _said_of(body) == ["InProgress"]
    assert "NotSeen" in kubectl("get", "tradingcluster", "-n", namespace)
    said = kubectl(
        "wait", "-n", namespace, "--for=condition=Ready", "tradingcluster/minimal",
        "--timeout=2s", check=False,
    )  # fmt: skip
    assert "timed out" in said
    assert "unchanged" in kubectl("apply", "-n", namespace, "-f", str(MINIMAL))
    assert kubectl("diff", "-n", namespace, "-f", str(MINIMAL)) == ""


def test_a_cluster_that_is_being_deleted_is_terminating() -> None:
    body = yaml.safe_load(MINIMAL.read_text())
    body["metadata"] |= {"generation": 1, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert _said_of(body) == ["Terminating"]
