"""Every rule that the definition states beside its schema refuses something by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from admission import NOT_STORED, SERVER_SIDE, Spec, document_of, models_say, server_says
from test_admission import BASE, FROZEN, REFUSED

from kubernetes_cluster.control_plane import ControlPlane
from operator_process import ROOT

pytestmark = pytest.mark.kubernetes
DEFINITION = ROOT / "crds" / "tradingclusters.yaml"
TIERS = ("backends", "partitions", "shards", "redis")
UPWARDS = [{"fromTime": "10:00", "toTime": "09:00"}]
# Beside what test_admission tries.
MORE: dict[str, Spec] = {
    "a drained shard that is not there": {**BASE, "shards": {"drained": ["shard-1"]}},
    "all shards drained": {**BASE, "shards": {"drained": ["shard-0"]}},
    "as many spares as partitions": {
        **BASE, "autoscaling": {"partitions": {"min": 1, "max": 2, "warmSpares": 2}},
    },
    "an hour that never comes": {**BASE, "autoscaling": {"windows": UPWARDS}},
    **{f"min above max of {tier}": {**BASE, "autoscaling": {tier: {"min": 7, "max": 3}}}
       for tier in TIERS},
    **{f"external {tier}": {**BASE, "autoscaling": {tier: {"mode": "external"}}}
       for tier in TIERS[1:]},
}  # fmt: skip


class Rule(NamedTuple):
    """Where the definition states it, such as spec.shards, and what it says when it refuses."""

    path: str
    message: str


def _rules(node: Any, path: str = "") -> Iterator[Rule]:
    """All below a schema."""
    if not isinstance(node, dict):
        return
    for rule in node.get("x-kubernetes-validations", ()):
        yield Rule(path, rule["message"])
    for name, inner in node.get("properties", {}).items():
        yield from _rules(inner, f"{path}.{name}".strip("."))
    yield from _rules(node.get("items"), f"{path}[]")


def _documents(cases: dict[str, Spec]) -> list[Spec]:
    named = enumerate(cases.items())
    return [document_of("TradingCluster", f"r{number}", spec) for number, (_, spec) in named]


def _said_to(plane: ControlPlane, documents: list[Spec], namespace: str, *words: str) -> str:
    """What the server says to all of them, asked at once."""
    listed = {"apiVersion": "v1", "kind": "List", "items": documents}
    return server_says(plane, listed, namespace, *words)


def test_the_models_refuse_what_these_rules_refuse() -> None:
    for name, document in zip(MORE, _documents(MORE), strict=True):
        assert models_say(document), name


def test_every_rule_refuses_something(plane: ControlPlane, namespace: str) -> None:
    schema = yaml.safe_load(DEFINITION.read_text())["spec"]["versions"][0]["schema"]
    rules = set(_rules(schema["openAPIV3Schema"]))
    assert len(rules) > 20
    before = _documents({name: case[0] for name, case in FROZEN.items()})
    assert _said_to(plane, before, namespace, *SERVER_SIDE) == ""
    after = _documents({name: case[1] for name, case in FROZEN.items()})
    said = _said_to(plane, after, namespace, *SERVER_SIDE)
    too_long = document_of("TradingCluster", "x" * 60, BASE)
    refused = {**{name: spec for name, (spec, _) in REFUSED.items()}, **MORE}
    new = [{**each, "metadata": {"name": f"n{number}"}}
           for number, each in enumerate(_documents(refused))]  # fmt: skip
    said += _said_to(plane, [too_long, *new], namespace, *NOT_STORED, "--validate=false")
    lines = said.replace("* ", "\n").replace("], ", "\n").splitlines()
    silent = [rule for rule in rules if not any(_is_told(rule, line) for line in lines)]
    assert not silent, f"{silent} in:\n{said}"


def _is_told(rule: Rule, line: str) -> bool:
    place, _, item = rule.path.partition("[]")
    return rule.message in line and place in line and item in line
