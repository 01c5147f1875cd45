"""Fixtures: one real cluster for the whole run, made by `tradingctl up` in a home of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange import SPEC, Exchange, Key, Trader, brought_up


@pytest.fixture(scope="session")
def exchange() -> Iterator[Exchange]:
    """A Ready cluster: two replicas, two partitions, two shards, three Redis masters."""
    home = Path(tempfile.mkdtemp(prefix="tc-e2e-", dir="/var/tmp"))
    home.chmod(0o755)  # PostgreSQL runs as another user below it
    running = Exchange(home, "small")
    try:
        running.ctl("up", "-f", str(SPEC))
        yield running
    finally:
        keep = os.environ.get("E2E_KEEP")
        running.ctl("down", *([] if keep else ["--purge", "--yes"]))
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def key(exchange: Exchange) -> Key:
    """A trading key."""
    return exchange.create_key("e2e")


@pytest.fixture(scope="session")
def other_key(exchange: Exchange) -> Key:
    """A trading key of another account."""
    return exchange.create_key("e2e-other")


@pytest.fixture
def trader(exchange: Exchange, key: Key) -> Iterator[Trader]:
    """A client of the first account."""
    client = Trader(exchange.rest, key)
    with client.http:
        yield client


@pytest.fixture
def other_trader(exchange: Exchange, other_key: Key) -> Iterator[Trader]:
    """A client of the second account."""
    client = Trader(exchange.rest, other_key)
    with client.http:
        yield client


@pytest.fixture(scope="module")
def own_exchange() -> Iterator[Exchange]:
    """A cluster that nobody else trades on, as its whole history is judged."""
    with brought_up("small", SPEC) as running:
        yield running
