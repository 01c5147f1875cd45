"""Every fault at every durable write of a move between shards, before it and after it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from trading_contract.wire import Code, Side, TimeInForce
from trading_engine.tests.integration.fault_cells import Cell
from trading_engine.tests.integration.gate_proxy import Gate, GateProxy, Write
from trading_engine.tests.integration.move_faults import ALL, FAULTS, Site, run
from trading_engine.tests.integration.moving_load import Load
from trading_engine.tests.integration.moving_site import wait_for
from trading_engine.tests.integration.partition_process import PartitionProcess
from trading_engine.tests.integration.postgres_server import PostgresServer, postgres_folder
from trading_engine.tests.integration.shard_site import X, Y, check_orders, two_shards
from trading_engine.tests.integration.wire_client import place

# Of each fault the cells on both sides of the decision.
QUICK = [
    Cell("seal", "after", "kill"),
    Cell("decide", "after", "kill"),
    Cell("decide", "before", "replace"),
    Cell("decide", "after", "replace"),
    Cell("seal", "before", "cut"),
    Cell("seal", "after", "cut"),
    Cell("decide", "before", "cut"),
    Cell("decide", "after", "cut"),
    Cell("seal", "after", "crash source"),
    Cell("seal", "after", "crash target"),
    Cell("decide", "after", "crash target"),
]
REST = [cell for cell in ALL if cell not in QUICK]
SHADOW_BYTES_MAX = 6 << 20
_databases = itertools.count(1)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[PostgresServer]]:
    """Two of them, which the tests may crash."""
    if postgres_folder() is None:
        pytest.skip("needs PostgreSQL's binaries (package `postgresql`)")
    made = [PostgresServer(), PostgresServer()]
    for server in made:
        server.start()
    yield made
    for server in made:
        server.remove()


@pytest.fixture
def shards(servers: list[PostgresServer], start: Callable[..., PartitionProcess]) -> Iterator[Site]:
    """Partition p0 with slots 1 and 2 on shard X; Y is empty."""
    site = two_shards(servers, f"matrix{next(_databases)}")
    site.prepare()
    proxies = (GateProxy(servers[0].port), GateProxy(servers[1].port))
    site.write(
        shards=tuple(
            shard.model_copy(update={"hosts": (proxy.address,)})
            for shard, proxy in zip(site.topology.shards, proxies, strict=True)
        )
    )
    made = Site(site, start, soak_seconds=0, shadow_bytes_max=SHADOW_BYTES_MAX)
    made.proxies = proxies
    yield made
    for proxy in proxies:
        proxy.close()


@pytest.mark.parametrize("cell", QUICK, ids=str)
def test_a_move_ends_by_itself_whatever_hits_it_about_its_decision(
    cell: Cell, shards: Site
) -> None:
    run(cell, shards)


@pytest.mark.long
@pytest.mark.parametrize("cell", REST, ids=str)
def test_a_move_ends_by_itself_whatever_hits_it_wherever(cell: Cell, shards: Site) -> None:
    run(cell, shards)


@pytest.mark.parametrize("fault", ["kill", "cut", "crash target"])
def test_several_slots_of_one_order_are_decided_together(fault: str, shards: Site) -> None:
    run(Cell("decide", "after", fault), shards, slots=(1, 2))


def test_a_zombie_that_has_nothing_to_commit_ends_with_its_move(shards: Site) -> None:
    gate = shards.arm("prepare", "after")
    move = shards.order(Y)
    assert gate.reached.wait(30)
    FAULTS["replace"](shards, gate)
    wait_for(lambda: shards.told(move).get("state") == "Done", 60)
    assert shards.serving() == Y


def test_a_target_that_does_not_keep_up_ends_the_move_and_the_source_goes_on(
    shards: Site,
) -> None:
    with Load(shards, ("MSFT", "ZZZ", "AAPL")) as load:  # type: ignore[arg-type]
        gate = shards.arm("copied", "before")
        move = shards.order(Y)
        assert gate.reached.wait(30)
        with shards.client() as client:
            for _ in range(40):
                ended = [
                    place("MSFT", Side.BUY, 1, 1, account=9, time_in_force=TimeInForce.IOC)
                    for _ in range(1000)
                ]
                assert {replies[-1].code for replies in client.ask(*ended)} == {Code.OK}
        wait_for(lambda: "its shadow breaks" in shards.process.log)
        gate.cut()  # it holds the lock on the row that is given up now
        wait_for(lambda: shards.told(move).get("code") == "overflow")
        wait_for(lambda: shards.states() == ("ACTIVE 1", "ABORTED 0"))
        goal = load.count() + 50
        wait_for(lambda: load.count() > goal)
    assert shards.told(move)["state"] == "Failed"
    assert load.resent == load.redirects == 0
    wait_for(lambda: not any(shards.content(Y).values()))


@pytest.mark.parametrize("fault", ["kill", "crash source", "crash target"])
def test_a_soak_that_is_hit_ends_by_itself_and_the_slot_can_go_back(
    fault: str, servers: list[PostgresServer], start: Callable[..., PartitionProcess]
) -> None:
    site = two_shards(servers, f"soak{next(_databases)}")
    site.prepare()
    shards = Site(site, start)
    with Load(shards, ("MSFT", "ZZZ", "AAPL")) as load:  # type: ignore[arg-type]
        wait_for(lambda: load.count() > 30)
        shards.move(Y)
        wait_for(lambda: shards.states()[0].startswith("FOLLOWER"))
        FAULTS[fault](shards, Gate(Write(b""), "before"))
        goal = load.count() + 50
        wait_for(lambda: load.count() > goal)
        assert shards.serving() == Y
        move = shards.order(X, source=Y)
        wait_for(lambda: shards.told(move).get("state") in ("Done", "Failed"), 60)
        assert shards.told(move)["state"] == "Done", shards.process.log[-4000:]
        shards.fold()
        goal = load.count() + 50
        wait_for(lambda: load.count() > goal)
    check_orders(load, shards)
    assert shards.serving() == X
