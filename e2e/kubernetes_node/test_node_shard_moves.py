"""Symbols move between shards in real pods while they are traded, whatever the operator does.

One cluster serves all tests of this file; the history of every trader is judged at the end of each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from moving_cluster import (
    Moving,
    kill_operators,
    moving_cluster,
    sized,
    there_and_back_though_operators_die,
)

from judged import wait_for_acknowledgements
from operator_process import Kubectl, until

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="module")
def moving(
    operator: Kubectl, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moving]:
    """Ready, with two partitions on one shard."""
    with moving_cluster(operator, request, tmp_path_factory.mktemp("shard-moves")) as made:
        yield made


def _shards_own(moving: Moving, shards: int) -> None:
    """So many of them, each with symbols, are there and the cluster is Ready."""
    moving.apply(**sized(shards=shards))
    wanted = {f"shard-{index}" for index in range(shards)}
    until(lambda: set(moving.owners("shard").values()) == wanted, f"{shards} own symbols", 300)
    moving.exchange.wait_ready(120)


def test_shards_come_with_symbols_and_go_empty(moving: Moving, times: dict[str, Any]) -> None:
    partitions = moving.owners()
    crowd = moving.traders("s")
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        begun = time.monotonic()
        _shards_own(moving, 3)
        times["shards_1_to_3"] = round(time.monotonic() - begun, 1)
        wait_for_acknowledgements(crowd, 50, 60)
        begun = time.monotonic()
        moving.apply(**sized(shards=2))
        until(lambda: bool(moving.exchange.topology().get("moves")), "a move is ordered", 120)
        kill_operators(moving.exchange.kubectl)
        until(lambda: moving.are_gone({"shard-2"}, "shard"), "one is gone", 300)
        moving.exchange.wait_ready(120)
        times["shards_3_to_2_operators_killed"] = round(time.monotonic() - begun, 1)
        assert set(moving.owners("shard").values()) == {"shard-0", "shard-1"}
        wait_for_acknowledgements(crowd, 50, 60)
    assert moving.owners() == partitions
    assert {each["spec"]["requestedBy"] for each in moving.moves()} == {"Planner"}
    assert {each["status"]["state"] for each in moving.moves()} == {"Done"}
    moving.nobody_noticed()


def test_a_symbol_changes_its_shard_and_comes_back_though_the_operators_are_killed_meanwhile(
    moving: Moving, times: dict[str, Any]
) -> None:
    _shards_own(moving, 2)
    home, partition = moving.owners("shard")["BTCUSDT"], moving.owners()["BTCUSDT"]
    other = "shard-1" if home == "shard-0" else "shard-0"
    crowd = moving.traders("x")
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        there_and_back_though_operators_die(moving, crowd, (other, home), times)
        moving.exchange.wait_ready(120)
    assert moving.owners()["BTCUSDT"] == partition
    moving.nobody_noticed()
