"""Which specifications this substrate refuses, and which changes of one."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

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


def problems_of_change(before: TradingCluster, after: TradingCluster) -> list[str]:
    """One line for each part of a change that would break what is stored or served."""
    if before.metadata.name != after.metadata.name:
        name = before.metadata.name
        return [f"metadata.name: this data folder holds {name}; choose another with --data-dir"]
    return list(_symbols(before, after))


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
