"""Clusters with SymbolMoves in an imagined world, one step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from trading_contract.moves import MoveOrder, MoveProgress
from trading_contract.status import ClusterStatus
from trading_contract.symbolmove import (
    MoveMetadata,
    MoveState,
    SymbolMove,
    SymbolMoveSpec,
    SymbolMoveStatus,
)
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import Action, ForgetMove, MakeMove, PublishTopology
from trading_operator.planner.imagined_moves import at_rest, carried_out, rows_of, with_rows
from trading_operator.planner.plan import Intent, Plan, make_plan
from trading_operator.planner.preview import imagine, settle, with_statuses
from trading_operator.tests.builders import NOW, cluster, converged

TWO = cluster(partitions={"count": 2})
LETTERS = tuple(f"{letter}USDT" for letter in "ABCDEFGHIJKLMNOPQRSTUVWX")  # three a slot
MANY = cluster(LETTERS, partitions={"count": 2})
ROUNDS_MAX = 60


def move(name: str = "m", /, symbols: str = "BTCUSDT", to: str = "partition-1",
         generation: int = 1, **spec: Any) -> SymbolMove:  # fmt: skip
    """A SymbolMove of the tested cluster."""
    target = {} if "toShard" in spec else {"toPartition": to}
    fields = {"cluster": "tested", "symbols": symbols.split(","), **target, **spec}
    return SymbolMove(
        api_version="hft.trading/v1alpha1", kind="SymbolMove",
        metadata=MoveMetadata(
            name=name, uid=f"uid-{name}", generation=generation,
            creation_timestamp="2027-01-15T08:00:00Z",
        ),
        spec=SymbolMoveSpec.model_validate(fields),
    )  # fmt: skip


class Scene:
    """A world in which partitions do nothing by themselves until they are told to."""

    def __init__(self, wanted: TradingCluster = TWO, *moves: SymbolMove) -> None:
        self.wanted = wanted
        self.world = replace(converged(wanted), moves=moves)
        self.now = NOW
        self.previous: ClusterStatus | None = None

    def plan(self) -> Plan:
        """What is planned now; changes nothing."""
        return make_plan(Intent(self.wanted, previous=self.previous), self.world, self.now)

    def step(self, *, carry_out: bool = False) -> Plan:
        """One pass: statuses are written, actions done; orders only if `carry_out`."""
        plan = self.plan()
        self.world, self.previous = with_statuses(self.world, plan), plan.status
        for action in plan.actions:
            self._do(action, carry_out=carry_out)
        return plan

    def _do(self, action: Action, *, carry_out: bool) -> None:
        if isinstance(action, PublishTopology):
            before = self.world.topology
            assert before is None or action.topology.revision > before.revision
            if not carry_out:
                rows = at_rest(rows_of(self.world.shards), action.topology.moves)
                shards = with_rows(self.world.shards, rows)
                self.world = replace(self.world, topology=action.topology, shards=shards)
                return
        self.world = imagine(self.world, action)

    def settle(self) -> Plan:
        """Passes until nothing is left to do."""
        for _ in range(ROUNDS_MAX):
            plan = self.step(carry_out=True)
            for order in self.orders():
                self.carry_out(order)
            if not plan.actions and plan.moves.are_done(self.orders()):
                return plan
        raise AssertionError("it never comes to rest")

    def orders(self) -> tuple[MoveOrder, ...]:
        """What the topology asks for."""
        assert self.world.topology is not None
        return self.world.topology.moves

    def carry_out(self, order: MoveOrder, *, is_served: bool = True) -> None:
        """The partitions do as they were asked; nobody has told the operator."""
        rows = carried_out(rows_of(self.world.shards), order)
        self.world = replace(self.world, shards=with_rows(self.world.shards, rows))
        if is_served:
            told = {name: each.moves for name, each in self.world.partitions.items()}
            self.world = settle(self.world)
            self.world = replace(
                self.world,
                partitions={
                    name: replace(each, moves=told.get(name, ()))
                    for name, each in self.world.partitions.items()
                },
            )

    def tell(self, order: MoveOrder, role: Any = "target", state: Any = "Following",
             **more: Any) -> None:  # fmt: skip
        """A partition's STATUS says this of an order."""
        name = order.source_partition if role == "source" else order.target_partition
        name = name or order.source_partition  # between shards it is the same
        progress = MoveProgress(
            id=order.id, role=role, state=state, slots=order.slots, attempt=order.attempt, **more
        )
        partition = self.world.partitions[name]
        others = tuple(each for each in partition.moves if each.id != order.id)
        partition = replace(partition, moves=(*others, progress))
        self.world = replace(self.world, partitions={**self.world.partitions, name: partition})

    def status(self, name: str = "m") -> SymbolMoveStatus:
        """Of one move; a blank one before it was looked at."""
        found = next(each for each in self.world.moves or () if each.metadata.name == name)
        return found.status or SymbolMoveStatus()

    def verdict(self, name: str = "m") -> tuple[MoveState, str]:
        """State and reason."""
        status = self.status(name)
        return status.state, status.reason

    def edit(self, name: str = "m", /, **spec: Any) -> None:
        """A person changes a SymbolMove."""
        self.world = replace(
            self.world,
            moves=tuple(
                each if each.metadata.name != name else _edited(each, spec)
                for each in self.world.moves or ()
            ),
        )

    def owners(self) -> dict[str, str]:
        """Which partition each listed symbol is at, as the rows tell it."""
        rows = [row for seen in self.world.shards.values() for row in seen.rows or ()]
        topology = self.world.topology
        assert topology is not None
        placed = {slot.id: slot.partition for slot in topology.slots}
        return {
            symbol.name: row.partition or placed[row.slot_id]
            for symbol in self.wanted.spec.symbols for row in rows
            if row.state == "ACTIVE" and row.first <= symbol.name < row.past
        }  # fmt: skip

    def shards(self) -> dict[str, str]:
        """Which shard each listed symbol is on, as the rows tell it."""
        return {
            symbol.name: shard for symbol in self.wanted.spec.symbols
            for shard, seen in self.world.shards.items() for row in seen.rows or ()
            if row.state == "ACTIVE" and row.first <= symbol.name < row.past
        }  # fmt: skip


def _edited(before: SymbolMove, spec: dict[str, Any]) -> SymbolMove:
    metadata = before.metadata.model_copy(update={"generation": before.metadata.generation + 1})
    fields = before.spec.model_dump(by_alias=True) | spec
    after = SymbolMoveSpec.model_validate(fields)
    return before.model_copy(update={"metadata": metadata, "spec": after})


def kinds(plan: Plan) -> Iterator[str]:
    """What the actions about moves are."""
    for action in plan.actions:
        if isinstance(action, MakeMove | ForgetMove | PublishTopology):
            yield type(action).__name__
