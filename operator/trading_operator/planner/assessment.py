"""How each wanted component is doing, and who serves each slot.

Facts for plan and conditions alike.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from trading_contract.topology import SlotPlacement, Topology
from trading_operator.planner.actions import Component, prepare_task
from trading_operator.planner.moves.ownership import (
    ACTIVE,
    MERGED,
    SEALED,
    living_row,
    owner_of,
)
from trading_operator.planner.observed import Observed, Reach, ReplicaSeen, Role, SlotRow
from trading_operator.planner.topology import (
    WantedCluster,
    same_but_moves,
    same_but_revision,
    shard_hash,
)

READY = "ready"
STARTING = "starting"
STOPPING = "stopping"
FAILED = "failed"
DOWN = "down"


@dataclass(frozen=True)
class Health:
    """The state of one component and, unless it is ready, what is missing in words."""

    state: str
    note: str = ""
    is_outdated: bool = False  # does its work all the same, with older settings

    @property
    def is_ready(self) -> bool:
        """Whether it does all that is wanted of it."""
        return self.state == READY

    @property
    def is_serving(self) -> bool:
        """Whether it does its work, be it with older settings."""
        return self.is_ready or self.is_outdated


def health_of(component: Component, observed: Observed) -> Health:
    """How one wanted component is doing."""
    name = component.name
    process = observed.process(name)
    failure = observed.failures.get(name) or observed.failures.get(prepare_task(name))
    if process is None:
        if name in observed.busy:
            return Health(STARTING, f"{name} is {observed.busy[name]}")
        if failure is not None:
            return Health(FAILED if failure.needs_person else DOWN, failure.text)
        return Health(DOWN, f"{name} does not run")
    if process.stopping_since is not None:
        return Health(STOPPING, f"{name} is stopping")
    missing = _missing(component, observed)
    if process.settings_hash != component.settings_hash:
        return Health(STARTING, f"{name} runs with older settings", is_outdated=not missing)
    if not missing:
        return Health(READY)
    if failure is not None and failure.needs_person:
        return Health(FAILED, failure.text)
    text = f"{name} {missing}"
    return Health(STARTING, f"{text}; {failure.text}" if failure else text)


def _missing(component: Component, observed: Observed) -> str:
    """What keeps a running component from being ready; "" = nothing."""
    name = component.name
    match component.role:
        case Role.SHARD:
            return shard_missing(name, observed.topology, observed)
        case Role.NODE:
            node = observed.nodes.get(name)
            if node is None:
                return "does not answer"
            return "" if node.state_ok else "says that the cluster is down"
        case Role.PARTITION:
            return partition_missing(name, observed)
        case Role.REPLICA:
            is_ready = observed.replicas.get(name, ReplicaSeen()).reach >= Reach.PARTITIONS
            return "" if is_ready else "does not answer /readyz with 200"
        case Role.BALANCER:
            return "" if observed.balancer_answers else "does not answer"


def shard_missing(name: str, topology: Topology | None, observed: Observed) -> str:
    """What keeps a shard from serving its slots."""
    seen = observed.shards.get(name)
    if seen is None or seen.accepts_writes is None:
        return seen.note if seen and seen.note else "does not answer"
    if not seen.accepts_writes:
        return "does not accept writes"
    if topology is None:
        return "waits for the topology"
    if not is_prepared(name, topology, observed):
        return "is not prepared yet"
    return ""


def is_prepared(name: str, topology: Topology, observed: Observed) -> bool:
    """Whether the shard holds tables and rows for exactly what the topology wants of it."""
    seen = observed.shards.get(name)
    if seen is None or seen.rows is None or seen.prepared_hash != shard_hash(topology, name):
        return False
    present = {row.slot_id for row in seen.rows}
    return all(slot.id in present for slot in topology.slots if slot.shard == name)


def partition_missing(name: str, observed: Observed) -> str:
    """What keeps a partition from serving all of its slots."""
    seen = observed.partitions.get(name)
    if seen is None or not seen.state:
        return "does not answer"
    if seen.state != READY:
        return f"is {seen.state}" + (f": {seen.note}" if seen.note else "")
    if observed.topology is None:
        return "waits for the topology"
    slots = [slot for slot in observed.topology.slots if serving(slot, observed) == name]
    unserved = [slot for slot in slots if not is_served(slot, observed)]
    return f"does not serve {len(unserved)} of its {len(slots)} slots" if unserved else ""


def slot_row(slot: SlotPlacement, observed: Observed) -> SlotRow | None:
    """The row that a slot lives by, on whichever shard; else what its own shard has of it."""
    if (found := living_row(slot.id, observed.shards)) is not None:
        return found[0]
    rows = getattr(observed.shards.get(slot.shard), "rows", None) or ()
    return next((row for row in rows if row.slot_id == slot.id), None)


def shard_of(slot: SlotPlacement, observed: Observed) -> str:
    """The shard that a slot lives on: the rows know before the topology is brought up to them."""
    found = living_row(slot.id, observed.shards)
    return slot.shard if found is None else found[1]


def serving(slot: SlotPlacement, observed: Observed) -> str:
    """The partition that owns a slot: its row knows before the topology is brought up to it."""
    return owner_of(slot, slot_row(slot, observed))


def is_served(slot: SlotPlacement, observed: Observed) -> bool:
    """Whether its partition serves the slot at the epoch that its shard has.

    Shards and partitions are not asked in one instant: of a slot that is on its way, one may tell
    of the moment before and the other of the moment after its hand-over.
    """
    row = slot_row(slot, observed)
    if row is not None and row.state == MERGED:
        return True  # a part of its neighbour, which is asked after itself
    if row is None or row.state not in (ACTIVE, SEALED):
        return False
    if row.state == ACTIVE and _serves(serving(slot, observed), slot.id, (row.epoch,), observed):
        return True
    around = (row.epoch - 1, row.epoch, row.epoch + 1)
    orders = observed.topology.moves if observed.topology else ()
    is_on_its_way = any(slot.id in order.touched for order in orders)
    return is_on_its_way and any(
        _serves(name, slot.id, around, observed) for name in observed.partitions
    )


def _serves(name: str, slot: int, epochs: Collection[int], observed: Observed) -> bool:
    partition = observed.partitions.get(name)
    return (
        partition is not None
        and partition.state == READY
        and any(each.slot_id == slot and each.epoch in epochs for each in partition.slots)
    )


def is_published(wanted: WantedCluster, observed: Observed) -> bool:
    """Whether the topology file says what is wanted."""
    return (
        wanted.topology is not None
        and observed.topology is not None
        and same_but_revision(wanted.topology, observed.topology)
    )


def is_specified(wanted: WantedCluster, observed: Observed) -> bool:
    """Whether the topology file says all that the specification asks for, be slots on their way."""
    return (
        wanted.topology is not None
        and observed.topology is not None
        and same_but_moves(wanted.topology, observed.topology)
    )
