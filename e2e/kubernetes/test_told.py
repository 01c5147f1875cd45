"""What a person is told without asking twice: one line per cluster, an event per decision."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from operator_process import ROOT, Kubectl, OperatorProcess, until

pytestmark = pytest.mark.kubernetes
MINIMAL = ROOT / "examples" / "01-minimal" / "cluster.yaml"


def test_a_line_tells_the_story_and_events_tell_the_decisions(
    kubectl: Kubectl, namespace: str, start_operator: Callable[..., OperatorProcess]
) -> None:
    start_operator()
    kubectl("apply", "-n", namespace, "-f", str(MINIMAL))
    kubectl.wait_condition(namespace, "minimal", "Ready")
    head, line = kubectl("get", "tc", "-n", namespace).splitlines()
    story = dict(zip(head.split(), line.split(), strict=True))
    story.pop("AGE")
    assert story == {
        "NAME": "minimal", "READY": "True", "PHASE": "Running", "BACKENDS": "1/1",
        "PARTITIONS": "1/1", "SHARDS": "1/1", "REASON": "Reconciled",
    }  # fmt: skip
    cluster = kubectl.get("tradingclusters", namespace, "minimal")

    def told() -> set[str]:
        events = kubectl.get("events", namespace)["items"]
        uid = cluster["metadata"]["uid"]
        return {e["reason"] for e in events if e["involvedObject"].get("uid") == uid}

    until(lambda: {"ApplyChild", "PrepareShard", "CommandNode"} <= told(), "events tell it", 10)
