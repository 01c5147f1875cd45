"""Servers for the whole run; skipped by name where they are not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_backend.tests.integration.servers import RedisCluster, Shard
from trading_backend.tests.unit.fake_partition import FakePartition, topology_of


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Three masters."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is missing: run `make setup`")
    made = RedisCluster()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def shard() -> Iterator[Shard]:
    """One shard, `s0`, for all symbols of the fake cluster."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("PostgreSQL is missing: run `make setup`")
    made = Shard(topology_of(FakePartition()))
    yield made
    made.remove()
