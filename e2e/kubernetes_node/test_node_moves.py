"""Symbols move between partitions in real pods while they are traded, whatever the operator does.

One cluster serves all tests of this file, as it takes longer to come up than to be tested; the
history of every trader that was ever on it is judged at the end of each.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from namespaces import OPERATOR_NAMESPACE, own_namespace
from node_exchange import SMALL, SMALL_NODE, NodeExchange

from history.client import Crowd
from judged import crowd_of, judge, unclear_after_one_retry, wait_for_acknowledgements
from kubernetes_cluster.image import IMAGE
from kubernetes_cluster.node import Node
from operator_process import Kubectl, until

pytestmark = pytest.mark.kubernetes
SYMBOLS = ("ADAUSDT", "BTCUSDT", "DOTUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
SPEC: dict[str, Any] = {
    "symbols": [
        {"name": name, "tickSize": "0.01", "lotSize": "0.00001", "minNotional": "5"}
        for name in SYMBOLS
    ],
    "backends": {"replicas": 2, "resources": SMALL},
    "partitions": {"count": 2, "resources": SMALL},
    "shards": {"resources": SMALL, "storage": {"size": "1Gi", "reclaim": "delete"}},
    "redis": {"resources": SMALL_NODE},
}
MOVE_SECONDS_MAX = 120


@dataclass
class Moving:
    """The cluster, and all who traded on it."""

    exchange: NodeExchange
    folder: Path
    accounts: dict[str, int] = field(default_factory=dict)

    def apply(self, partitions: int, **changes: Any) -> None:
        """The specification with so many partitions."""
        spec = {**SPEC, "partitions": {"count": partitions, "resources": SMALL}, **changes}
        self._apply("TradingCluster", self.exchange.name, spec)

    def move(self, name: str, symbol: str, target: str) -> None:
        """As a person asks for it."""
        spec = {"cluster": self.exchange.name, "symbols": [symbol], "toPartition": target}
        self._apply("SymbolMove", name, spec)

    def _apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        document = yaml.safe_dump({
            "apiVersion": "hft.trading/v1alpha1", "kind": kind, "metadata": {"name": name},
            "spec": spec,
        })  # fmt: skip
        self.exchange.kubectl("apply", "-n", self.exchange.namespace, "-f", "-", stdin=document)

    def owners(self) -> dict[str, str]:
        """Symbol -> partition, as published."""
        slots = self.exchange.topology()["slots"]
        return {
            name: slot["partition"] for name in SYMBOLS for slot in slots
            if slot["first"] <= name < slot["past"]
        }  # fmt: skip

    def moves(self) -> list[dict[str, Any]]:
        """All SymbolMoves."""
        items = self.exchange.kubectl.get("symbolmoves", self.exchange.namespace)["items"]
        return list(items)

    def told_of(self, name: str) -> dict[str, Any]:
        """The status of one."""
        body = self.exchange.kubectl.get("symbolmove", self.exchange.namespace, name)
        return dict(body.get("status") or {})

    def traders(self, name: str) -> Crowd:
        """Clients of two new accounts."""
        crowd, accounts = crowd_of(self.exchange, self.folder, name)  # type: ignore[arg-type]
        self.accounts |= accounts
        until(lambda: all(map(self.exchange.knows, accounts)), "the keys are there", 120)
        return crowd

    def judge(self) -> None:
        """All laws hold."""
        judge(self.exchange, self.folder, self.accounts)  # type: ignore[arg-type]

    def nobody_noticed(self) -> None:
        """All laws hold, and every call was clear after one retry at the latest."""
        assert unclear_after_one_retry(self.folder, self.accounts) == []
        self.judge()


@pytest.fixture(scope="module")
def moving(
    operator: Kubectl, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moving]:
    """Ready, with two partitions that own half of the symbols each."""
    with own_namespace(operator, request) as namespace:
        exchange = NodeExchange(operator, namespace, "moving")
        made = Moving(exchange, tmp_path_factory.mktemp("moves"))
        made.apply(2)
        exchange.wait_ready(240)
        yield made


def _kill_operators(kubectl: Kubectl) -> None:
    """At once, as a machine that fails does."""
    kubectl(
        "delete", "pods", "-n", OPERATOR_NAMESPACE, "--force", "--grace-period=0",
        "-l", "app.kubernetes.io/name=trading-operator",
    )  # fmt: skip


def test_a_symbol_moves_there_and_back_though_the_operators_are_killed_meanwhile(
    moving: Moving, times: dict[str, Any]
) -> None:
    home = moving.owners()["BTCUSDT"]
    other = "partition-1" if home == "partition-0" else "partition-0"
    crowd = moving.traders("m")
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        for name, target in (("there", other), ("back", home)):
            begun = time.monotonic()
            moving.move(name, "BTCUSDT", target)
            until(lambda name=name: bool(moving.told_of(name)), f"{name} is begun", 60)
            _kill_operators(moving.exchange.kubectl)
            until(
                lambda name=name: moving.told_of(name).get("state") == "Done", f"{name} is done",
                MOVE_SECONDS_MAX,
            )  # fmt: skip
            times[f"move_{name}_operators_killed"] = round(time.monotonic() - begun, 1)
            until(  # published after it is told
                lambda target=target: moving.owners()["BTCUSDT"] == target,
                "the topology says so", 60,
            )  # fmt: skip
            wait_for_acknowledgements(crowd, 50, 60)
        moving.exchange.wait_ready(120)
    for name in ("there", "back"):
        told = moving.told_of(name)
        assert told["verified"], told
        assert told["pauseMilliseconds"] > 0, told
        times[f"move_{name}_pause_milliseconds"] = told["pauseMilliseconds"]
    moving.nobody_noticed()


def test_partitions_come_with_symbols_and_go_empty(moving: Moving, times: dict[str, Any]) -> None:
    kubectl, namespace = moving.exchange.kubectl, moving.exchange.namespace
    crowd = moving.traders("s")

    def two_are_gone() -> bool:
        sets = kubectl.get("statefulsets", namespace)["items"]
        names = {each["metadata"]["name"] for each in sets}
        owners = set(moving.owners().values())
        for index in (2, 3):  # read after the sets: who owned something then was there
            if f"moving-partition-{index}" not in names:
                assert f"partition-{index}" not in owners
        return not {"moving-partition-2", "moving-partition-3"} & names

    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        begun = time.monotonic()
        moving.apply(4)
        until(lambda: len(set(moving.owners().values())) == 4, "four own symbols", 240)
        moving.exchange.wait_ready(120)
        times["partitions_2_to_4"] = round(time.monotonic() - begun, 1)
        wait_for_acknowledgements(crowd, 50, 60)
        begun = time.monotonic()
        moving.apply(2)
        until(two_are_gone, "two are gone", 240)
        moving.exchange.wait_ready(120)
        times["partitions_4_to_2"] = round(time.monotonic() - begun, 1)
        assert set(moving.owners().values()) == {"partition-0", "partition-1"}
        wait_for_acknowledgements(crowd, 50, 60)
    assert {each["status"]["state"] for each in moving.moves()} == {"Done"}
    moving.nobody_noticed()


def test_partitions_restart_empty_for_another_image(
    moving: Moving, node: Node, times: dict[str, Any]
) -> None:
    node.tag_image(IMAGE, f"{IMAGE}-moved")
    before = {pod["metadata"]["uid"] for pod in moving.exchange.pods("partition")}
    earlier = {each["metadata"]["name"] for each in moving.moves()}
    crowd = moving.traders("h")
    with crowd, moving.exchange.every_status(moving.folder / "statuses") as available:
        wait_for_acknowledgements(crowd, 50, 60)
        begun = time.monotonic()
        moving.apply(2, image=f"{IMAGE}-moved")
        moving.exchange.wait_ready(300)
        until(lambda: len(set(moving.owners().values())) == 2, "both have symbols again", 120)
        times["image_by_hand_over"] = round(time.monotonic() - begun, 1)
        moving.exchange.wait_ready(120)
        wait_for_acknowledgements(crowd, 50, 60)
    # The only shard restarts, too: its slots are without an owner for a moment, then replicas have
    # to find that again. A look may also meet the pause of a hand-over.
    told = set(available())
    assert "True Reconciled" in told
    assert told <= {"True Reconciled", "False SlotsWithoutOwner", "False WaitingForReplica"}
    pods = moving.exchange.pods("partition")
    assert not before & {pod["metadata"]["uid"] for pod in pods}
    images = {pod["spec"]["containers"][0]["image"] for pod in pods}
    assert images == {f"{IMAGE}-moved"}
    asked = [each for each in moving.moves() if each["metadata"]["name"] not in earlier]
    assert {each["spec"]["requestedBy"] for each in asked} == {"Planner"}
    assert {each["spec"]["toPartition"] for each in asked} == {"partition-0", "partition-1"}
    assert {each["status"]["state"] for each in asked} == {"Done"}, json.dumps(asked)
    moving.judge()  # replicas and the shard restart too: a call may need another retry
