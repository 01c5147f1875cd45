"""The routing table: which partition and shard a symbol belongs to, and at which epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from trading_contract.slots import SymbolRange, check_tiles
from trading_contract.topology import Topology


@dataclass(frozen=True)
class Route:
    """One slot with its owners."""

    slot_id: int
    range: SymbolRange
    partition: str
    shard: str
    epoch: int


class RoutingTable:
    """Routes that tile the symbol space. Immutable; a newer one replaces it whole."""

    def __init__(self, revision: int, routes: Iterable[Route]) -> None:
        self.revision = revision
        self.routes = tuple(sorted(routes, key=lambda route: route.range.first))
        check_tiles([route.range for route in self.routes])
        self._firsts = [route.range.first for route in self.routes]

    @classmethod
    def of(cls, topology: Topology) -> RoutingTable:
        """The table that a topology file describes."""
        return cls(
            topology.revision,
            (
                Route(s.id, SymbolRange(s.first, s.past), s.partition, s.shard, s.epoch)
                for s in topology.slots
            ),
        )

    def locate(self, symbol: str) -> Route:
        """The route of the symbol; every symbol has exactly one."""
        return self.routes[bisect_right(self._firsts, symbol) - 1]

    def updated(self, newer: RoutingTable) -> RoutingTable:
        """`newer` with no epoch below what is known here; self when its revision is not newer."""
        if newer.revision <= self.revision:
            return self
        known = {route.slot_id: route.epoch for route in self.routes}
        return RoutingTable(
            newer.revision,
            (
                Route(
                    r.slot_id,
                    r.range,
                    r.partition,
                    r.shard,
                    max(r.epoch, known.get(r.slot_id, 0)),
                )
                for r in newer.routes
            ),
        )
