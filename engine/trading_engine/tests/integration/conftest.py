"""One PostgreSQL for all tests of this folder; each test has a database and a partition."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trading_engine.tests.integration.moving_site import Pair, two_slots
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import PostgresServer, running_server
from trading_engine.tests.integration.shard_site import Shards, two_shards

_databases = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server."""
    with running_server() as made:
        yield made


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A running server that the test may kill."""
    with running_server() as made:
        yield made


@pytest.fixture
def site(postgres: PostgresServer) -> Iterator[Site]:
    """A prepared shard in a fresh database."""
    made = Site([postgres], database=f"trading{next(_databases)}")
    made.prepare()
    yield made
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def pair(postgres: PostgresServer, start: Callable[..., PartitionProcess]) -> Pair:
    """Partitions p0, which has slots 1 and 2, and p1, which has none."""
    site = Site([postgres], database=f"trading{next(_databases)}")
    two_slots(site)
    site.prepare()
    made = Pair(site, start)
    made.start("p0")
    made.start("p1")
    return made


@pytest.fixture
def shards(postgres: PostgresServer, start: Callable[..., PartitionProcess]) -> Shards:
    """Partition p0 with slots 1 and 2 on shard X; Y is empty."""
    site = two_shards([postgres], f"trading{next(_databases)}")
    site.prepare()
    return Shards(site, start)


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., PartitionProcess]]:
    """Starts partitions and ends them after the test."""
    started: list[PartitionProcess] = []

    def begin(site: Site, ready: bool = True, **settings: Any) -> PartitionProcess:
        process = PartitionProcess(site, **settings)
        started.append(process)
        if ready:
            process.wait_ready()
        return process

    yield begin
    for process in started:
        process.kill()
        shutil.rmtree(process.site.folder, ignore_errors=True)
