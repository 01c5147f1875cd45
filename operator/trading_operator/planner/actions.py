"""What may be done: a closed set of idempotent imperatives, each with its reason in words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from trading_contract.symbolmove import SymbolMove
from trading_contract.topology import Topology
from trading_operator.planner.child_actions import ChildAction, child_subject
from trading_operator.planner.observed import Role


@dataclass(frozen=True)
class Component:
    """One wanted process. `settings` holds everything whose change needs a restart."""

    name: str
    role: Role
    port: int
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def settings_hash(self) -> str:
        """Twelve hex digits over port and settings."""
        text = json.dumps([self.port, sorted(self.settings)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def setting(self, key: str, default: str = "") -> str:
        """The value of one setting."""
        return dict(self.settings).get(key, default)


@dataclass(frozen=True)
class AssignPorts:
    """Choose free ports for components that have none; `fixed` come from the specification."""

    names: tuple[str, ...]
    fixed: tuple[tuple[str, int], ...]
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"choose ports for {', '.join(self.names)}"


@dataclass(frozen=True)
class PublishTopology:
    """Replace the topology file."""

    topology: Topology
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"publish topology revision {self.topology.revision}"


@dataclass(frozen=True)
class StartComponent:
    """Start a process that does not run; makes its data folder when that is empty."""

    component: Component
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"start {self.component.name}"


@dataclass(frozen=True)
class ReplaceBalancer:
    """Start another load balancer beside the running one, then end that.

    Connections that replicas have stay.
    """

    component: Component
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"replace {self.component.name}"


@dataclass(frozen=True)
class StopComponent:
    """Ask a process to end; `force` ends it at once."""

    name: str
    role: str
    pid: int
    reason: str
    force: bool = False

    def describe(self) -> str:
        """The action in words."""
        return f"{'kill' if self.force else 'stop'} {self.name}"


@dataclass(frozen=True)
class PrepareShard:
    """Bring schema, roles and slot rows of a shard up to the topology; idempotent."""

    shard: str
    wanted_hash: str
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"prepare {self.shard}"


@dataclass(frozen=True)
class CommandNode:
    """One bounded command to one Redis node (CLUSTER MEET, ADDSLOTS, REPLICATE, FORGET, ...)."""

    node: str
    command: tuple[str, ...]
    reason: str

    def describe(self) -> str:
        """The action in words."""
        words = " ".join(self.command[:4]) + (" .." if len(self.command) > 4 else "")
        return f"{self.node}: {words}"


@dataclass(frozen=True)
class TakeHashSlots:
    """A Redis node becomes the owner of hash slots of another one; that one deletes their keys."""

    node: str
    node_id: str
    source: str
    source_id: str
    hash_slots: tuple[int, ...]
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"{self.node}: take {len(self.hash_slots)} hash slots from {self.source}"


@dataclass(frozen=True)
class MakeMove:
    """Create a SymbolMove of the planner's own."""

    move: SymbolMove
    reason: str

    def describe(self) -> str:
        """The action in words."""
        spec = self.move.spec
        return f"ask for {self.move.metadata.name}: {', '.join(spec.symbols)} to {spec.target}"


@dataclass(frozen=True)
class ForgetMove:
    """Delete a finished SymbolMove of the planner's own."""

    name: str
    uid: str
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"forget {self.name}"


Action = (
    AssignPorts
    | PublishTopology
    | StartComponent
    | ReplaceBalancer
    | StopComponent
    | PrepareShard
    | CommandNode
    | TakeHashSlots
    | MakeMove
    | ForgetMove
    | ChildAction
)


def prepare_task(shard: str) -> str:
    """The name under which preparing a shard succeeds or fails, apart from its process."""
    return f"{shard}/prepare"


def subject(action: Action) -> str:
    """The component or file an action is about."""
    match action:
        case StartComponent(component=component) | ReplaceBalancer(component=component):
            return component.name
        case StopComponent(name=name):
            return name
        case PrepareShard(shard=shard):
            return shard
        case CommandNode(node=node) | TakeHashSlots(node=node):
            return node
        case AssignPorts():
            return "ports"
        case PublishTopology():
            return "topology"
        case MakeMove(move=move):
            return move.metadata.name
        case ForgetMove(name=name):
            return name
        case _:
            return child_subject(action)
