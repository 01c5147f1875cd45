"""A shard of two members: the partition finds the primary, and finds it again after a failover."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from trading_contract.topology import ShardAddress
from trading_contract.wire import Code, Side
from trading_engine.tests.integration.partition_process import PartitionProcess, Site, slots_of
from trading_engine.tests.integration.postgres_server import PostgresServer, postgres_folder
from trading_engine.tests.integration.test_handover import wait_for
from trading_engine.tests.integration.wire_client import WireClient, place

Start = Callable[..., PartitionProcess]


@pytest.fixture
def members() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary and its synchronous standby."""
    if postgres_folder() is None:
        pytest.skip("needs PostgreSQL's binaries (package `postgresql`)")
    primary = PostgresServer()
    primary.start()
    standby = PostgresServer(primary=primary)
    standby.start()
    with primary.connect(database="postgres") as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        connection.execute("SELECT pg_reload_conf()")
        wait_for(
            lambda: (
                connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
                == [("sync",)]
            )
        )
    yield primary, standby
    standby.remove()
    primary.remove()


def sited(primary: PostgresServer, *hosts: str) -> Site:
    """A prepared shard with these members, in the order of the topology."""
    site = Site([primary])
    site.write(shards=(ShardAddress(name="shard-0", hosts=hosts),))
    site.prepare()
    return site


def test_a_partition_finds_the_new_primary_by_itself(
    members: tuple[PostgresServer, PostgresServer], start: Start
) -> None:
    primary, standby = members
    # A member that is not there yet has no name; the standby is asked before the primary.
    site = sited(primary, "shard-0-9.members.invalid:5432", standby.address, primary.address)
    process = start(site)
    answered: dict[str, Code] = {}
    ending = threading.Event()

    def trade() -> None:
        with process.client() as client:
            while not ending.is_set():
                order = place("AAPL", Side.BUY, 100, 1)
                answered[order.client_id] = client.ask(order, timeout_seconds=60)[0][-1].code

    trader = threading.Thread(target=trade)
    trader.start()
    try:
        wait_for(lambda: len(answered) > 20)
        primary.kill()
        standby.promote()
        before = len(answered)
        wait_for(lambda: list(answered.values())[before:].count(Code.OK) > 20, 60)
    finally:
        ending.set()
        trader.join(60)
        print(process.log[-3000:])  # shown when it failed
    assert process.process.poll() is None, process.log[-2000:]
    with WireClient(process.port, greet=False) as client:
        assert slots_of(client.status()) == {1: 1}  # the same incarnation, never fenced
    with standby.connect() as connection:
        stored = {row[0] for row in connection.execute("SELECT client_id FROM orders").fetchall()}
    told = {name for name, code in answered.items() if code is Code.OK}
    refused = {name for name, code in answered.items() if code is Code.BUSY}
    assert told <= stored, "something that was acknowledged is gone"
    assert not refused & stored
    assert set(answered.values()) <= {Code.OK, Code.BUSY, Code.UNKNOWN_OUTCOME}
