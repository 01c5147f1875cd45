"""From one look at the cluster to what its moves are judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from trading_contract.moves import MoveProgress
from trading_contract.symbolmove import MoveReason
from trading_contract.topology import SlotPlacement
from trading_contract.tradingcluster import TradingCluster, TradingClusterSpec
from trading_operator.planner.assessment import Health
from trading_operator.planner.keeping import wanted_names
from trading_operator.planner.moves.asking import Asks, Cluster
from trading_operator.planner.moves.ownership import (
    doubled_slots,
    is_shard,
    living_rows,
    used_ids,
    warm_shards,
)
from trading_operator.planner.moves.plan import MovesPlan, plan_moves
from trading_operator.planner.moves.relief import Relief, relief_of
from trading_operator.planner.moves.world import MovesWorld, Obstruction
from trading_operator.planner.observed import Observed, Role, SlotRow
from trading_operator.planner.placement import slot_count
from trading_operator.planner.topology import WantedCluster, quantity_bytes

DISK_FREE_BYTES_MIN = 256 << 20


@dataclass(frozen=True)
class Look:
    """What is wanted, what is seen of it, the partitions `due` to be restarted, what load asks."""

    observed: Observed
    wanted: WantedCluster
    health: Mapping[str, Health]
    due: frozenset[str]
    asks: Asks = field(default_factory=Asks)


def moves_of(cluster: TradingCluster, look: Look, now: float) -> MovesPlan:
    """What follows for the moves of a cluster; nothing as long as they are unknown."""
    observed, wanted, health, due = look.observed, look.wanted, look.health, look.due
    topology = observed.topology
    if topology is None or observed.moves is None:
        return MovesPlan(orders=topology.moves if topology else ())
    slots = wanted.slots
    tiers = (Role.PARTITION, Role.SHARD)
    names = [each.name for each in wanted.components if each.role in tiers]
    asked_for = [name for role in tiers for name in wanted_names(cluster.spec, role)]
    ready = frozenset(
        name for name, each in health.items() if each.is_serving and _knows(name, observed)
    )
    drained = {*cluster.spec.partitions.drained, *cluster.spec.shards.drained}
    staying = tuple(name for name in asked_for if name not in drained)
    relief = Relief()
    if cluster.spec.partitions.update == "HandOver":
        owners = {slot.partition for slot in (*slots, *topology.slots)}
        able = [name for name in staying if name in ready and not is_shard(name)]
        relief = relief_of(due, owners, able, observed.moves, now)
    world = MovesWorld(
        slots=slots,
        rows=_rows(slots, observed),
        listed=tuple(symbol.name for symbol in topology.symbols),
        ready=ready,
        staying=tuple(name for name in staying if name != relief.name),
        existing=frozenset((*names, *asked_for)),
        orders=topology.moves,
        progress=_progress(observed),
        ids=frozenset(used_ids((*slots, *topology.slots), observed.shards)),
        parallel_max=cluster.spec.rebalancing.parallel_moves_max,
        now=now,
        obstruction=_obstruction(cluster, observed, wanted, health),
        relieved=relief.name,
        differences=tuple(t for p in observed.partitions.values() for t in p.differences),
        slots_wanted=slot_count(
            len(topology.symbols), cluster.spec.partitions.count, cluster.spec.shards.count
        ),
        lost=frozenset(name for name in names if not is_shard(name) and _is_lost(name, observed)),
        movers=frozenset(n for n, p in observed.partitions.items() if "shard" in p.move_kinds),
        warm={slot.id: warm_shards(slot, observed.shards) for slot in slots},
        bound=frozenset(row.slot_id for row in _rows(slots, observed).values() if row.move_id),
        slot_bytes=slot_bytes(slots, observed),
        free_bytes=free_bytes(cluster.spec, observed),
        asks=look.asks,
        reached={n: seen.partitions for n, seen in observed.replicas.items() if seen.partitions},
    )
    asks = Cluster(
        cluster.metadata.name, topology.revision, cluster.spec.rebalancing.pause_milliseconds_max
    )
    plan = plan_moves(asks, observed.moves, world, may_ask=observed.topology_known)
    return replace(plan, held=relief.held)


def _knows(name: str, observed: Observed) -> bool:
    partition = observed.partitions.get(name)
    return partition is None or bool(partition.move_kinds)


def _is_lost(name: str, observed: Observed) -> bool:
    partition = observed.partitions.get(name)
    return partition is None or not partition.state


def _rows(slots: Collection[SlotPlacement], observed: Observed) -> dict[int, SlotRow]:
    living = living_rows(observed.shards)
    return {slot.id: living[slot.id][0] for slot in slots if slot.id in living}


def slot_bytes(slots: Collection[SlotPlacement], observed: Observed) -> dict[int, int]:
    """About what is copied when a slot goes to another shard: an even share of its database."""
    counts = Counter(slot.shard for slot in slots)
    sizes = {shard: seen.database_bytes for shard, seen in observed.shards.items()}
    return {slot.id: (sizes.get(slot.shard) or 0) // counts[slot.shard] for slot in slots}


def free_bytes(spec: TradingClusterSpec, observed: Observed) -> dict[str, int]:
    """Disk that each shard has left: that of this machine, else what was asked for and is not used.

    A quarter of a disk of its own is kept for the log of PostgreSQL.
    """
    disk = quantity_bytes(spec.shards.storage.size) * 3 // 4
    if observed.disk_free_bytes is not None:
        return dict.fromkeys(observed.shards, observed.disk_free_bytes)
    return {
        shard: disk - seen.database_bytes for shard, seen in observed.shards.items()
        if seen.database_bytes is not None
    }  # fmt: skip


def _progress(observed: Observed) -> dict[str, tuple[MoveProgress, ...]]:
    told: dict[str, tuple[MoveProgress, ...]] = {}
    for seen in observed.partitions.values():
        for each in seen.moves:
            told[each.id] = (*told.get(each.id, ()), each)
    return told


def _obstruction(
    cluster: TradingCluster, observed: Observed, wanted: WantedCluster,
    health: Mapping[str, Health],
) -> Obstruction | None:  # fmt: skip
    return next(_obstructions(cluster, observed, wanted, health), None)


def _obstructions(
    cluster: TradingCluster, observed: Observed, wanted: WantedCluster,
    health: Mapping[str, Health],
) -> Iterator[Obstruction]:  # fmt: skip
    spec = cluster.spec
    if spec.hibernated:
        yield Obstruction(MoveReason.CLUSTER_HIBERNATED, "the cluster is hibernated")
    if spec.paused:
        yield Obstruction(MoveReason.CLUSTER_PAUSED, "the cluster is paused")
    if observed.processes is None or not observed.topology_known:
        yield Obstruction(MoveReason.WORLD_UNKNOWN, "what runs cannot be seen")
    disk = observed.disk_free_bytes
    if disk is not None and disk < DISK_FREE_BYTES_MIN:
        yield Obstruction(MoveReason.STORAGE_FULL, f"only {disk >> 20} MiB of disk are free")
    doubled = doubled_slots(observed.shards, observed.topology.moves if observed.topology else ())
    for slot, names in doubled.items():
        yield Obstruction(MoveReason.WORLD_UNKNOWN, f"slot {slot} is active on {names}")
    silent = [
        shard.name for shard in (observed.topology.shards if observed.topology else ())
        if getattr(observed.shards.get(shard.name), "rows", None) is None
    ]  # fmt: skip
    if silent:
        text = f"{', '.join(silent)} does not tell who owns its slots"
        yield Obstruction(MoveReason.WORLD_UNKNOWN, text)
    rolling = [
        each.name for each in wanted.components
        if each.role in (Role.PARTITION, Role.SHARD) and health[each.name].is_outdated
    ]  # fmt: skip
    if rolling:
        text = f"{', '.join(rolling)} gets other settings first"
        yield Obstruction(MoveReason.CLUSTER_UPDATING, text)
