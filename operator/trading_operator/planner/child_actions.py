"""What may be done to the objects of a cluster on Kubernetes; see `actions` for the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class MakeSecret:
    """Create a Secret with given values and random ones; one that is there is left as it is."""

    name: str
    keys: tuple[str, ...]
    reason: str
    values: tuple[tuple[str, str], ...] = ()
    is_owned: bool = False

    def describe(self) -> str:
        """The action in words."""
        return f"make Secret {self.name}"


@dataclass(frozen=True)
class ApplyChild:
    """Server-side apply of one object; `uid` = the one that was seen, "" = none may be there."""

    kind: str
    name: str
    manifest: Manifest = field(repr=False, hash=False)
    reason: str
    uid: str = ""

    def describe(self) -> str:
        """The action in words."""
        return f"{'update' if self.uid else 'create'} {self.kind} {self.name}"


@dataclass(frozen=True)
class DeleteChild:
    """Delete exactly the object that was seen: its UID and resourceVersion are preconditions."""

    kind: str
    name: str
    uid: str
    resource_version: str
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"delete {self.kind} {self.name}"


@dataclass(frozen=True)
class RollPod:
    """Delete a pod so that it comes back from the present template; its UID is a precondition."""

    name: str
    uid: str
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"roll pod {self.name}"


@dataclass(frozen=True)
class TellPod:
    """Annotate a pod with the topology's revision, so that its kubelet brings the file at once."""

    name: str
    uid: str
    revision: int
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"tell pod {self.name} of topology revision {self.revision}"


@dataclass(frozen=True)
class SwitchPrimary:
    """Ask Patroni to hand the primary's part of a shard to a standby."""

    shard: str
    leader: str
    candidate: str
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"switch {self.shard} over from {self.leader} to {self.candidate}"


@dataclass(frozen=True)
class ConfigureShard:
    """Bring Patroni's own configuration of a shard up to what is wanted."""

    shard: str
    config: Manifest = field(repr=False, hash=False)
    reason: str

    def describe(self) -> str:
        """The action in words."""
        return f"configure {self.shard}"


ChildAction = (
    MakeSecret | ApplyChild | DeleteChild | RollPod | TellPod | SwitchPrimary | ConfigureShard
)


def child_subject(action: ChildAction) -> str:
    """The object an action is about."""
    match action:
        case SwitchPrimary(shard=shard) | ConfigureShard(shard=shard):
            return shard
        case _:
            return action.name
