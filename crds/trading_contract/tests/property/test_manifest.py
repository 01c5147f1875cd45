"""Whatever the text, it is a cluster or a UserError; nothing else comes out."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from trading_contract.errors import UserError
from trading_contract.manifest import load_cluster, parse_cluster
from trading_contract.tests.builders import cluster_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FULL = yaml.safe_load(
    cluster_text(
        "placement: [{range: .., shard: 0}], shards: {count: 3, members: 3, durability: required}, "
        "autoscaling: {backends: {mode: dryRun}, windows: [{fromTime: '01:00', toTime: '02:00'}]}, "
        "access: {rateLimits: {ordersPerDay: 5}}, exposure: {port: 8080}"
    )
)


def paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a document."""
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node if isinstance(node, list) else ())
    )
    return [path, *(p for key, inner in items for p in paths(inner, (*path, key)))]


@given(path=st.sampled_from(paths(FULL)[1:]), value=VALUES)
def test_a_document_with_any_value_anywhere_is_a_cluster_or_refused(
    path: tuple[Any, ...], value: Any
) -> None:
    document = copy.deepcopy(FULL)
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    try:
        parse_cluster(document)
    except UserError as refusal:
        told = str(refusal)
    else:
        return
    assert str(path[0]) in told


@given(st.text(max_size=200))
@example("a: 2001-99-99")
@example("? [a]\n: b")
@example("!!python/object:os.system {}")
@example("a: !!binary x")
@example("- " * 3000)
@example("\x00")
@example("1: 2")
@example("metadata: {1: 2}")
@example("metadata: 3")
def test_any_text_is_a_cluster_or_refused(text: str) -> None:
    try:
        load_cluster(text)
    except UserError as refusal:
        told = str(refusal)
    else:
        return
    assert told
