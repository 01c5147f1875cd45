"""Orders of moves say all that their kind needs, and no two touch one slot."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trading_contract.moves import MoveOrder, MoveProgress
from trading_contract.topology import Topology

ONE = "11111111-1111-1111-1111-111111111111"
TWO = "22222222-2222-2222-2222-222222222222"


def fields(**changed: Any) -> dict[str, Any]:
    """An engine move of slot 3, with changes; None leaves a field out."""
    given = {
        "id": ONE, "kind": "engine", "slots": (3,), "source_partition": "partition-0",
        "target_partition": "partition-1", "source_shard": "shard-0",
    } | changed  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def topology(*moves: MoveOrder) -> Topology:
    """A topology with nothing but moves."""
    return Topology(
        cluster="c", revision=1, symbols=(), shards=(), partitions=(), redis_nodes=(), slots=(),
        moves=moves,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"slots": (3, 4)},
        {"kind": "shard", "target_partition": None, "target_shard": "shard-1"},
        {"kind": "split", "target_partition": None, "split_at": "H", "new_slot": 9},
        {"kind": "merge", "target_partition": None, "slots": (3, 4)},
    ],
)
def test_an_order_that_says_all_its_kind_needs_is_read_back_as_it_was(
    changed: dict[str, Any],
) -> None:
    wished = topology(MoveOrder(**fields(**changed)))
    assert Topology.model_validate_json(wished.model_dump_json(by_alias=True)) == wished


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"id": "first"}, "match pattern"),
        ({"slots": ()}, "at least 1"),
        ({"slots": (3, 3)}, "names a slot twice"),
        ({"target_partition": None}, "engine needs targetPartition"),
        ({"target_shard": "shard-1"}, "engine has no targetShard"),
        ({"target_partition": "partition-0"}, "partition-0 has the slots already"),
        (
            {"kind": "shard", "target_partition": None, "target_shard": "shard-0"},
            "on shard-0 already",
        ),
        ({"kind": "shard", "target_shard": "shard-1"}, "shard has no targetPartition"),
        ({"kind": "split", "target_partition": None, "split_at": "H"}, "split needs newSlot"),
        (
            {"kind": "split", "target_partition": None, "split_at": "H", "new_slot": 3},
            "newSlot 3 is the one to be split",
        ),
        (
            {
                "kind": "split", "target_partition": None, "split_at": "H", "new_slot": 9,
                "slots": (3, 4),
            },
            "split is of 1 slots",
        ),
        ({"kind": "merge", "target_partition": None}, "merge is of 2 slots"),
        ({"pause_milliseconds_max": 0}, "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_an_order_that_contradicts_its_kind_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        MoveOrder(**fields(**changed))


def test_no_slot_is_in_two_orders() -> None:
    first = MoveOrder(**fields(slots=(3, 4)))
    with pytest.raises(ValidationError, match="slot 4 is in two moves"):
        topology(first, MoveOrder(**fields(id=TWO, slots=(4, 5))))
    with pytest.raises(ValidationError, match="two moves have the id"):
        topology(first, MoveOrder(**fields(slots=(5,))))
    split = MoveOrder(
        **fields(id=TWO, kind="split", target_partition=None, slots=(5,), split_at="H", new_slot=4)
    )
    with pytest.raises(ValidationError, match="slot 4 is in two moves"):
        topology(first, split)


def test_progress_is_told_with_the_names_of_its_fields() -> None:
    told = MoveProgress(id=ONE, role="target", state="Following", slots=(3,), lag_commands=2)
    assert told.model_dump(mode="json")["lag_commands"] == 2
    assert MoveProgress.model_validate(told.model_dump(mode="json")) == told
