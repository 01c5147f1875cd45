"""Where a live object differs from what is wanted, and where it only says more."""

from __future__ import annotations

from typing import Any

import pytest

from trading_operator.substrates.kubernetes.children.differences import differences

CASES: list[tuple[str, Any, Any, tuple[str, ...]]] = [
    ("defaults are no difference", {"a": 1}, {"a": 1, "b": 2}, ()),
    ("another value is", {"a": {"b": 1}}, {"a": {"b": 2}}, ("a.b",)),
    ("a missing field is", {"a": {"b": 1}}, {"a": {}}, ("a.b",)),
    ("an empty value that was left out is none", {"a": {}, "b": []}, {}, ()),
    ("quantities are equal by value", {"limits": {"cpu": "0.5"}}, {"limits": {"cpu": "500m"}}, ()),
    ("and differ by value", {"r": {"memory": "1Gi"}}, {"r": {"memory": "1023Mi"}}, ("r.memory",)),
    ("what is no quantity is compared as text", {"x": "0.5"}, {"x": "500m"}, ("x",)),
    (
        "items are found by their name",
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"env": [{"name": "B", "value": "2", "x": 1}, {"name": "A", "value": "1"}]},
        (),
    ),
    (
        "an item too many is a difference",
        {"ports": [{"port": 1}]},
        {"ports": [{"port": 1}, {"port": 2}]},
        ("ports",),
    ),
    (
        "others may add owners",
        {"ownerReferences": [{"uid": "a"}]},
        {"ownerReferences": [{"uid": "b"}, {"uid": "a"}]},
        (),
    ),
    ("but ours must be there", {"ownerReferences": [{"uid": "a"}]},
     {"ownerReferences": [{"uid": "b"}]}, ("ownerReferences[a]",)),
    ("plain lists are compared in order", {"args": ["a", "b"]}, {"args": ["b", "a"]},
     ("args[0]", "args[1]")),
    ("a key too many in a ConfigMap is a difference", {"data": {"a": "1"}},
     {"data": {"a": "1", "b": "2"}}, ("data",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "live", "paths"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_differences(wanted: Any, live: Any, paths: tuple[str, ...]) -> None:
    assert differences(wanted, live) == paths
