"""One real partition on two real shards, and somebody who orders moves between them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from trading_contract.moves import MoveOrder
from trading_contract.topology import SlotPlacement
from trading_engine.tests.integration.moving_load import Load
from trading_engine.tests.integration.moving_site import wait_for
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import PostgresServer
from trading_engine.tests.integration.wire_client import WireClient

X, Y = "shard-0", "shard-1"
SLOT = 2
TABLES = ("open_orders", "closed_orders", "trades", "symbol_state")
Start = Callable[..., PartitionProcess]


def two_shards(servers: Sequence[PostgresServer], database: str) -> Site:
    """Slots 1 [, M) and 2 [M, ~), both of p0 and on X; Y is empty."""
    site = Site((*servers, *servers)[:2], database=f"{database}x")
    if len(servers) == 1:
        shards = (
            site.topology.shards[0],
            site.topology.shards[1].model_copy(update={"database": f"{database}y"}),
        )
        site.write(shards=shards)
    site.write(
        slots=tuple(
            SlotPlacement(id=n + 1, first=first, past=past, partition="p0", shard=X)
            for n, (first, past) in enumerate((("", "M"), ("M", "~")))
        )
    )
    return site


class Shards:
    """Partition p0 on both; by the face that `Load` needs."""

    def __init__(self, site: Site, start: Start, **settings: object) -> None:
        self.site = site
        self.names = tuple(shard.name for shard in site.topology.shards)
        self._start = start
        self._settings = settings
        self.process = start(site, **settings)

    def restart(self, ready: bool = True) -> None:
        """Kill it and begin anew."""
        self.process.kill()
        self.process = self._start(self.site, ready=ready, **self._settings)

    def client(self, _name: str = "p0") -> WireClient:
        """A greeted connection."""
        return self.process.client()

    def rows(self, query: str, shard: str | None = None) -> list[tuple[Any, ...]]:
        """What a shard answers to its administrator; of the one that serves SLOT by default."""
        return self.site.rows(query, self.names.index(shard or self.serving()))

    def states(self, slot: int = SLOT) -> tuple[str, str]:
        """(state, epoch) of the slot's row on X and on Y."""
        query = f"SELECT state || ' ' || epoch FROM slot_owner WHERE slot_id = {slot}"
        found = [self.site.rows(query, n) for n in range(2)]
        on_x, on_y = (str(rows[0][0]) if rows else "" for rows in found)
        return on_x, on_y

    def serving(self, slot: int = SLOT) -> str:
        """The shard with the ACTIVE row."""
        active = [
            name for name, state in zip((X, Y), self.states(slot), strict=True)
            if state.startswith("ACTIVE")
        ]  # fmt: skip
        assert len(active) < 2, active
        return active[0] if active else X

    def slot_of(self, symbol: str) -> int:
        """The slot of a symbol."""
        return next(s.id for s in self.site.topology.slots if s.first <= symbol < s.past)

    def told(self, move: str) -> dict[str, Any]:
        """What the partition says of a move; empty: nothing."""
        try:
            with WireClient(self.process.port, greet=False) as client:
                moves = client.status()["moves"]
        except OSError:
            return {}
        return next((m for m in moves if m["id"] == move), {})

    # What the operator does

    def order(
        self,
        to: str,
        slots: tuple[int, ...] = (SLOT,),
        source: str | None = None,
        partition: str = "p0",
    ) -> str:
        """Wish a move; its id."""
        move = MoveOrder(
            id=str(uuid.uuid4()), kind="shard", slots=slots, source_partition=partition,
            source_shard=source or self.serving(slots[0]), target_shard=to,
        )  # fmt: skip
        left = (each for each in self.site.topology.moves if not set(each.slots) & set(slots))
        self.site.write(moves=(*left, move))
        return move.id

    def cancel(self, move: str) -> None:
        """Wish it no more."""
        left = tuple(each for each in self.site.topology.moves if each.id != move)
        self.site.write(moves=left)

    def fold(self) -> None:
        """The topology says what the shards say; the order stays, as that keeps the soak going."""
        slots = tuple(
            each.model_copy(update={"shard": self.serving(each.id)})
            for each in self.site.topology.slots
        )
        self.site.write(slots=slots)

    def ended(self, move: str) -> dict[str, Any]:
        """Wait for the end of a move; what the partition tells of it."""
        wait_for(lambda: self.told(move).get("state") in ("Done", "Failed"))
        return self.told(move)

    def move(self, to: str, slots: tuple[int, ...] = (SLOT,)) -> dict[str, Any]:
        """Move, wait until it is served there, and fold; what was told."""
        move = self.order(to, slots)
        told = self.ended(move)
        assert told["state"] == "Done", (told, self.process.log[-4000:])
        self.fold()
        return told

    # What must hold

    def content(self, shard: str, slot: int = SLOT) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of a slot on a shard, but its log."""
        ((first, past),) = [(s.first, s.past) for s in self.site.topology.slots if s.id == slot]
        return {
            table: self.rows(
                f"SELECT t::text FROM {table} t WHERE symbol >= '{first}' AND symbol < '{past}'"
                " ORDER BY 1", shard,
            )
            for table in TABLES
        }  # fmt: skip


def check_orders(load: Load, shards: Shards) -> None:
    """Nothing lost, nothing doubled, order kept, sequences without gaps."""
    for symbol, told in load.placed.items():
        stored = shards.rows(
            f"SELECT client_id, order_id FROM orders WHERE symbol = '{symbol}' ORDER BY order_id",
            shards.serving(shards.slot_of(symbol)),
        )
        names = [str(name) for name, _ in stored]
        assert len(set(names)) == len(names), "doubled"
        assert [number for _, number in stored] == list(range(1, len(stored) + 1))
        # One after another was asked, so one after another it happened; the last may be unheard of.
        assert told == stored[: len(told)], "lost"
        assert len(stored) <= len(told) + 1
    log = shards.rows(
        f"SELECT seq_lo, seq_hi, epoch FROM slot_log WHERE slot_id = {SLOT} ORDER BY seq_hi"
    )
    assert log[0][0] == 1
    for before, after in itertools.pairwise(log):
        assert after[0] == before[1] + 1 and after[2] >= before[2]
