"""What the API server admits of SymbolMoves, what may change when; the models agree with it."""

from __future__ import annotations

import json

import pytest
from admission import NOT_STORED, SERVER_SIDE, Spec, document_of, models_say, server_says

from kubernetes_cluster.control_plane import ControlPlane
from operator_process import Kubectl

pytestmark = pytest.mark.kubernetes
BASE: Spec = {"cluster": "demo", "symbols": ["BTCUSDT"], "toPartition": "partition-1"}
ACCEPTED: dict[str, Spec] = {
    "a symbol": BASE,
    "ranges": {**BASE, "symbols": ["..C", "D..F", "X..", "BTCUSDT"]},
    "everything": {**BASE, "symbols": [".."]},
    "a shard": {"cluster": "demo", "symbols": ["A..H"], "toShard": "shard-2"},
    "all that can be said": {
        **BASE, "reason": "busy", "requestedBy": "Person", "approval": "Manual", "approved": True,
        "cancel": True, "reverse": True, "maxPauseMilliseconds": 50,
    },
}  # fmt: skip
# What is refused, and a word of the message that names the field.
REFUSED: dict[str, tuple[Spec, str]] = {
    "no symbols": ({**BASE, "symbols": []}, "symbols"),
    "no cluster": ({"symbols": ["BTCUSDT"], "toPartition": "partition-1"}, "cluster"),
    "no target": ({"cluster": "demo", "symbols": ["BTCUSDT"]}, "toPartition"),
    "two targets": ({**BASE, "toShard": "shard-1"}, "toPartition"),
    "a symbol in lower case": ({**BASE, "symbols": ["btcusdt"]}, "symbols"),
    "a range backwards": ({**BASE, "symbols": ["H..A"]}, "symbols"),
    "an empty range": ({**BASE, "symbols": ["H..H"]}, "symbols"),
    "a target that is none": ({**BASE, "toPartition": "engine-1"}, "toPartition"),
    "a name with zeros": ({**BASE, "toPartition": "partition-007"}, "toPartition"),
    "a cluster of no name": ({**BASE, "cluster": "De Mo"}, "cluster"),
    "an approval that is none": ({**BASE, "approval": "Perhaps"}, "approval"),
    "a pause too short": ({**BASE, "maxPauseMilliseconds": 1}, "maxPauseMilliseconds"),
    "a pause that is text": ({**BASE, "maxPauseMilliseconds": "short"}, "maxPauseMilliseconds"),
    "an unknown field": ({**BASE, "speed": "high"}, "speed"),
    "an unknown asker": ({**BASE, "requestedBy": "Nobody"}, "requestedBy"),
}
# (before, after, a word of the message)
FROZEN: dict[str, tuple[Spec, Spec, str]] = {
    "the cluster": (BASE, {**BASE, "cluster": "other"}, "cluster"),
    "an approval": ({**BASE, "approved": True}, {**BASE, "approved": False}, "approved"),
    "a cancel": ({**BASE, "cancel": True}, BASE, "cancel"),
    "a reverse": ({**BASE, "reverse": True}, BASE, "reverse"),
}
# What may change until the move begins, and not afterwards.
FROZEN_LATER: dict[str, Spec] = {
    "symbols": {**BASE, "symbols": ["ETHUSDT"]},
    "toPartition": {**BASE, "toPartition": "partition-2"},
    "toShard": {"cluster": "demo", "symbols": ["BTCUSDT"], "toShard": "shard-1"},
    "approval": {**BASE, "approval": "Manual"},
    "maxPauseMilliseconds": {**BASE, "maxPauseMilliseconds": 50},
}


def _document(spec: Spec, name: str = "mine") -> Spec:
    return document_of("SymbolMove", name, spec)


def _begin(kubectl: Kubectl, namespace: str) -> None:
    """As the operator notes it."""
    kubectl(
        "patch", "symbolmove", "mine", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"startedTime": "2027-01-15T08:00:00Z"}}),
    )  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_is_admitted(plane: ControlPlane, namespace: str, name: str) -> None:
    document = _document(ACCEPTED[name])
    assert server_says(plane, document, namespace, *NOT_STORED) == ""
    assert models_say(document) == ""


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(plane: ControlPlane, namespace: str, name: str) -> None:
    spec, word = REFUSED[name]
    said = server_says(plane, _document(spec), namespace, *NOT_STORED)
    assert said, "it was admitted"
    assert word in said
    assert models_say(_document(spec))


@pytest.mark.parametrize("name", FROZEN)
def test_it_cannot_change(plane: ControlPlane, namespace: str, name: str) -> None:
    before, after, word = FROZEN[name]
    assert server_says(plane, _document(before), namespace, *SERVER_SIDE) == ""
    said = server_says(plane, _document(after), namespace, *SERVER_SIDE)
    assert said, "it was admitted"
    assert word in said


@pytest.mark.parametrize("name", FROZEN_LATER)
def test_it_may_change_until_it_begins(
    plane: ControlPlane, kubectl: Kubectl, namespace: str, name: str
) -> None:
    after = _document(FROZEN_LATER[name])
    assert server_says(plane, _document(BASE), namespace, *SERVER_SIDE) == ""
    assert server_says(plane, after, namespace, *SERVER_SIDE) == ""
    assert server_says(plane, _document(BASE), namespace, *SERVER_SIDE) == ""
    _begin(kubectl, namespace)
    said = server_says(plane, after, namespace, *SERVER_SIDE)
    assert "the move has begun" in said


def test_it_can_be_cancelled_and_reversed_when_it_has_begun(
    plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    assert server_says(plane, _document(BASE), namespace, *SERVER_SIDE) == ""
    _begin(kubectl, namespace)
    spec = dict(BASE)
    for field in ("approved", "cancel", "reverse"):
        spec[field] = True
        assert server_says(plane, _document(spec), namespace, *SERVER_SIDE) == "", field
    assert kubectl.get("symbolmove", namespace, "mine")["spec"]["reverse"] is True


def test_columns_tell_the_story(plane: ControlPlane, kubectl: Kubectl, namespace: str) -> None:
    assert server_says(plane, _document(BASE), namespace, *SERVER_SIDE) == ""
    status = {
        "symbols": "BTCUSDT", "source": "partition-0", "target": "partition-1", "state": "Done",
        "percent": 100, "pauseMilliseconds": 12.5,
    }  # fmt: skip
    kubectl("patch", "symbolmove", "mine", "-n", namespace, "--subresource=status",
            "--type=merge", "-p", json.dumps({"status": status}))  # fmt: skip
    head, row = kubectl("get", "smove", "-n", namespace).splitlines()
    assert head.split() == [
        "NAME", "CLUSTER", "RANGE", "FROM", "TO", "STATE", "PERCENT", "PAUSE", "AGE",
    ]  # fmt: skip
    assert row.split()[:8] == [
        "mine", "demo", "BTCUSDT", "partition-0", "partition-1", "Done", "100", "12.5",
    ]  # fmt: skip
