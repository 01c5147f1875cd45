"""Every refused change says which field and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from trading_operator.planner.changes import problems_of, problems_of_change
from trading_operator.tests.builders import cluster


def test_more_than_one_member_is_refused_on_this_substrate() -> None:
    (line,) = problems_of(cluster(shards={"members": 2}))
    assert line.startswith("spec.shards.members:")
    assert "Kubernetes" in line


def test_symbols_stay_with_their_grid() -> None:
    before = cluster(("BTCUSDT", "ETHUSDT"))
    lines = problems_of_change(before, cluster(("BTCUSDT",)))
    assert lines[0].startswith("spec.symbols: ETHUSDT")
    finer = cluster(("BTCUSDT", "ETHUSDT"))
    symbols = (
        finer.spec.symbols[0].model_copy(update={"tick_size": "0.001"}),
        finer.spec.symbols[1],
    )
    after = finer.model_copy(update={"spec": finer.spec.model_copy(update={"symbols": symbols})})
    assert problems_of_change(before, after)[0].startswith("spec.symbols.BTCUSDT.tickSize")


def test_growing_and_shrinking_what_owns_nothing_is_fine() -> None:
    before, after = cluster(partitions={"count": 5}), cluster(backends={"replicas": 3})
    assert problems_of_change(before, after) == []


def test_the_number_of_redis_masters_may_change_as_their_hash_slots_are_given_away() -> None:
    assert problems_of_change(cluster(), cluster(redis={"masters": 5})) == []


@pytest.mark.parametrize("tier", ["partitions", "shards"])
def test_who_owns_slots_may_go_as_it_is_emptied_first(tier: str) -> None:
    spec: dict[str, Any] = {tier: {"count": 3}}
    before, after = cluster(**spec), cluster()
    assert problems_of_change(before, after) == []
