"""Which specifications this substrate refuses, and which changes of one."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from trading_contract.topology import Topology
from trading_contract.tradingcluster import TradingCluster


def problems_of(cluster: TradingCluster) -> list[str]:
    """One line for each thing that processes on one machine cannot give."""
    problems = []
    if cluster.spec.shards.members > 1:
        problems.append(
            "spec.shards.members: more than one member needs Patroni, which lives on Kubernetes;"
            " set it to 1"
        )
    if cluster.spec.access.api_keys_secret_ref is not None:
        problems.append(
            "spec.access.apiKeysSecretRef: Secrets live on Kubernetes; remove it and use"
            " `tradingctl keys create`"
        )
    return problems


def problems_of_change(
    before: TradingCluster, after: TradingCluster, topology: Topology | None
) -> list[str]:
    """One line for each part of a change that would break what is stored or served."""
    if before.metadata.name != after.metadata.name:
        name = before.metadata.name
        return [f"metadata.name: this data folder holds {name}; choose another with --data-dir"]
    return [
        *_symbols(before, after),
        *_owners(after, topology),
        *_redis(before, after),
    ]


def _symbols(before: TradingCluster, after: TradingCluster) -> Iterator[str]:
    kept = {symbol.name: symbol for symbol in after.spec.symbols}
    for old in before.spec.symbols:
        new = kept.get(old.name)
        if new is None:
            yield (
                f"spec.symbols: {old.name} may hold orders and cannot be removed; set its status to"
                " HALT instead"
            )
            continue
        for field, was, becomes in (
            ("tickSize", old.tick_size, new.tick_size),
            ("lotSize", old.lot_size, new.lot_size),
        ):
            if Decimal(was) != Decimal(becomes):
                yield (
                    f"spec.symbols.{old.name}.{field}: stored prices and quantities count in"
                    f" {was}; keep it, or list a new symbol"
                )
        if old.assets != new.assets:
            yield f"spec.symbols.{old.name}.baseAsset: the assets of a symbol cannot change"


def _owners(after: TradingCluster, topology: Topology | None) -> Iterator[str]:
    if topology is None:
        return
    count = after.spec.shards.count
    owned: dict[str, int] = {}
    for slot in topology.slots:
        owned[slot.shard] = owned.get(slot.shard, 0) + 1
    wanted = {f"shard-{index}" for index in range(count)}
    for name in sorted(set(owned) - wanted, key=lambda each: int(each.rpartition("-")[2])):
        yield (
            f"spec.shards.count: {count} would remove {name}, which owns {owned[name]} slots; only"
            f" empty ones can be removed, so keep at least {_needed(owned)}"
        )


def _needed(owned: dict[str, int]) -> int:
    return 1 + max(int(name.rpartition("-")[2]) for name in owned)


def _redis(before: TradingCluster, after: TradingCluster) -> Iterator[str]:
    old, new = before.spec.redis.masters, after.spec.redis.masters
    if old != new:
        yield (
            f"spec.redis.masters: hash slots cannot be moved to another number of masters yet; keep"
            f" {old}"
        )
