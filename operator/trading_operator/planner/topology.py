"""Specification and world -> the wanted components and the wanted topology file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from trading_contract.moves import MoveOrder
from trading_contract.topology import (
    Idempotency,
    Limits,
    PartitionAddress,
    ShardAddress,
    SlotPlacement,
    SymbolRules,
    Topology,
)
from trading_contract.tradingcluster import TradingCluster, TradingClusterSpec
from trading_operator.planner.actions import Component
from trading_operator.planner.autoscale.counts import most
from trading_operator.planner.keeping import BALANCER, kept_components, wanted_names
from trading_operator.planner.moves.ownership import folded_slots
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.placement import initial_slots
from trading_operator.planner.redis_cluster import NodeWanted
from trading_operator.planner.scaling.signals import Tier

HOST = "127.0.0.1"
# Raised when what a version makes of the settings changes, so that a new version starts it anew.
BALANCER_FORM = "4"
REPLICA_FORM = "3"
SHARD_FORM = "3"  # raised with each migration, so that shards are prepared anew
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


class Addresses(Protocol):
    """Where the components of a cluster listen."""

    def shard(self, name: str) -> tuple[str, ...]:
        """host:port of each member."""
        ...

    def partition(self, name: str) -> tuple[str, int]:
        """Host and port."""
        ...

    def node(self, name: str) -> str:
        """host:port."""
        ...


@dataclass(frozen=True)
class LocalAddresses:
    """Everything on this machine, each component on a port of its own."""

    ports: Mapping[str, int]

    def shard(self, name: str) -> tuple[str, ...]:
        """One member; more live on Kubernetes."""
        return (f"{HOST}:{self.ports[name]}",)

    def partition(self, name: str) -> tuple[str, int]:
        """Host and port."""
        return HOST, self.ports[name]

    def node(self, name: str) -> str:
        """host:port."""
        return f"{HOST}:{self.ports[name]}"


@dataclass(frozen=True)
class WantedCluster:
    """What should be. `kept` = removed from the specification but still needed, and why."""

    components: tuple[Component, ...]
    topology: Topology | None
    nodes: tuple[NodeWanted, ...]
    kept: Mapping[str, str]
    missing_ports: tuple[str, ...]
    fixed_ports: Mapping[str, int]
    slots: tuple[SlotPlacement, ...] = ()  # as the shards' rows tell them

    def component(self, name: str) -> Component | None:
        """The wanted component of that name."""
        return next((each for each in self.components if each.name == name), None)


def wanted_cluster(cluster: TradingCluster, observed: Observed) -> WantedCluster:
    """Everything the cluster should consist of.

    Components whose port is not known yet are left out.
    """
    spec = cluster.spec
    slots = initial_slots(spec)
    if observed.topology is not None:
        slots = folded_slots(observed.topology.slots, observed.shards)
    kept = kept_components(spec, slots, observed)
    names = {role: [*wanted_names(spec, role), *_kept_of(role, kept)] for role in Role}
    needed = [name for role in Role for name in names[role]]
    needed += [bus_name(name) for name in names[Role.NODE]]
    fixed = {BALANCER: spec.exposure.port} if spec.exposure.port else {}
    missing = tuple(
        name
        for name in needed
        if name not in observed.ports
        or fixed.get(name, observed.ports[name]) != observed.ports[name]
    )
    ports = {**observed.ports, **fixed}
    components = tuple(
        component
        for role in Role
        for component in _components(spec, role, names, ports)
        if component.name not in missing
    )
    nodes = tuple(
        NodeWanted(name, HOST, ports[name], ports[bus_name(name)])
        for name in names[Role.NODE]
        if name in ports and bus_name(name) in ports
    )
    addresses = LocalAddresses(ports)
    before = observed.topology
    topology = None if missing else wanted_topology(cluster, names, addresses, slots, before)
    return WantedCluster(components, topology, nodes, kept, missing, fixed, slots)


def with_orders(
    wanted: WantedCluster, orders: tuple[MoveOrder, ...], places: Mapping[int, str]
) -> WantedCluster:
    """The same, with a topology that asks for these moves.

    `places`: which partition takes slots over that the rows still name another owner of.
    """
    if wanted.topology is None:
        return wanted
    return replace(wanted, topology=asking_for(wanted.topology, orders, places))


def asking_for(
    topology: Topology, orders: tuple[MoveOrder, ...], places: Mapping[int, str]
) -> Topology:
    """The topology with these moves, and with slots placed elsewhere than the rows say."""
    slots = tuple(
        slot.model_copy(update={"partition": places[slot.id]}) if slot.id in places else slot
        for slot in topology.slots
    )
    return topology.model_copy(update={"moves": orders, "slots": slots})


def bus_name(node: str) -> str:
    """The name under which the bus port of a Redis node is recorded."""
    return f"{node}-bus"


def shard_hash(topology: Topology, shard: str) -> str:
    """Changes when the shard must be prepared again: its schema or the symbols differ.

    Which slots it has is read from its rows: moves change them without our doing.
    """
    return _symbols_hash(topology.symbols)


@lru_cache(maxsize=4)
def _symbols_hash(rules: tuple[SymbolRules, ...]) -> str:
    """Cached: it is asked for each shard, every second."""
    symbols = [each.model_dump(mode="json") for each in rules]
    return hashlib.sha256(json.dumps([SHARD_FORM, symbols]).encode()).hexdigest()[:12]


def same_but_revision(left: Topology, right: Topology) -> bool:
    """Whether two topologies say the same; epochs are told along, never alone."""
    return _plain(left) == _plain(right)


def topology_text(topology: Topology) -> str:
    """The file. Without moves it says nothing of them: an older version can read it, too."""
    left_out = None if topology.moves else {"moves"}
    return topology.model_dump_json(by_alias=True, indent=1, exclude=left_out)


def same_but_moves(left: Topology, right: Topology) -> bool:
    """Whether they differ at most in who owns what and in the moves that are asked for."""
    none: dict[str, object] = {"slots": (), "moves": (), "revision": 0}
    return left.model_copy(update=none) == right.model_copy(update=none)


def _plain(topology: Topology) -> Topology:
    slots = tuple(slot.model_copy(update={"epoch": 0}) for slot in topology.slots)
    return topology.model_copy(update={"revision": 0, "slots": slots})


def quantity_bytes(text: str) -> int:
    """`512Mi` -> bytes."""
    match = re.fullmatch(r"([0-9]+)(Ki|Mi|Gi|Ti)", text)
    assert match is not None, "checked by the model"
    return int(match[1]) * UNITS[match[2]]


def _kept_of(role: Role, kept: Mapping[str, str]) -> list[str]:
    return [name for name in kept if name.startswith(f"{role}-")]


def _components(
    spec: TradingClusterSpec,
    role: Role,
    names: Mapping[Role, list[str]],
    ports: Mapping[str, int],
) -> Iterable[Component]:
    for name in names[role]:
        if name not in ports:
            continue
        settings: dict[str, str] = {}
        if role is Role.SHARD:
            settings = shard_settings(spec)
        elif role is Role.NODE:
            memory = quantity_bytes(spec.redis.resources.memory)
            settings = {
                "bus_port": str(ports.get(bus_name(name), 0)),
                "maxmemory": str(memory * 3 // 4),
            }
        elif role in (Role.PARTITION, Role.REPLICA):
            settings = {"log_level": spec.observability.log_level}
            if role is Role.REPLICA:
                settings["form"] = REPLICA_FORM
        elif role is Role.BALANCER:
            settings = {"port_field": "spec.exposure.port", "form": BALANCER_FORM}
        yield Component(name, role, ports[name], tuple(sorted(settings.items())))


def shard_settings(spec: TradingClusterSpec) -> dict[str, str]:
    """Settings of PostgreSQL that follow from the specification."""
    memory = quantity_bytes(spec.shards.resources.memory)
    disk = quantity_bytes(spec.shards.storage.size)
    mebibyte = 1 << 20
    # Of as many as load may make of them: a shard restarts for another number.
    partitions, backends = most(spec, Tier.PARTITIONS), most(spec, Tier.BACKENDS)
    connections = 40 + 4 * partitions + 8 * backends
    return {
        "shared_buffers": f"{max(16, memory // 4 // mebibyte)}MB",
        "effective_cache_size": f"{max(32, memory * 3 // 4 // mebibyte)}MB",
        "max_wal_size": f"{max(512, min(4096, disk // 4 // mebibyte))}MB",
        # In steps, so that adding a few replicas does not restart the shards.
        "max_connections": str(-(-connections // 100) * 100),
    }


def wanted_topology(
    cluster: TradingCluster,
    names: Mapping[Role, list[str]],
    addresses: Addresses,
    slots: tuple[SlotPlacement, ...],
    before: Topology | None,
) -> Topology:
    """The file that replicas and partitions read; its revision is still the one `before` it."""
    spec, limits = cluster.spec, cluster.spec.access.rate_limits
    return Topology(
        cluster=cluster.metadata.name,
        revision=before.revision if before else 0,
        symbols=tuple(_rules(spec)),
        shards=tuple(
            ShardAddress(name=name, hosts=addresses.shard(name)) for name in names[Role.SHARD]
        ),
        partitions=tuple(
            PartitionAddress(name=name, host=host, port=port)
            for name in names[Role.PARTITION]
            for host, port in (addresses.partition(name),)
        ),
        redis_nodes=tuple(addresses.node(name) for name in names[Role.NODE]),
        slots=slots,
        moves=before.moves if before else (),
        limits=Limits(
            orders_per_10_seconds=limits.orders_per_10_seconds,
            orders_per_day=limits.orders_per_day,
            request_weight_per_minute=limits.request_weight_per_minute,
            body_bytes_max=spec.access.body_bytes_max,
            batch_orders_max=spec.access.batch_orders_max,
        ),
        idempotency=Idempotency(
            window_seconds=spec.idempotency.window_seconds,
            entries_max=spec.idempotency.entries_max,
        ),
    )


def _rules(spec: TradingClusterSpec) -> Iterable[SymbolRules]:
    for symbol in spec.symbols:
        base, quote = symbol.assets
        yield SymbolRules(
            name=symbol.name,
            base_asset=base,
            quote_asset=quote,
            tick_size=Decimal(symbol.tick_size),
            lot_size=Decimal(symbol.lot_size),
            min_notional=Decimal(symbol.min_notional),
            max_quantity=None if symbol.max_quantity is None else Decimal(symbol.max_quantity),
            price_band_percent=symbol.price_band_percent,
            self_trade_prevention=symbol.self_trade_prevention.value,
            max_open_orders_per_account=symbol.max_open_orders_per_account,
            status=symbol.status.value,
        )
