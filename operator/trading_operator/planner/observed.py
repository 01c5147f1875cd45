"""What the world looks like, as values. Every probe may answer "unknown"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from trading_contract.moves import MoveProgress
from trading_contract.symbolmove import SymbolMove
from trading_contract.topology import Topology
from trading_operator.planner.scaling.observed_load import ClusterLoad


class Role(StrEnum):
    """What a component is for."""

    SHARD = "shard"
    NODE = "redis"
    PARTITION = "partition"
    REPLICA = "replica"
    BALANCER = "load-balancer"


@dataclass(frozen=True)
class ProcessSeen:
    """One running component: the topmost process that carries its name."""

    name: str
    role: str
    pid: int
    settings_hash: str
    stopping_since: float | None = None
    older_pids: tuple[int, ...] = ()  # earlier instances that are draining (load balancer)


@dataclass(frozen=True)
class SlotRow:
    """One row of a shard's `slot_owner`."""

    slot_id: int
    epoch: int
    state: str
    owner: str
    first: str = ""
    past: str = ""
    partition: str = ""  # "" = from before there were moves
    move_id: str = ""  # of a move between shards that has not ended for this row


@dataclass(frozen=True)
class ShardSeen:
    """A shard that was asked. `rows` is None until its tables exist or when it does not answer."""

    has_data: bool | None = None
    accepts_writes: bool | None = None
    prepared_hash: str | None = None
    rows: tuple[SlotRow, ...] | None = None
    note: str = ""
    database_bytes: int | None = None
    has_orders: bool = False  # or trades: of whichever slots


@dataclass(frozen=True)
class PartitionSlot:
    """One slot as its partition serves it."""

    slot_id: int
    epoch: int


@dataclass(frozen=True)
class PartitionSeen:
    """A partition's own answer. `state` is "" when it does not answer."""

    state: str = ""
    incarnation: str = ""
    slots: tuple[PartitionSlot, ...] = ()
    note: str = ""
    moves: tuple[MoveProgress, ...] = ()
    differences: tuple[str, ...] = ()  # between both sides of moves that were done; kept as found
    move_kinds: frozenset[str] = frozenset()  # what it can do; none: of a version before moves


@dataclass(frozen=True)
class PeerSeen:
    """One line of a node's CLUSTER NODES."""

    node_id: str
    port: int
    is_myself: bool
    is_master: bool
    master_id: str
    failed: bool  # agreed by the majority, not merely suspected
    connected: bool
    hash_slots: frozenset[int]
    epoch: int | None = None  # of its configuration; None = unknown


@dataclass(frozen=True)
class NodeSeen:
    """One Redis node that answered."""

    state_ok: bool
    peers: tuple[PeerSeen, ...]

    @property
    def myself(self) -> PeerSeen | None:
        """Its own line."""
        return next((peer for peer in self.peers if peer.is_myself), None)


class Reach(IntEnum):
    """How far what a replica, or the load balancer before them, was asked got."""

    NOTHING = 0  # no answer
    REPLICA = 1
    SLOTS = 2  # the owner of every slot
    PARTITIONS = 3  # all of them, also those that own nothing


@dataclass(frozen=True)
class ReplicaSeen:
    """A replica's own answer. `partitions` are those it is connected to; None: it does not tell."""

    reach: Reach = Reach.NOTHING
    partitions: frozenset[str] | None = None


@dataclass(frozen=True)
class Failure:
    """A component that ended or could not be started."""

    text: str
    count: int
    retry_at: float
    reason: str = ""  # of the closed set of condition reasons; "" = an ordinary crash
    needs_person: bool = False


@dataclass(frozen=True)
class Observed:
    """One look at the world. None means unknown, an empty mapping means none."""

    processes: Mapping[str, ProcessSeen] | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    topology: Topology | None = None
    topology_known: bool = True
    shards: Mapping[str, ShardSeen] = field(default_factory=dict)
    partitions: Mapping[str, PartitionSeen] = field(default_factory=dict)
    nodes: Mapping[str, NodeSeen] = field(default_factory=dict)
    replicas: Mapping[str, ReplicaSeen] = field(default_factory=dict)
    balancer_answers: bool | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    silent_seconds: Mapping[str, float] = field(default_factory=dict)
    disk_free_bytes: int | None = None
    keepers: tuple[ProcessSeen, ...] = ()  # the supervisor and its guardian
    moves: tuple[SymbolMove, ...] | None = ()
    load: ClusterLoad | None = None

    def process(self, name: str) -> ProcessSeen | None:
        """The running process of that component, if any is known."""
        return (self.processes or {}).get(name)
