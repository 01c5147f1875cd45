"""Which components a specification asks for, and what is kept beside: what still owns something."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from trading_contract.topology import SlotPlacement
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.moves.ownership import is_emptied, left_by
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.redis_cluster import hash_slots_of

BALANCER = "load-balancer"


def wanted_names(spec: TradingClusterSpec, role: Role) -> list[str]:
    """The components of a role that the specification asks for."""
    counts = {
        Role.SHARD: spec.shards.count,
        Role.NODE: spec.redis.masters * (1 + spec.redis.replicas_per_master),
        Role.PARTITION: spec.partitions.count,
        Role.REPLICA: spec.backends.replicas,
    }
    if role is Role.BALANCER:
        return [BALANCER]
    return [f"{role}-{index}" for index in range(counts[role])]


def kept_components(
    spec: TradingClusterSpec, slots: Iterable[SlotPlacement], observed: Observed
) -> dict[str, str]:
    """What the specification no longer asks for but still owns something, and what it owns."""
    kept: dict[str, str] = {}
    owned: dict[str, int] = {}
    for slot in slots:
        for name in (slot.shard, slot.partition):
            owned[name] = owned.get(name, 0) + 1
    for role in (Role.SHARD, Role.PARTITION):
        wanted = set(wanted_names(spec, role))
        for name, count in sorted(owned.items()):
            if name.startswith(f"{role}-") and name not in wanted:
                kept[name] = f"{name} still owns {count} slots"
    kept |= dict(_kept_shards(spec, owned, observed))
    wanted = set(wanted_names(spec, Role.NODE))
    for name in sorted(observed.nodes):
        if name not in wanted and (count := hash_slots_of(name, observed.nodes)):
            kept[name] = f"{name} still owns {count} hash slots"
    return kept


def leaving_nodes(spec: TradingClusterSpec, names: Iterable[str]) -> frozenset[str]:
    """Those of the Redis nodes that the specification no longer asks for."""
    return frozenset(names) - frozenset(wanted_names(spec, Role.NODE))


def _kept_shards(
    spec: TradingClusterSpec, owned: Collection[str], observed: Observed
) -> Iterator[tuple[str, str]]:
    """Shards that were published and have not said since that nothing of any slot is left there."""
    wanted = set(wanted_names(spec, Role.SHARD))
    for shard in observed.topology.shards if observed.topology else ():
        name = shard.name
        if name in wanted or name in owned:
            continue
        is_free = is_emptied(observed.shards.get(name)) and not left_by(name, observed.shards)
        if not is_free:
            yield name, f"{name} still has copies of slots, or does not say that it has none"
