"""What GitOps tools read from the statuses that the plan gives: Argo CD, Flux, kstatus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import celpy
import pytest
import yaml
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError
from lupa import LuaRuntime

from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.kubernetes.invalid import status_of_invalid
from trading_operator.planner.kubernetes.seen import PodProblem
from trading_operator.tests.imagined import NOW, Imagined, cluster

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
LUA = (EXAMPLES / "07-argo-cd" / "health.lua").read_text()
FLUX = list(yaml.safe_load_all((EXAMPLES / "08-flux" / "flux.yaml").read_text()))
Body = dict[str, Any]
# In which case: what Argo CD, Flux and kstatus are to say.
EXPECTED = {
    "just applied": ("Progressing", "InProgress", "InProgress"),
    "being made": ("Progressing", "InProgress", "InProgress"),
    "ready": ("Healthy", "Current", "Current"),
    "edited, not looked at": ("Progressing", "InProgress", "InProgress"),
    "rolled out": ("Progressing", "InProgress", "InProgress"),
    "its image does not exist": ("Degraded", "Failed", "Failed"),
    "its specification is invalid": ("Degraded", "Failed", "Failed"),
    "paused": ("Suspended", "Current", "Current"),
    "falling asleep": ("Progressing", "InProgress", "InProgress"),
    "hibernated": ("Suspended", "Current", "InProgress"),
    "the API server is away": ("Progressing", "InProgress", "InProgress"),
}


def _body(status: Any, generation: int = 1) -> Body:
    body: Body = {"metadata": {"name": "demo", "generation": generation}}
    if status is not None:
        body["status"] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return body


def _numbered(wanted: TradingCluster) -> TradingCluster:
    metadata = wanted.metadata.model_copy(update={"generation": 1})
    return wanted.model_copy(update={"metadata": metadata})


def _cases() -> Iterator[tuple[str, Body]]:
    wanted = _numbered(cluster())
    yield "just applied", _body(None)
    world = Imagined()
    yield "being made", _body(world.plan(wanted).status)
    ready = world.settle(wanted).status
    yield "ready", _body(ready)
    yield "edited, not looked at", _body(ready, generation=2)
    yield "the API server is away", _body(world.plan(wanted, children=None).status)
    yield "its specification is invalid", _body(status_of_invalid("no symbol", 1, ready, NOW))
    yield "rolled out", _body(world.plan(_numbered(cluster(image="next:1"))).status)
    yield "paused", _body(world.plan(_numbered(cluster(paused=True))).status)
    asleep = _numbered(cluster(hibernated=True))
    yield "falling asleep", _body(world.plan(asleep).status)
    yield "hibernated", _body(world.settle(asleep).status)
    yield "its image does not exist", _body(_stuck())


def _stuck() -> Any:
    world = Imagined(is_sick=lambda name, _template: "backend" in name)
    world.settle(_numbered(cluster()))
    problem = PodProblem("ImageUnavailable", "no such image", needs_person=True, since=1.0)
    pods = tuple(
        pod if pod.is_ready else replace(pod, problem=problem) for pod in world.seen().pods
    )
    return world.plan(_numbered(cluster()), pods=pods).status


CASES = dict(_cases())


def _lua(value: Any, lua: LuaRuntime) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _lua(each, lua) for key, each in value.items()})
    if isinstance(value, list):
        return lua.table_from([_lua(each, lua) for each in value])
    return value


def _argo(body: Body) -> str:
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = _lua(body, lua)
    answer = lua.execute(LUA)
    assert answer.message is not None
    return str(answer.status)


def _holds(expression: str, body: Body) -> bool:
    environment = celpy.Environment()
    program = environment.program(environment.compile(expression))
    return bool(program.evaluate({key: json_to_cel(each) for key, each in body.items()}))


def _flux(body: Body) -> str:
    """In the order of Flux; an expression that fails for a missing status is waited for."""
    (rules,) = FLUX[-1]["spec"]["healthCheckExprs"]
    try:
        for key, word in (("inProgress", "InProgress"), ("failed", "Failed")):
            if _holds(rules[key], body):
                return word
        return "Current" if _holds(rules["current"], body) else "InProgress"
    except CELEvalError:
        return "InProgress"


def _kstatus(body: Body) -> str:
    """The generic rules of kstatus (sigs.k8s.io/cli-utils) for a resource with conditions.

    Without a status the API server fills in one that has observed nothing yet.
    """
    status = body.get("status", {})
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        return "InProgress"
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


@pytest.mark.parametrize("case", EXPECTED)
def test_each_tool_reads_the_same_from_a_status(case: str) -> None:
    body = CASES[case]
    assert (_argo(body), _flux(body), _kstatus(body)) == EXPECTED[case]


def test_a_cluster_that_is_being_deleted_is_not_healthy() -> None:
    body = CASES["ready"]
    metadata = {**body["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert _argo({**body, "metadata": metadata}) == "Progressing"


def test_the_config_map_of_argo_cd_holds_the_same_rules() -> None:
    document = yaml.safe_load((EXAMPLES / "07-argo-cd" / "argocd-cm.yaml").read_text())
    (rules,) = document["data"].values()
    assert rules == LUA
