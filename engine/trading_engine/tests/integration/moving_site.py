"""Two real partitions on one shard, and somebody who orders moves as the operator would."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from trading_contract.moves import MoveKind, MoveOrder
from trading_contract.topology import PartitionAddress, SlotPlacement
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import free_port
from trading_engine.tests.integration.wire_client import WireClient

SHARD = "shard-0"
_OWNED = (
    "SELECT slot_id, first_sym, past_sym, partition, epoch FROM slot_owner"
    " WHERE state = 'ACTIVE' ORDER BY first_sym"
)

Start = Callable[..., PartitionProcess]


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Poll; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def two_slots(site: Site) -> None:
    """Slots 1 [, M) and 2 [M, ~), both on partition p0; p1 is there, too."""
    other = PartitionAddress(name="p1", host="127.0.0.1", port=free_port())
    site.write(
        partitions=(*site.topology.partitions, other),
        slots=tuple(
            SlotPlacement(id=n + 1, first=first, past=past, partition="p0", shard=SHARD)
            for n, (first, past) in enumerate((("", "M"), ("M", "~")))
        ),
    )


class Pair:
    """Partitions p0 and p1 by name."""

    def __init__(self, site: Site, start: Start) -> None:
        self.site = site
        self._start = start
        self.processes: dict[str, PartitionProcess] = {}

    def start(self, name: str, ready: bool = True) -> PartitionProcess:
        """Start a partition, again if need be."""
        port = next(p.port for p in self.site.topology.partitions if p.name == name)
        self.processes[name] = self._start(self.site, ready=ready, port=port, partition=name)
        return self.processes[name]

    def client(self, name: str) -> WireClient:
        """A greeted connection."""
        return self.processes[name].client()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the shard answers to its administrator."""
        return self.site.rows(query)

    def status(self, name: str) -> dict[str, Any]:
        """What a partition says of itself."""
        with WireClient(self.processes[name].port, greet=False) as client:
            return client.status()

    def told(self, name: str, move: str) -> dict[str, Any]:
        """What a partition says of a move; empty: nothing."""
        try:
            moves = self.status(name)["moves"]
        except OSError:  # it begins
            return {}
        return next((m for m in moves if m["id"] == move), {})

    def owner(self, slot: int) -> str:
        """The partition in the slot's row."""
        return str(self.rows(f"SELECT partition FROM slot_owner WHERE slot_id = {slot}")[0][0])

    # What the operator does

    def order(self, kind: MoveKind, slots: tuple[int, ...], source: str, **others: Any) -> str:
        """Wish a move beside those there are; its id."""
        move = MoveOrder(
            id=str(uuid.uuid4()), kind=kind, slots=slots, source_partition=source,
            source_shard=SHARD, **others,
        )  # fmt: skip
        self.site.write(moves=(*self.site.topology.moves, move))
        return move.id

    def cancel(self, move: str) -> None:
        """Wish it no more."""
        left = tuple(each for each in self.site.topology.moves if each.id != move)
        self.site.write(moves=left)

    def fold(self, move: str) -> None:
        """The topology says what the shard says, and the order is gone."""
        slots = tuple(
            SlotPlacement(id=i, first=first, past=past, partition=who, shard=SHARD, epoch=epoch)
            for i, first, past, who, epoch in self.rows(_OWNED)
        )
        left = tuple(each for each in self.site.topology.moves if each.id != move)
        self.site.write(slots=slots, moves=left)

    def move(self, slot: int, to: str) -> dict[str, Any]:
        """Move a slot, wait until it is served there, and fold; what the target told."""
        source = self.owner(slot)
        move = self.order("engine", (slot,), source, target_partition=to)
        wait_for(lambda: self.told(to, move).get("state") in ("Done", "Failed"))
        told = self.told(to, move)
        assert told["state"] == "Done", told
        self.fold(move)
        return told

    def change(self, kind: MoveKind, slots: tuple[int, ...], **others: Any) -> None:
        """Split or merge, wait, and fold."""
        owner = self.owner(slots[0])
        move = self.order(kind, slots, owner, **others)
        wait_for(lambda: self.told(owner, move).get("state") in ("Done", "Failed"))
        told = self.told(owner, move)
        assert told["state"] == "Done", told
        self.fold(move)
