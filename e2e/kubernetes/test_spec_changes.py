"""Hundreds of changes of specifications, good and bad, one after the other on living clusters.

Each is refused by a message that names the field, or reached; what is refused changes nothing, the
operator never stumbles, and in the end a cluster is as one that was made so at once.
"""

from __future__ import annotations

import copy
import json
import random
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from admission import Spec, document_of, models_say, server_says
from test_admission import BASE, VALUES

from kubernetes_cluster.control_plane import ControlPlane
from operator_process import Kubectl, OperatorProcess, until

pytestmark = pytest.mark.kubernetes
CLUSTERS = 12
ROUNDS = (5, pytest.param(26, marks=pytest.mark.long))
SETTLE_SECONDS_MAX = 180
# Why a change is refused that would do as a new cluster, or that the models read with a kind eye.
STRICTER = ("cannot change", "leave it as it was", "leave them as they were", "must be of type")
# Of the numbers that make pods only small ones: there is one machine, and no Gateway API.
SMALL: dict[str, list[Any]] = {
    "backends.replicas": [1, 2, 3, 0, 257, -1, "2", None],
    "partitions.count": [1, 2, 3, 0, 300, "x"],
    "shards.count": [1, 2, 0, 65],
    "redis.masters": [3, 4, 2],
    "redis.replicasPerMaster": [0, 1, -1, 4],
    "exposure.gateway": [{"name": ""}, {"namespace": "a"}],
}
CHANGES = {**VALUES, **SMALL}
KINDS = "statefulset,deployment,service,poddisruptionbudget,networkpolicy,ingress,serviceaccount"


def _document(name: str, spec: Spec) -> Spec:
    return document_of("TradingCluster", name, spec)


def _changed(rng: random.Random, spec: Spec) -> tuple[Spec, list[str]]:
    """The specification with one or two more fields set to something, good or bad."""
    changed = copy.deepcopy(spec)
    paths = rng.sample(sorted(CHANGES), rng.randint(1, 2))
    for path in paths:
        place = changed
        *folders, last = path.split(".")
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = copy.deepcopy(rng.choice(CHANGES[path]))
    return changed, paths


def _end_of(body: Spec) -> str:
    """The condition in which a cluster rests for its present generation; "" = it works on it."""
    generation = body["metadata"]["generation"]
    holds = {
        each["type"]
        for each in body.get("status", {}).get("conditions", ())
        if each["status"] == "True" and each["observedGeneration"] == generation
    }
    spec = body["spec"]
    if spec.get("paused"):
        return "Paused" if "Paused" in holds else ""
    if spec.get("hibernated"):
        return "Hibernated" if "Hibernated" in holds else ""
    return next((end for end in ("Ready", "TurndownBlocked") if end in holds), "")


def _settled(kubectl: Kubectl, namespace: str) -> bool:
    items = kubectl.get("tradingclusters.hft.trading", namespace)["items"]
    return bool(items) and all(_end_of(body) for body in items)


def _one_round(
    plane: ControlPlane, namespace: str, specs: dict[str, Spec], rng: random.Random
) -> tuple[int, list[str]]:
    """One change of each cluster: how many were refused, and what was wrong."""
    refused, wrong = 0, []
    for name, spec in list(specs.items()):
        changed, paths = _changed(rng, spec)
        document = _document(name, changed)
        said, model = server_says(plane, document, namespace), models_say(document)
        if not said:
            specs[name] = changed
            if model:
                wrong.append(f"{changed}: admitted, though the models say: {model}")
            continue
        refused += 1
        if not model and not any(word in said for word in STRICTER):
            wrong.append(f"{changed}: refused, though the models accept it: {said}")
        if not any(path.split(".")[-1] in said or path.split(".")[0] in said for path in paths):
            wrong.append(f"{changed}: the refusal names none of {paths}: {said}")
    return refused, wrong


@pytest.mark.parametrize("rounds", ROUNDS)
def test_every_change_is_refused_by_name_or_reached(
    plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    start_operator: Callable[..., OperatorProcess],
    rounds: int,
) -> None:
    operator = start_operator()
    kubectl(
        "create", "secret", "generic", "mine", "-n", namespace, "--from-literal=api-keys.json={}"
    )
    rng = random.Random(20261128)
    specs: dict[str, Spec] = {f"chain{number}": copy.deepcopy(BASE) for number in range(CLUSTERS)}
    for name, spec in specs.items():
        assert server_says(plane, _document(name, spec), namespace) == ""
    refused = 0
    for _ in range(rounds):
        more, wrong = _one_round(plane, namespace, specs, rng)
        assert not wrong, "\n".join(wrong)
        refused += more
        until(lambda: _settled(kubectl, namespace), "all clusters rest", SETTLE_SECONDS_MAX)
    assert min(refused, CLUSTERS * rounds - refused) > CLUSTERS * rounds // 10
    assert _broken_visits(operator) == 0
    _ends_as_if_made_so(plane, kubectl, namespace, specs)
    assert operator.process is not None
    assert operator.process.poll() is None
    assert _broken_visits(operator) == 0


def _broken_visits(operator: OperatorProcess) -> int:
    """How often the operator met a defect of its own."""
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}/metrics") as answer:
        text = answer.read().decode()
    found = re.search(r'trading_operator_visits_total\{result="broken"\} ([\d.]+)', text)
    return int(float(found[1])) if found else 0


def _ends_as_if_made_so(
    plane: ControlPlane, kubectl: Kubectl, namespace: str, specs: dict[str, Spec]
) -> None:
    """Each cluster against a fresh one of its last specification, all of them awake."""
    for name, spec in specs.items():
        awake = {**spec, "paused": False, "hibernated": False}
        for each in (name, name.replace("chain", "fresh")):
            assert server_says(plane, _document(each, awake), namespace) == ""
    until(lambda: _settled(kubectl, namespace), "all clusters rest", SETTLE_SECONDS_MAX)
    ends = {
        body["metadata"]["name"]: _end_of(body)
        for body in kubectl.get("tradingclusters.hft.trading", namespace)["items"]
    }
    compared = 0
    for name in specs:
        fresh = name.replace("chain", "fresh")
        if ends[name] == "TurndownBlocked":  # it keeps what it grew, and says so
            continue
        assert ends[name] == ends[fresh] == "Ready"
        assert _objects(kubectl, namespace, name) == _objects(kubectl, namespace, fresh)
        compared += 1
    assert compared > 2


def _objects(kubectl: Kubectl, namespace: str, name: str) -> dict[str, Any]:
    """What there is, by kind and name, with what its pods run; the cluster's name taken out."""
    found = {}
    items = kubectl.get(KINDS, namespace, selector=f"hft.trading/cluster={name}")["items"]
    for item in items:
        spec = item.get("spec", {})
        pods = spec.get("template", {}).get("spec", {})
        told = json.dumps([
            spec.get("replicas"), pods.get("containers"), pods.get("volumes"),
            pods.get("imagePullSecrets"), spec.get("rules"), spec.get("minAvailable"),
        ])  # fmt: skip
        key = f"{item['kind']}/{item['metadata']['name']}".replace(name, "X")
        found[key] = re.sub(rf"\b{name}\b", "X", told)
    return found
