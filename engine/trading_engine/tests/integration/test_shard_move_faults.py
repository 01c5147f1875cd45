"""Whatever fails in a move between shards: it ends by itself, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from trading_contract.wire import Code, Side
from trading_engine.tests.integration.moving_load import ORDERS_PER_SECOND, Load
from trading_engine.tests.integration.moving_site import wait_for
from trading_engine.tests.integration.partition_process import PartitionProcess
from trading_engine.tests.integration.postgres_server import PostgresServer
from trading_engine.tests.integration.shard_site import Shards, X, Y, check_orders, two_shards
from trading_engine.tests.integration.wire_client import place

BUY, SELL = Side.BUY, Side.SELL
GATE = 4712
POINTS = {
    "end of the copy": (Y, "OLD.last_seq = -1 AND NEW.last_seq >= 0"),
    "seal": (X, "OLD.state = 'ACTIVE' AND NEW.state = 'SEALED'"),
    "decision": (Y, "OLD.state = 'PREPARED' AND NEW.state = 'ACTIVE'"),
    "follow": (X, "OLD.state = 'SEALED' AND NEW.state = 'FOLLOWER'"),
}


@contextmanager
def stopped_at(shards: Shards, point: str) -> Iterator[None]:
    """The move waits in the shard just before this is done."""
    shard, when = POINTS[point]
    database = shards.site.topology.shards[shards.names.index(shard)].database
    shards.rows(
        "CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END $$", shard,
    )  # fmt: skip
    shards.rows(
        "CREATE TRIGGER wait_here BEFORE UPDATE ON slot_owner"
        f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION wait_here()", shard,
    )  # fmt: skip
    server = shards.site.servers[shards.names.index(shard)]
    with server.connect(database) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (GATE,))
        shards.order(Y)
        waiting = (
            "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            f" WHERE objid = {GATE} AND NOT granted AND datname = current_database()"
        )
        wait_for(lambda: shards.rows(waiting, shard))
        yield


def first(shards: Shards) -> None:
    """An order that rests on the slot."""
    with shards.client() as client:
        assert client.one(place("MSFT", BUY, 100, 5, client_id="first")).order_id == 1


def served(shards: Shards) -> None:
    """The slot takes an order, and has what was there before."""
    with shards.client() as client:
        assert client.one(place("MSFT", SELL, 100, 1, account=2)).code is Code.OK
        again = client.one(place("MSFT", BUY, 100, 5, client_id="first"))
        assert (again.code, again.order_id) == (Code.DUPLICATE_SAME, 1)


@pytest.mark.parametrize("point", POINTS)
def test_a_partition_that_dies_leaves_a_move_that_ends_by_itself(
    shards: Shards, point: str
) -> None:
    first(shards)
    with stopped_at(shards, point):
        shards.process.kill()
    shards.restart()
    (order,) = shards.site.topology.moves
    assert shards.ended(order.id)["state"] == "Done"
    served(shards)
    assert shards.serving() == Y
    # What an earlier incarnation left is verified and cleaned up, or follows anew.
    wait_for(lambda: shards.states()[0].split()[0] in ("FOLLOWER", "MOVED"))


def test_a_target_that_is_away_before_the_decision_costs_nothing(
    postgres: PostgresServer, own_postgres: PostgresServer, start: Callable[..., PartitionProcess]
) -> None:
    site = two_shards([postgres, own_postgres], "away")
    site.prepare()
    shards = Shards(site, start, reconnect_seconds_max=1)
    first(shards)
    with Load(shards, ("MSFT", "AAPL")) as load:  # type: ignore[arg-type]
        wait_for(lambda: load.count() > 20)
        own_postgres.kill()
        move = shards.order(Y, source=X)
        goal = load.count() + 5 * ORDERS_PER_SECOND  # longer than what it owns may be away
        wait_for(lambda: load.count() > goal)
        assert shards.process.process.poll() is None, shards.process.log[-3000:]
        own_postgres.start()
        told = shards.ended(move)
        assert told["state"] in ("Done", "Failed"), told
        goal = load.count() + 20
        wait_for(lambda: load.count() > goal)
    assert load.resent == load.redirects == 0
    check_after_first(load, shards)


def check_after_first(load: Load, shards: Shards) -> None:
    """As `check_orders`, where one order was there before."""
    load.placed["MSFT"].insert(0, ("first", 1))
    check_orders(load, shards)


def test_a_difference_stops_the_move_before_the_decision_and_is_kept(shards: Shards) -> None:
    first(shards)
    shards.rows(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.price := NEW.price + 1; RETURN NEW; END $$", Y,
    )  # fmt: skip
    shards.rows(
        "CREATE TRIGGER spoil BEFORE INSERT ON open_orders FOR EACH ROW EXECUTE FUNCTION spoil()",
        Y,
    )
    move = shards.order(Y)
    told = shards.ended(move)
    assert (told["state"], told["code"], told["verified"]) == ("Failed", "differs", False)
    assert shards.states() == ("ACTIVE 1", "ABORTED 0")
    served(shards)
    shards.rows("DROP TRIGGER spoil ON open_orders", Y)
    shards.cancel(move)
    shards.move(Y)  # tried again as another order
    served(shards)


def test_a_soak_ends_with_a_tombstone_and_only_verified(
    postgres: PostgresServer, start: Callable[..., PartitionProcess]
) -> None:
    site = two_shards([postgres], "soaked")
    site.prepare()
    shards = Shards(site, start, soak_seconds=0)
    first(shards)
    shards.move(Y)
    wait_for(lambda: shards.states() == ("MOVED 2", "ACTIVE 2"))
    wait_for(lambda: not any(shards.content(X).values()))
    wait_for(lambda: shards.rows("SELECT 1 FROM slot_owner WHERE slot_id = 2 AND move_id IS NULL"))
    assert shards.rows("SELECT count(*) FROM slot_verification", X) == [(1,)]
    served(shards)
    shards.move(X)
    served(shards)
    assert shards.serving() == X
