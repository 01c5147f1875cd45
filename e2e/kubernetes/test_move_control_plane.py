"""SymbolMoves on a real API server: real process, real watches; partitions are stubs that obey."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from operator_process import Kubectl, OperatorProcess, until

pytestmark = pytest.mark.kubernetes
Start = Callable[..., OperatorProcess]
SYMBOLS = ("ADAUSDT", "BTCUSDT", "ETHUSDT", "LTCUSDT", "SOLUSDT", "XRPUSDT")


def _apply(kubectl: Kubectl, namespace: str, **spec: Any) -> None:
    document = {
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": "demo"},
        "spec": {"symbols": [{"name": name} for name in SYMBOLS], **spec},
    }  # fmt: skip
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(document))


def _move(kubectl: Kubectl, namespace: str, name: str = "mine", **spec: Any) -> None:
    fields = {"cluster": "demo", "symbols": ["ADAUSDT"], "toPartition": "partition-1", **spec}
    document = {
        "apiVersion": "hft.trading/v1alpha1", "kind": "SymbolMove", "metadata": {"name": name},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }  # fmt: skip
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(document))


def _status(kubectl: Kubectl, namespace: str, name: str = "mine") -> dict[str, Any]:
    status: dict[str, Any] = kubectl.get("symbolmove", namespace, name).get("status", {})
    return status


def _until_state(
    kubectl: Kubectl, namespace: str, state: str, name: str = "mine", seconds: float = 60
) -> dict[str, Any]:
    until(
        lambda: _status(kubectl, namespace, name).get("state") == state, f"{name} is {state}",
        seconds,
    )  # fmt: skip
    return _status(kubectl, namespace, name)


def _owners(kubectl: Kubectl, namespace: str, tier: str = "partition") -> dict[str, str]:
    """Symbol -> partition or shard, as published."""
    body = kubectl.get("configmap", namespace, "demo-topology")
    slots = json.loads(body["data"]["topology.json"])["slots"]
    return {
        name: slot[tier] for name in SYMBOLS for slot in slots
        if slot["first"] <= name < slot["past"]
    }  # fmt: skip


def _edit(kubectl: Kubectl, namespace: str, name: str = "mine", **spec: Any) -> None:
    kubectl("patch", "symbolmove", name, "-n", namespace, "--type=merge", "-p",
            json.dumps({"spec": spec}))  # fmt: skip


def _never_unavailable(kubectl: Kubectl, namespace: str) -> Callable[[], bool]:
    """A check that also asserts that orders would be taken all along."""

    def check() -> bool:
        available = kubectl.condition(namespace, "demo", "Available")
        assert available["status"] == "True", available
        return True

    return check


def test_a_move_is_made_told_and_brought_back(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    before = _owners(kubectl, namespace)
    assert before["ADAUSDT"] == "partition-0"
    _move(kubectl, namespace)
    status = _until_state(kubectl, namespace, "Done")
    assert (status["source"], status["target"], status["percent"]) == (
        "partition-0", "partition-1", 100,
    )  # fmt: skip
    assert _owners(kubectl, namespace) == {**before, "ADAUSDT": "partition-1"}
    ready = kubectl.condition(namespace, "demo", "Ready")
    assert ready["status"] == "True"
    events = kubectl.get("events", namespace)["items"]
    told = {each["reason"] for each in events if each["involvedObject"]["kind"] == "SymbolMove"}
    assert {"InProgress", "Completed"} <= told
    _edit(kubectl, namespace, reverse=True)
    _until_state(kubectl, namespace, "Reversed")
    assert _owners(kubectl, namespace) == before


@pytest.mark.parametrize(
    ("spec", "verdict"),
    [
        ({"symbols": ["NOSUCH"]}, ("Refused", "UnknownSymbols")),
        ({"symbols": ["ADAUSDT", "..B"]}, ("Refused", "SymbolsOverlap")),
        ({"toPartition": "partition-0"}, ("Refused", "AlreadyThere")),
        ({"toPartition": "partition-7"}, ("Refused", "TargetMissing")),
        ({"toPartition": None, "toShard": "shard-0"}, ("Refused", "AlreadyThere")),
        ({"toPartition": None, "toShard": "shard-1"}, ("Refused", "TargetMissing")),
        ({"approval": "Manual"}, ("AwaitingApproval", "NotApproved")),
        ({"cluster": "other"}, ("Waiting", "ClusterMissing")),
    ],
)
def test_what_cannot_be_done_says_why(
    kubectl: Kubectl, namespace: str, start_operator: Start, spec: dict[str, Any],
    verdict: tuple[str, str],
) -> None:  # fmt: skip
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    before = _owners(kubectl, namespace)
    _move(kubectl, namespace, **spec)
    status = _until_state(kubectl, namespace, verdict[0])
    assert status["reason"] == verdict[1]
    assert status["message"]
    assert _owners(kubectl, namespace) == before


def test_approval_lets_a_move_go(kubectl: Kubectl, namespace: str, start_operator: Start) -> None:
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    _move(kubectl, namespace, approval="Manual")
    _until_state(kubectl, namespace, "AwaitingApproval")
    _edit(kubectl, namespace, approved=True)
    _until_state(kubectl, namespace, "Done")


def test_a_paused_cluster_moves_nothing_until_it_goes_on(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, partitions={"count": 2}, paused=True)
    kubectl.wait_condition(namespace, "demo", "Paused")
    _move(kubectl, namespace)
    assert _until_state(kubectl, namespace, "Waiting")["reason"] == "ClusterPaused"
    _apply(kubectl, namespace, partitions={"count": 2}, paused=False)
    _until_state(kubectl, namespace, "Done")


def test_partitions_scale_out_and_in_and_their_sets_go_after_they_were_emptied(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, partitions={"count": 4})
    is_available = _never_unavailable(kubectl, namespace)
    until(
        lambda: is_available() and len(set(_owners(kubectl, namespace).values())) == 4,
        "four partitions have symbols", 90,
    )  # fmt: skip
    kubectl.wait_condition(namespace, "demo", "Ready")
    made = kubectl.get("symbolmoves", namespace)["items"]
    uid = kubectl.get("tradingcluster", namespace, "demo")["metadata"]["uid"]
    for each in made:
        assert each["spec"]["requestedBy"] == "Planner"
        assert [owner["uid"] for owner in each["metadata"]["ownerReferences"]] == [uid]
    _apply(kubectl, namespace, partitions={"count": 2})

    def is_gone() -> bool:
        sets = kubectl.get("statefulsets", namespace)["items"]
        names = {each["metadata"]["name"] for each in sets}
        owners = set(_owners(kubectl, namespace).values())
        for index in (2, 3):  # read after the sets: who owned something then was there
            if f"demo-partition-{index}" not in names:
                assert f"partition-{index}" not in owners
        return is_available() and not {"demo-partition-2", "demo-partition-3"} & names

    until(is_gone, "two of them are gone", 90)
    kubectl.wait_condition(namespace, "demo", "Ready")
    assert set(_owners(kubectl, namespace).values()) == {"partition-0", "partition-1"}


def test_shards_come_and_go_and_their_sets_only_after_they_were_emptied(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    first = start_operator("a")
    _apply(kubectl, namespace, partitions={"count": 2}, shards={"count": 1})
    kubectl.wait_condition(namespace, "demo", "Ready")
    partitions = _owners(kubectl, namespace)
    _apply(kubectl, namespace, partitions={"count": 2}, shards={"count": 3})
    is_available = _never_unavailable(kubectl, namespace)
    until(
        lambda: is_available() and len(set(_owners(kubectl, namespace, "shard").values())) == 3,
        "three shards have symbols", 120,
    )  # fmt: skip
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, partitions={"count": 2}, shards={"count": 2})
    until(lambda: len(kubectl.get("symbolmoves", namespace)["items"]) > 2, "it is emptied", 60)
    first.kill()
    start_operator("b")

    def is_gone() -> bool:
        sets = kubectl.get("statefulsets", namespace)["items"]
        names = {each["metadata"]["name"] for each in sets}
        shards = set(_owners(kubectl, namespace, "shard").values())  # read after the sets
        assert "demo-shard-2" in names or "shard-2" not in shards
        return is_available() and "demo-shard-2" not in names

    until(is_gone, "the third one is gone", 120)
    kubectl.wait_condition(namespace, "demo", "Ready", timeout_seconds=90)
    assert set(_owners(kubectl, namespace, "shard").values()) == {"shard-0", "shard-1"}
    assert _owners(kubectl, namespace) == partitions


def test_a_move_to_a_shard_soaks_and_is_brought_back(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2}, shards={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    before = _owners(kubectl, namespace, "shard")
    assert before["ADAUSDT"] == "shard-0"
    _move(kubectl, namespace, toPartition=None, toShard="shard-1")
    status = _until_state(kubectl, namespace, "Done")
    assert (status["source"], status["target"]) == ("shard-0", "shard-1")
    assert _owners(kubectl, namespace, "shard") == {**before, "ADAUSDT": "shard-1"}
    kubectl.wait_condition(namespace, "demo", "Ready")
    _edit(kubectl, namespace, reverse=True)
    _until_state(kubectl, namespace, "Reversed")
    assert _owners(kubectl, namespace, "shard") == before


def test_an_operator_that_is_killed_in_the_middle_has_a_successor_that_goes_on(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    first = start_operator("a")
    _apply(kubectl, namespace, partitions={"count": 1})
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, partitions={"count": 3})
    until(
        lambda: bool(kubectl.get("symbolmoves", namespace)["items"]), "there are moves", 60
    )  # fmt: skip
    first.kill()
    start_operator("b")
    kubectl.wait_condition(namespace, "demo", "Ready", timeout_seconds=90)
    until(
        lambda: set(_owners(kubectl, namespace).values())
        == {"partition-0", "partition-1", "partition-2"},
        "all have symbols", 60,
    )  # fmt: skip


def test_draining_a_partition_empties_it_and_keeps_it(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, partitions={"count": 2, "drained": ["partition-1"]})
    until(
        lambda: set(_owners(kubectl, namespace).values()) == {"partition-0"}, "it is empty", 60
    )  # fmt: skip
    kubectl.wait_condition(namespace, "demo", "Ready")
    kubectl.get("statefulset", namespace, "demo-partition-1")


def test_moves_at_rest_cost_no_changes(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    operator = start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    _move(kubectl, namespace)
    _move(kubectl, namespace, "refused", symbols=["NOSUCH"])
    _move(kubectl, namespace, "waiting", symbols=["BTCUSDT"], approval="Manual")
    _move(kubectl, namespace, "lonely", cluster="other")
    _until_state(kubectl, namespace, "Done")
    _until_state(kubectl, namespace, "Refused", "refused")
    _until_state(kubectl, namespace, "AwaitingApproval", "waiting")
    _until_state(kubectl, namespace, "Waiting", "lonely")
    seen, since = operator.changes(), time.monotonic()
    while time.monotonic() - since < 7.0:  # three full lists
        time.sleep(0.2)
        if (now := operator.changes()) != seen:
            assert time.monotonic() - since < 3.0, now[len(seen) :]
            seen, since = now, time.monotonic()
    kubectl("delete", "symbolmove", "lonely", "-n", namespace)


def test_a_cluster_that_goes_takes_the_planners_moves_along_and_leaves_those_of_people(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, partitions={"count": 2})
    until(
        lambda: len(set(_owners(kubectl, namespace).values())) == 2, "the new one has symbols", 60
    )  # fmt: skip
    _move(kubectl, namespace, symbols=["NOSUCH"])
    kubectl("delete", "tradingcluster", "demo", "-n", namespace)

    def left() -> set[str]:
        return {each["metadata"]["name"] for each in kubectl.get("symbolmoves", namespace)["items"]}

    until(lambda: left() == {"mine"}, "only what a person made is left", 60)
