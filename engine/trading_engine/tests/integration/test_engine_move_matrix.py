"""Every fault at every durable write of a move between partitions, before it and after it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from trading_engine.tests.integration.engine_move_faults import ALL, GatedPair, run
from trading_engine.tests.integration.fault_cells import Cell
from trading_engine.tests.integration.gate_proxy import GateProxy
from trading_engine.tests.integration.moving_site import two_slots
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import PostgresServer, running_server

# On both sides of the decision; who is frozen takes five seconds.
QUICK = [
    cell for cell in ALL
    if cell.point == "decide" and cell.fault not in ("freeze source", "freeze target")
]  # fmt: skip
REST = [cell for cell in ALL if cell not in QUICK]
_databases = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that the tests may crash."""
    with running_server() as made:
        yield made


@pytest.fixture
def gated(server: PostgresServer, start: Callable[..., PartitionProcess]) -> Iterator[GatedPair]:
    """Partitions p0, which has slots 1 and 2, and p1, which has none."""
    site = Site([server], database=f"engines{next(_databases)}")
    two_slots(site)
    site.prepare()
    proxy = GateProxy(server.port)
    (shard,) = site.topology.shards
    site.write(shards=(shard.model_copy(update={"hosts": (proxy.address,)}),))
    yield GatedPair(site, start, proxy)
    proxy.close()


@pytest.mark.parametrize("cell", QUICK, ids=str)
def test_a_move_ends_by_itself_whatever_hits_its_decision(cell: Cell, gated: GatedPair) -> None:
    run(cell, gated)


@pytest.mark.long
@pytest.mark.parametrize("cell", REST, ids=str)
def test_a_move_ends_by_itself_whatever_hits_it_wherever(cell: Cell, gated: GatedPair) -> None:
    run(cell, gated)
