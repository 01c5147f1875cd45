"""Counts for people, and reasons of conditions: a closed set that the operator keeps to."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from trading_contract.crd import definition
from trading_contract.status import Reason, TierStatus

OPERATOR = Path(__file__).parents[4] / "operator" / "trading_operator"
# Calls that make a condition, with the place of the reason among their arguments.
MAKERS = {"Verdict": 1, "_flag": 1, "Obstacle": 0, "PodProblem": 0}
CAMEL_CASE = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)*")


def reasons_in_code() -> Iterator[tuple[Path, str]]:
    """Every reason that is written out in the operator."""
    for path in sorted(OPERATOR.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name in MAKERS and len(node.args) > MAKERS[name]:
                    for part in ast.walk(node.args[MAKERS[name]]):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield path, part.value


def test_the_operator_gives_no_reason_outside_the_closed_set() -> None:
    found = list(reasons_in_code())
    assert len({reason for _, reason in found}) >= 15, "the search finds them no more"
    strange = [(str(path), reason) for path, reason in found if reason not in set(Reason)]
    assert not strange, "add them to trading_contract.status.Reason"


def test_every_reason_is_given_somewhere() -> None:
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in OPERATOR.rglob("*.py")
        if "tests" not in path.parts
    )
    text += json.dumps(definition())  # what a cluster says before an operator has seen it
    assert [reason for reason in Reason if f'"{reason}"' not in text] == []


def test_reasons_are_camel_case_as_machines_expect() -> None:
    assert all(CAMEL_CASE.fullmatch(reason) for reason in Reason)


def test_a_tier_shows_both_counts_whatever_it_was_told_before() -> None:
    tier = TierStatus(name="backends", wanted=3, ready=2)
    assert tier.shown == "2/3"
    assert TierStatus.model_validate({**tier.model_dump(), "ready": 3}).shown == "3/3"
