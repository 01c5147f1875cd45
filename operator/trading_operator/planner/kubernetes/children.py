"""Wanted objects against those that are there -> what to create, update and delete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trading_operator.planner.child_actions import ApplyChild, DeleteChild, Manifest
from trading_operator.planner.kubernetes.seen import (
    TEMPLATE_ANNOTATION,
    ChildKey,
    ChildSeen,
    KubernetesSeen,
)
from trading_operator.planner.observed import Role

CLUSTER_LABEL = "hft.trading/cluster"
ROLE_LABEL = "hft.trading/role"
COMPONENT_LABEL = "hft.trading/component"
CHILD_MANAGER = "trading-operator"  # of the fields that we apply
WORKLOADS = ("StatefulSet", "Deployment")
ROLES = frozenset(role.value for role in Role)  # a label may have been edited to anything
# What may be deleted for not being wanted: all else of a cluster is wanted as long as it is there.
# Secrets, disks and the topology are never among them.
DELETABLE = frozenset({
    "StatefulSet", "Service", "PodDisruptionBudget", "Ingress", "HTTPRoute",
})  # fmt: skip
Differences = Callable[[Manifest, Manifest], tuple[str, ...]]


@dataclass(frozen=True)
class Permissions:
    """What the state of the cluster allows now."""

    may_create: Callable[[Manifest], bool]
    may_change_template: Callable[[Role], bool]
    may_delete: Callable[[ChildKey], bool]


def key_of(manifest: Manifest) -> ChildKey:
    """Kind and name."""
    return ChildKey(manifest["kind"], manifest["metadata"]["name"])


def template_hash_of(manifest: Manifest) -> str:
    """The annotation of a workload's template; "" for all else."""
    template = manifest.get("spec", {}).get("template", {})
    annotations: Mapping[str, str] = template.get("metadata", {}).get("annotations") or {}
    return annotations.get(TEMPLATE_ANNOTATION, "") if manifest["kind"] in WORKLOADS else ""


def role_of(manifest: Manifest) -> Role | None:
    """The tier a workload belongs to."""
    role = (manifest["metadata"].get("labels") or {}).get(ROLE_LABEL, "")
    is_known = manifest["kind"] in WORKLOADS and role in ROLES
    return Role(role) if is_known else None


def templates(wanted: Sequence[Manifest]) -> dict[str, str]:
    """Owner of a template (see `world.with_templates`) -> its hash."""
    hashes: dict[str, str] = {}
    for manifest in wanted:
        role = role_of(manifest)
        if role is None:
            continue
        component = manifest["metadata"]["labels"].get(COMPONENT_LABEL, "")
        shares = role in (Role.NODE, Role.REPLICA)
        hashes[role.value if shares else component] = template_hash_of(manifest)
    return hashes


def child_actions(
    wanted: Sequence[Manifest],
    seen: KubernetesSeen,
    differences: Differences,
    permissions: Permissions,
) -> Iterator[ApplyChild | DeleteChild]:
    """Creates and updates in the order of `wanted`, then what is no longer wanted."""
    for manifest in wanted:
        key = key_of(manifest)
        live = seen.child(*key)
        if key in seen.collisions or key in seen.unserved:
            continue
        if live and (live.is_deleting or not live.is_ours):
            continue
        if live is None:
            if permissions.may_create(manifest):
                yield ApplyChild(*key, manifest, "it is not there")
        else:
            yield from _update(key, manifest, live, differences, permissions)
    names = {key_of(manifest) for manifest in wanted}
    for key, live in sorted((seen.children or {}).items()):
        if key in names or key.kind not in DELETABLE or live.is_deleting or not live.is_ours:
            continue
        if permissions.may_delete(key):
            reason = "the specification no longer asks for it and it owns nothing"
            yield DeleteChild(*key, live.uid, live.resource_version, reason)


def _update(
    key: ChildKey,
    manifest: Manifest,
    live: ChildSeen,
    differences: Differences,
    permissions: Permissions,
) -> Iterator[ApplyChild]:
    role = role_of(manifest)
    is_other = template_hash_of(manifest) != template_hash_of(live.manifest)
    if role is not None and is_other and not permissions.may_change_template(role):
        return
    fixed = _with_own_replicas(_with_fixed_fields(manifest, live.manifest), live.manifest)
    if paths := differences(fixed, live.manifest):
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        yield ApplyChild(*key, fixed, f"it differs at {shown}", live.uid)


def _with_fixed_fields(manifest: Manifest, live: Manifest) -> Manifest:
    """A StatefulSet cannot change its claims: keep those it was made with."""
    if manifest["kind"] != "StatefulSet" or "volumeClaimTemplates" not in manifest["spec"]:
        return manifest
    claims = live.get("spec", {}).get("volumeClaimTemplates", [])
    bare = [
        {
            **{key: value for key, value in claim.items() if key in ("apiVersion", "kind", "spec")},
            "metadata": {
                key: value
                for key, value in claim["metadata"].items()
                if key in ("name", "labels", "annotations")
            },
        }
        for claim in claims
    ]
    return {**manifest, "spec": {**manifest["spec"], "volumeClaimTemplates": bare}}


def _with_own_replicas(manifest: Manifest, live: Manifest) -> Manifest:
    """A number that somebody else sets from now on: dropped by us, it would fall back to one pod.

    So what we wrote stays written until the other has changed it: then it is ours no longer.
    """
    count = live.get("spec", {}).get("replicas")
    if manifest["kind"] != "Deployment" or "replicas" in manifest["spec"] or count is None:
        return manifest
    for entry in live["metadata"].get("managedFields") or ():
        fields = entry.get("fieldsV1", {}).get("f:spec", {})
        if entry.get("manager") == CHILD_MANAGER and "f:replicas" in fields:
            return {**manifest, "spec": {**manifest["spec"], "replicas": count}}
    return manifest


def collisions(wanted: Sequence[Manifest], seen: KubernetesSeen) -> Iterator[tuple[ChildKey, str]]:
    """Objects that have a name of ours and belong to somebody else."""
    for manifest in wanted:
        key = key_of(manifest)
        live = seen.child(*key)
        if key in seen.collisions:
            yield key, seen.collisions[key]
        elif live is not None and not live.is_ours and not live.is_deleting:
            yield key, "another cluster or controller owns it"
