"""Who is to be started, and which shard is to be set up."""

from __future__ import annotations

from collections.abc import Iterator

from trading_operator.planner.actions import (
    Action,
    Component,
    PrepareShard,
    StartComponent,
    prepare_task,
)
from trading_operator.planner.assessment import is_prepared, is_specified, shard_missing
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.topology import WantedCluster, shard_hash

DISK_FREE_BYTES_MIN = 256 << 20


def starts(wanted: WantedCluster, observed: Observed, now: float) -> Iterator[Action]:
    """What is wanted, does not run, and may be started now."""
    for component in wanted.components:
        name = component.name
        failure = observed.failures.get(name)
        if observed.process(name) or name in observed.busy:
            continue
        if failure is not None and now < failure.retry_at:
            continue
        if component.role is Role.PARTITION and not partition_may_start(component, observed):
            continue
        if component.role is Role.SHARD and is_disk_full(observed):
            continue
        reason = f"it does not run; {failure.text}" if failure else "it does not run"
        yield StartComponent(component, reason)


def is_disk_full(observed: Observed) -> bool:
    """Whether what is left is for those that run."""
    disk = observed.disk_free_bytes
    return disk is not None and disk < DISK_FREE_BYTES_MIN


def partition_may_start(component: Component, observed: Observed) -> bool:
    """A partition rebuilds its books from its shards, so these must serve first."""
    topology = observed.topology
    if topology is None or all(each.name != component.name for each in topology.partitions):
        return False
    shards = {slot.shard for slot in topology.slots if slot.partition == component.name}
    return not any(shard_missing(shard, topology, observed) for shard in shards)


def is_unsafe_without_topology(observed: Observed) -> bool:
    """Whether shards hold data but the file that says which slots they own is gone."""
    has_data = any(shard.has_data for shard in observed.shards.values())
    return observed.topology is None and observed.topology_known and has_data


def prepares(wanted: WantedCluster, observed: Observed, now: float) -> Iterator[Action]:
    """What shards that take writes still need before they serve their slots."""
    topology = observed.topology
    if topology is None or not is_specified(wanted, observed):
        return
    for shard in topology.shards:
        task = prepare_task(shard.name)
        seen, failure = observed.shards.get(shard.name), observed.failures.get(task)
        if (
            task in observed.busy
            or shard.name in observed.busy
            or seen is None
            or not seen.accepts_writes
        ):
            continue
        if is_prepared(shard.name, topology, observed):
            continue
        if failure is not None and now < failure.retry_at:
            continue
        reason = "its slots or the symbols differ from what it was prepared for"
        yield PrepareShard(shard.name, shard_hash(topology, shard.name), reason)
