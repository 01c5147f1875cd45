"""Scenarios as prose: this cluster in this world, these actions for these reasons.

`REWRITE=1 pytest operator/trading_operator/tests/transcripts` writes the files anew: review the
difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import StopComponent
from trading_operator.planner.observed import Failure, Observed
from trading_operator.planner.preview import imagine, preview
from trading_operator.tests.builders import NOW, cluster, converged, planned

FOLDER = Path(__file__).parent
EMPTY = Observed(processes={})
BIG = cluster(
    backends={"replicas": 2}, partitions={"count": 2}, shards={"count": 2},
    redis={"replicasPerMaster": 1},
)  # fmt: skip
Scenario = Callable[[], tuple[TradingCluster, Observed]]


def _without(world: Observed, *names: str) -> Observed:
    for name in names:
        world = imagine(world, StopComponent(name, "", 0, ""))
    return world


def _stalled() -> tuple[TradingCluster, Observed]:
    text = "spec.exposure.port: port 80 is in use by another program: stop that, or choose another"
    failure = Failure(text, 2, NOW + 5, "PortInUse", needs_person=True)
    world = _without(converged(cluster()), "load-balancer")
    return cluster(), replace(world, balancer_answers=None, failures={"load-balancer": failure})


SCENARIOS: dict[str, Scenario] = {
    "a-minimal-cluster-is-made": lambda: (cluster(), EMPTY),
    "a-big-cluster-is-made": lambda: (BIG, EMPTY),
    "a-cluster-grows": lambda: (BIG, converged(cluster())),
    "what-owns-nothing-is-removed": lambda: (cluster(), converged(BIG, converged(cluster()))),
    "what-owns-slots-is-kept": lambda: (cluster(), converged(BIG)),
    "everything-died-at-once": lambda: (
        cluster(), _without(converged(cluster()), *(converged(cluster()).processes or {})),
    ),
    "shards-get-more-memory": lambda: (
        cluster(shards={"count": 2, "resources": {"memory": "4Gi"}}),
        converged(cluster(shards={"count": 2})),
    ),
    "a-symbol-is-listed": lambda: (
        cluster(("AAAUSDT", *(each.name for each in cluster().spec.symbols))), converged(cluster()),
    ),
    "a-cluster-goes-to-sleep": lambda: (cluster(hibernated=True), converged(cluster())),
    "a-paused-cluster-lost-a-partition": lambda: (
        cluster(paused=True), _without(converged(cluster()), "partition-0"),
    ),
    "the-port-is-taken": _stalled,
}  # fmt: skip


def transcript(wanted: TradingCluster, world: Observed) -> str:
    """The status before, and all that follows until nothing is left to do."""
    status = planned(wanted, world).status
    lines = [f"phase {status.phase.value}"]
    for each in status.conditions:
        told = f": {each.message}" if each.message else ""
        lines.append(f"{each.type.value}={each.status} {each.reason}{told}")
    lines.append("")
    for number, action in enumerate(preview(wanted, world, NOW), 1):
        lines.append(f"{number}. {action.describe()}: {action.reason}")
    return "\n".join(lines).rstrip() + "\n"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenario_reads_as_agreed(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    text = transcript(*SCENARIOS[name]())
    if os.environ.get("REWRITE"):
        path.write_text(text)
    assert text == path.read_text()


def test_every_transcript_has_its_scenario() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(SCENARIOS)
