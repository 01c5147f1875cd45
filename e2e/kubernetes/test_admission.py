"""What the API server admits: every rule accepted and refused, and the models agree with it."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from admission import NOT_STORED, SERVER_SIDE, Spec, document_of, models_say, server_says

from kubernetes_cluster.control_plane import ControlPlane
from operator_process import Kubectl

pytestmark = pytest.mark.kubernetes
BASE: Spec = {"symbols": [{"name": "BTCUSDT"}, {"name": "ETHUSDT"}, {"name": "XRPUSDT"}]}


@pytest.fixture(scope="module")
def namespace(plane: ControlPlane) -> str:
    """One for all: hardly anything is stored, and no operator looks."""
    plane.kubectl("create", "namespace", "admission")
    return "admission"


def _document(spec: Spec, name: str = "demo") -> Spec:
    return document_of("TradingCluster", name, spec)


def _ranges(*texts: str, **more: int) -> Spec:
    return {**BASE, "placement": [{"range": text, **more} for text in texts]}


ACCEPTED: dict[str, Spec] = {
    "the shortest": BASE,
    "one open range": _ranges(".."),
    "ranges that tile": _ranges("..C", "C..F", "F.."),
    "ranges in another order": _ranges("F..", "..C", "C..F"),
    "required with three members": {**BASE, "shards": {"members": 3, "durability": "required"}},
    "min equal to max": {**BASE, "autoscaling": {"backends": {"min": 2, "max": 2}}},
    "external backends": {
        **BASE,
        "backends": {"managedBy": "External"},
        "autoscaling": {"backends": {"mode": "external"}},
    },
    "somebody else's autoscaler": {**BASE, "backends": {"managedBy": "External"}},
    "a Gateway": {
        **BASE,
        "exposure": {"gateway": {"name": "edge", "namespace": "infra", "sectionName": "https"}},
    },
    "a private registry": {**BASE, "imagePullPolicy": "Always", "imagePullSecrets": ["registry"]},
    "a drained partition": {**BASE, "partitions": {"count": 2, "drained": ["partition-1"]}},
    "a budget and prices": {
        **BASE,
        "autoscaling": {"budget": {"costPerMonthMax": "500", "processesMax": 20}},
        "prices": {"cpuCore": "20", "memoryGibibyte": "3", "storageGibibyte": "0.1"},
    },
    "a placement on a shard": {**_ranges("..", shard=1), "shards": {"count": 2}},
}
# What is refused, and a word of the message that names the field.
REFUSED: dict[str, tuple[Spec, str]] = {
    "no symbols": ({"symbols": []}, "symbols"),
    "an unknown field": ({**BASE, "nonsense": 1}, "nonsense"),
    "a lower-case symbol": ({"symbols": [{"name": "btcusdt"}]}, "symbols"),
    "a symbol twice": ({"symbols": [{"name": "BTCUSDT"}, {"name": "BTCUSDT"}]}, "symbols"),
    "a tick that is no number": (
        {"symbols": [{"name": "BTCUSDT", "tickSize": "much"}]},
        "tickSize",
    ),
    "one asset only": ({"symbols": [{"name": "BTCUSDT", "baseAsset": "BTC"}]}, "baseAsset"),
    "no replicas": ({**BASE, "backends": {"replicas": 0}}, "replicas"),
    "absurdly many replicas": ({**BASE, "backends": {"replicas": 100_000}}, "replicas"),
    "a drained partition that is not there": (
        {**BASE, "partitions": {"count": 2, "drained": ["partition-2"]}},
        "drained",
    ),
    "all partitions drained": (
        {**BASE, "partitions": {"count": 1, "drained": ["partition-0"]}},
        "drained",
    ),
    "a drained thing that is no partition": (
        {**BASE, "partitions": {"count": 2, "drained": ["shard-0"]}},
        "drained",
    ),
    "no partitions": ({**BASE, "partitions": {"count": 0}}, "count"),
    "too many members": ({**BASE, "shards": {"members": 4}}, "members"),
    "required without members": ({**BASE, "shards": {"durability": "required"}}, "durability"),
    "two masters": ({**BASE, "redis": {"masters": 2}}, "masters"),
    "a size without unit": ({**BASE, "shards": {"storage": {"size": "10"}}}, "size"),
    "overlapping ranges": (_ranges("..F", "C.."), "placement"),
    "the same range twice": (_ranges("..C", "..C", "C.."), "placement"),
    "a hole between ranges": (_ranges("..C", "F.."), "placement"),
    "no beginning": (_ranges("C..F", "F.."), "placement"),
    "no end": (_ranges("..C", "C..F"), "placement"),
    "a range backwards": (_ranges("..H", "H..C", "C.."), "range"),
    "a range that is none": (_ranges("all"), "range"),
    "a shard that is not there": (_ranges("..", shard=3), "placement"),
    "a partition that is not there": (_ranges("..", partition=3), "placement"),
    "min above max": ({**BASE, "autoscaling": {"shards": {"min": 5, "max": 2}}}, "min"),
    "external shards": ({**BASE, "autoscaling": {"shards": {"mode": "external"}}}, "external"),
    "an external mode that nobody is told of": (
        {**BASE, "autoscaling": {"backends": {"mode": "external"}}},
        "managedBy",
    ),
    "two autoscalers": (
        {
            **BASE,
            "backends": {"managedBy": "External"},
            "autoscaling": {"backends": {"mode": "on"}},
        },
        "managedBy",
    ),
    "an unknown autoscaler": ({**BASE, "backends": {"managedBy": "Nobody"}}, "managedBy"),
    "a Gateway without a name": ({**BASE, "exposure": {"gateway": {}}}, "name"),
    "a Gateway of no name at all": ({**BASE, "exposure": {"gateway": {"name": "No!"}}}, "gateway"),
    "a pull policy that is none": ({**BASE, "imagePullPolicy": "Often"}, "imagePullPolicy"),
    "a pull secret without a name": ({**BASE, "imagePullSecrets": [""]}, "imagePullSecrets"),
    "a window that never opens": (
        {**BASE, "rebalancing": {"windows": [{"fromTime": "10:00", "toTime": "09:00"}]}},
        "fromTime",
    ),
    "trading hours that never begin": (
        {**BASE, "autoscaling": {"tradingHours": [{"fromTime": "10:00", "toTime": "09:00"}]}},
        "fromTime",
    ),
    "a price table with gaps": ({**BASE, "prices": {"cpuCore": "20"}}, "prices"),
    "a budget in money without prices": (
        {**BASE, "autoscaling": {"budget": {"costPerMonthMax": "500"}}},
        "prices",
    ),
    "a count that is text": ({**BASE, "partitions": {"count": "two"}}, "count"),
    "a port too high": ({**BASE, "exposure": {"port": 70_000}}, "port"),
}
# (before, after, a word of the message)
FROZEN: dict[str, tuple[Spec, Spec, str]] = {
    "the tick": (
        {"symbols": [{"name": "BTCUSDT", "tickSize": "0.01"}]},
        {"symbols": [{"name": "BTCUSDT", "tickSize": "0.1"}]}, "tickSize",
    ),
    "the lot that was left out": (
        {"symbols": [{"name": "BTCUSDT"}]},
        {"symbols": [{"name": "BTCUSDT", "lotSize": "1"}]}, "lotSize",
    ),
    "the placement": (_ranges("..C", "C.."), _ranges("..D", "D.."), "placement"),
    "the size of disks": (
        {**BASE, "shards": {"storage": {"size": "1Gi"}}},
        {**BASE, "shards": {"storage": {"size": "2Gi"}}}, "storage",
    ),
    "the class of disks": (
        BASE, {**BASE, "shards": {"storage": {"storageClass": "fast"}}}, "storage",
    ),
}  # fmt: skip


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
    own = name.replace(" ", "-")
    assert server_says(plane, _document(before, own), namespace, *SERVER_SIDE) == ""
    said = server_says(plane, _document(after, own), namespace, *SERVER_SIDE)
    assert said, "it was admitted"
    assert word in said


def test_a_name_that_is_too_long_for_its_objects_is_refused(
    plane: ControlPlane, namespace: str
) -> None:
    said = server_says(plane, _document(BASE, "x" * 60), namespace, *NOT_STORED)
    assert "metadata.name" in said


def test_the_definition_is_small_enough_for_annotations(kubectl: Kubectl) -> None:
    text = kubectl("get", "crd", "tradingclusters.hft.trading", "-o", "yaml")
    assert len(text.encode()) < 256 << 10


CHANGES = 320
VALUES: dict[str, list[Any]] = {
    "backends.replicas": [1, 2, 256, 0, 257, -1, "2", None, 1.5],
    "backends.managedBy": ["Operator", "External", "external"],
    "autoscaling.backends.mode": ["off", "on", "external", "dryRun"],
    "exposure.gateway": [{"name": "edge"}, {"name": ""}, {"namespace": "a"}],
    "imagePullPolicy": ["Always", "Never", "never"],
    "imagePullSecrets": [[], ["a", "b"], ["B"]],
    "partitions.count": [1, 3, 256, 0, 300, "x"],
    "partitions.drained": [[], ["partition-0"], ["partition-2"], ["shard-0"], "partition-0"],
    "shards.count": [1, 2, 64, 0, 65],
    "shards.drained": [[], ["shard-0"], ["shard-2"], ["partition-0"], "shard-0"],
    "shards.members": [1, 2, 3, 0, 4],
    "shards.durability": ["preferred", "required", "none", 1],
    "shards.storage.size": ["1Gi", "500Mi", "1", "1GB", ""],
    "shards.storage.reclaim": ["retain", "delete", "keep"],
    "redis.masters": [3, 4, 64, 2, 65],
    "redis.replicasPerMaster": [0, 3, 4, -1],
    "autoscaling.backends.min": [1, 8, 9, 0],
    "autoscaling.backends.max": [1, 8, 256, 257],
    "autoscaling.shards.mode": ["off", "on", "dryRun", "external", "auto"],
    "rebalancing.mode": ["off", "dryRun", "on", "external"],
    "rebalancing.pauseMillisecondsMax": [10, 100, 9, 10_001],
    "access.bodyBytesMax": [4096, 1 << 24, 1, 1 << 30],
    "access.apiKeysSecretRef": ["mine", "Not_Mine", ""],
    "exposure.port": [0, 80, 65_535, 65_536, -1],
    "exposure.ingressHost": ["a.example", "x" * 254],
    "observability.logLevel": ["debug", "loud"],
    "idempotency.windowSeconds": [60, 604_800, 59, 604_801],
    "image": ["a:1", "x" * 501],
    "paused": [True, False, "yes"],
    "hibernated": [True, False, 0],
    "placement": [
        [], [{"range": ".."}], [{"range": "..C"}, {"range": "C.."}],
        [{"range": "..C"}, {"range": "D.."}], [{"range": "x"}], [{"range": "..", "shard": 1}],
        [{"range": "..", "partition": 2}],
    ],
    "unknownField": [1],
}  # fmt: skip


def _changed(rng: random.Random) -> tuple[Spec, list[str]]:
    """A specification with one to three fields set to something, good or bad."""
    spec = copy.deepcopy(BASE)
    paths = rng.sample(sorted(VALUES), rng.randint(1, 3))
    for path in paths:
        place = spec
        *folders, last = path.split(".")
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = copy.deepcopy(rng.choice(VALUES[path]))
    return spec, paths


def test_the_api_server_and_the_models_agree_on_generated_specifications(
    plane: ControlPlane, namespace: str
) -> None:
    """None of them is stored; a refusal names a field that was changed."""
    rng = random.Random(20261123)
    refused, admitted, wrong = 0, 0, []
    for number in range(CHANGES):
        spec, paths = _changed(rng)
        document = _document(spec, f"g{number}")
        said = server_says(plane, document, namespace, *NOT_STORED)
        model = models_say(document)
        if bool(said) != bool(model):
            wrong.append(f"{spec}: API server: {said or 'admitted'}; models: {model or 'accept'}")
        elif said:
            refused += 1
            if not any(path.split(".")[-1] in said or path.split(".")[0] in said for path in paths):
                wrong.append(f"{spec}: the refusal names none of {paths}: {said}")
        else:
            admitted += 1
    assert not wrong, f"{len(wrong)} of {CHANGES}:\n" + "\n".join(wrong[:10])
    assert min(refused, admitted) > CHANGES // 10
