"""What only a person can clear, from what was seen of a cluster's objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trading_operator.planner.child_actions import Manifest
from trading_operator.planner.facts import Obstacle
from trading_operator.planner.kubernetes.children import collisions, key_of
from trading_operator.planner.kubernetes.seen import KubernetesSeen
from trading_operator.planner.observed import Role


def has_data(seen: KubernetesSeen) -> bool:
    """Whether there are disks of shards."""
    return any(claim.startswith(f"{Role.SHARD}-") for claim in seen.claims)


def losses(name: str, seen: KubernetesSeen, *, has_slots: bool) -> Iterator[Obstacle]:
    """What shards with data need and nobody can make anew."""
    if not has_data(seen):
        return
    way_out = "while shards hold data: put it back, or delete their PersistentVolumeClaims too"
    if seen.topology is None and not has_slots:
        what = "is gone" if seen.topology_known else "cannot be read"
        yield Obstacle("UnsafeChange", f"ConfigMap {name}-topology {what} {way_out}")
    if not seen.has_credentials and seen.children is not None:
        yield Obstacle("UnsafeChange", f"Secret {name}-credentials is gone {way_out}")


def obstacles_of(
    name: str, children: Sequence[Manifest], seen: KubernetesSeen
) -> Iterator[Obstacle]:
    """What else stands in the way; trading goes on."""
    if seen.api_keys_problem:
        yield Obstacle("SecretMissing", seen.api_keys_problem)
    if seen.credentials_problem:
        text = f"Secret {name}-credentials {seen.credentials_problem}"
        yield Obstacle("SecretMissing", text)
    if any(key.kind == "HTTPRoute" and key in seen.unserved for key in map(key_of, children)):
        text = "this Kubernetes knows no HTTPRoute: install the Gateway API, or leave the field out"
        yield Obstacle("InvalidSpec", f"spec.exposure.gateway: {text}")
    for key, why in collisions(children, seen):
        text = f"{key.kind} {key.name}: {why}; it is left alone: delete or rename it"
        yield Obstacle("NameCollision", text)
