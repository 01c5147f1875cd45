"""Promises of the first slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_contract.slots import SymbolRange, check_tiles
from trading_operator.planner.placement import initial_slots
from trading_operator.tests.builders import TOPOLOGIES, cluster

NAMES = st.text("ABCXYZ0189", min_size=1, max_size=9).map(lambda text: f"{text}USDT")


@pytest.mark.parametrize("spec", TOPOLOGIES)
def test_slots_tile_the_space_and_each_holds_a_listed_symbol(spec: Mapping[str, Any]) -> None:
    wanted = cluster(**spec).spec
    slots = initial_slots(wanted)
    ranges = [SymbolRange(slot.first, slot.past) for slot in slots]
    check_tiles(ranges)
    names = [symbol.name for symbol in wanted.symbols]
    assert all(any(each.contains(name) for name in names) for each in ranges)
    assert len({slot.id for slot in slots}) == len(slots)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(NAMES, min_size=1, max_size=40),
    st.integers(min_value=1, max_value=9),
    st.integers(min_value=1, max_value=9),
)
def test_any_cluster_is_tiled_and_spread_contiguously(
    names: set[str], partitions: int, shards: int
) -> None:
    spec = cluster(tuple(names), partitions={"count": partitions}, shards={"count": shards}).spec
    slots = initial_slots(spec)
    check_tiles([SymbolRange(slot.first, slot.past) for slot in slots])
    for kind in ("partition", "shard"):
        owners = [int(getattr(slot, kind).rpartition("-")[2]) for slot in slots]
        assert owners == sorted(owners)
    assert len({slot.partition for slot in slots}) == min(partitions, len(slots))
    assert len({slot.shard for slot in slots}) == min(shards, len(slots))


def test_placement_wins_where_it_speaks() -> None:
    spec = cluster(
        partitions={"count": 3},
        shards={"count": 2},
        placement=[
            {"range": "..D", "shard": 1, "partition": 2},
            {"range": "D..M"},
            {"range": "M..", "shard": 0},
        ],
    ).spec
    slots = initial_slots(spec)
    assert {(s.shard, s.partition) for s in slots if s.past <= "D"} == {("shard-1", "partition-2")}
    assert {s.shard for s in slots if s.first >= "M"} == {"shard-0"}
    assert any(slot.past == "D" for slot in slots)
    assert any(slot.first == "M" for slot in slots)


def test_the_number_of_slots_is_bounded_by_symbols_and_by_sixty_four() -> None:
    many = tuple(f"{index:04d}USDT" for index in range(500))
    assert len(initial_slots(cluster(many).spec)) == 4
    assert len(initial_slots(cluster(many, partitions={"count": 40}).spec)) == 64
    assert len(initial_slots(cluster(("BTCUSDT",), partitions={"count": 8}).spec)) == 1


def test_ids_carry_the_shard_they_were_born_on() -> None:
    slots = initial_slots(cluster(shards={"count": 2}).spec)
    assert {(slot.shard, slot.id // 1_000_000) for slot in slots} == {
        ("shard-0", 1),
        ("shard-1", 2),
    }
