"""What partitions tell of moves, and SymbolMoves as the API server has them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from trading_contract.symbolmove import MoveState
from trading_operator.planner.observed import PartitionSeen
from trading_operator.probes.partition import HEADER, STATUS, PartitionProbe
from trading_operator.substrates.kubernetes.observe import broken_moves, is_ended, moves_seen

PROGRESS = {
    "id": "00000000-0000-0000-0000-000000000001", "role": "target", "state": "Ready",
    "slots": [7], "attempt": 2, "percent": 90, "pause_milliseconds": None,
}  # fmt: skip


def asked(answer: dict[str, Any]) -> PartitionSeen:
    """A partition that answers this, over a real connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(HEADER.size)
        payload = json.dumps(answer).encode()
        writer.write(HEADER.pack(HEADER.size + len(payload), STATUS, 0, 0) + payload)
        await writer.drain()
        writer.close()

    async def ask() -> PartitionSeen:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            probe = PartitionProbe("127.0.0.1", server.sockets[0].getsockname()[1])
            seen = await probe.ask(5.0)
            probe.close()
            return seen

    return asyncio.run(ask())


def test_progress_is_read_and_what_another_version_says_is_left_out() -> None:
    seen = asked({"state": "ready", "slots": [], "moves": [PROGRESS, {"id": "x"}, "nonsense"]})
    assert [(each.id[-1], each.state, each.attempt) for each in seen.moves] == [("1", "Ready", 2)]
    assert seen.state == "ready"
    assert seen.move_kinds == {"engine", "split", "merge"}


def test_a_partition_that_says_nothing_of_moves_does_not_know_them() -> None:
    assert asked({"state": "ready", "slots": []}).move_kinds == frozenset()


def test_differences_that_were_found_after_moves_are_read() -> None:
    told = asked({"state": "ready", "slots": [], "moves": [], "move_differences": ["slot 7: .."]})
    assert told.differences == ("slot 7: ..",)


def test_a_partition_says_which_moves_it_can_do() -> None:
    told = asked({"state": "ready", "slots": [], "moves": [], "move_kinds": ["engine", "shard"]})
    assert told.move_kinds == {"engine", "shard"}


def body(name: str = "mine", **more: Any) -> dict[str, Any]:
    """A SymbolMove of the API server."""
    return {
        "apiVersion": "hft.trading/v1alpha1", "kind": "SymbolMove",
        "metadata": {
            "name": name, "namespace": "ns", "uid": "u-1", "generation": 3,
            "creationTimestamp": "2027-01-15T08:00:00Z", "resourceVersion": "12",
            "managedFields": [],
        },
        "spec": {"cluster": "demo", "symbols": ["BTCUSDT"], "toPartition": "partition-1"},
        **more,
    }  # fmt: skip


def test_moves_are_read_with_what_orders_are_named_after() -> None:
    (move,) = moves_seen([body(status={"state": "Moving", "attempts": 1})])
    assert (move.metadata.uid, move.metadata.generation) == ("u-1", 3)
    assert move.status is not None
    assert move.status.state is MoveState.MOVING


def test_a_move_that_is_being_deleted_is_gone() -> None:
    going = body()
    going["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:01Z"
    assert moves_seen([going]) == ()


def test_a_status_of_another_version_counts_as_none() -> None:
    (move,) = moves_seen([body(status={"state": "Levitating"})])
    assert move.status is None


@pytest.mark.parametrize(
    "spec", [{}, {"cluster": "demo", "symbols": ["B..A"], "toShard": "shard-1"}]
)
def test_what_the_models_refuse_is_told_apart(spec: dict[str, Any]) -> None:
    bad = body("bad", spec=spec)
    assert [move.metadata.name for move in moves_seen([body(), bad])] == ["mine"]
    ((found, problem),) = broken_moves([body(), bad])
    assert found is bad
    assert "spec" in problem


def test_an_ended_move_is_known_by_its_status() -> None:
    assert is_ended(body(status={"state": "Done"}))
    assert not is_ended(body(status={"state": "Waiting"}))
    assert not is_ended(body())
