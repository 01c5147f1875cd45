"""Commits whose answer is lost, refused or qualified: no acknowledged order lost, none doubled."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from trading_contract.wire import Code, Command, Kind, Side
from trading_engine.passwords import ENGINE, OPERATOR, READER
from trading_engine.tests.integration.cutting_proxy import CuttingProxy
from trading_engine.tests.integration.partition_process import PASSWORDS, PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import PostgresServer
from trading_engine.tests.integration.wire_client import place

Start = Callable[..., PartitionProcess]
FATAL_STATUS = 70


@pytest.fixture
def proxy(site: Site) -> Iterator[CuttingProxy]:
    """The shard is reached through it."""
    made = CuttingProxy(site.servers[0].port)
    shard = site.topology.shards[0].model_copy(update={"hosts": (made.address,)})
    site.write(shards=(shard,))
    yield made
    made.close()


@pytest.mark.parametrize("lost", ["answer", "commit"])
def test_a_lost_connection_is_resolved_and_answered_once(
    lost: str, site: Site, proxy: CuttingProxy, start: Start
) -> None:
    process = start(site)
    with process.client() as client:
        client.one(place("AAPL", Side.BUY, 100, 1))
        for number in range(3):
            proxy.lose = lost
            answers = client.ask(
                *[
                    place("AAPL", Side.BUY, 99, 1, client_id=f"{lost}-{number}-{n}")
                    for n in range(9)
                ]
            )
            assert {a[-1].code for a in answers} == {Code.OK}
            assert proxy.cuts == number + 1
        assert client.one(place("AAPL", Side.BUY, 98, 1)).order_id == 29
    assert "in doubt" in process.log
    assert site.rows("SELECT count(*), count(DISTINCT client_id) FROM orders") == [(29, 29)]
    assert site.rows("SELECT last_seq FROM slot_owner") == [(29,)]


def test_a_warning_on_the_commit_is_no_promise(site: Site, start: Start) -> None:
    site.rows(
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING 'not everywhere'; RETURN NEW; END $$"
    )
    process = start(site)
    with process.client() as client:
        client.one(place("AAPL", Side.BUY, 100, 1))
        assert "in doubt" not in process.log
        site.rows("CREATE TRIGGER warn AFTER INSERT ON slot_log EXECUTE FUNCTION warn()")
        assert client.one(place("AAPL", Side.BUY, 100, 1)).code is Code.OK
    assert "in doubt" in process.log and "not everywhere" in process.log
    assert site.rows("SELECT count(*) FROM orders") == [(2,)]


def test_a_batch_that_the_shard_refuses_ends_the_process(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        client.one(place("AAPL", Side.BUY, 100, 1))
        site.rows("ALTER TABLE open_orders ADD CHECK (price < 1000)")
        sent = client.send(place("AAPL", Side.BUY, 5000, 1))
        with pytest.raises((ConnectionError, OSError)):
            client.wait(sent)
    assert process.wait_exit() == FATAL_STATUS
    assert "refused a batch: 23514" in process.log


def test_a_crash_of_postgres_under_load_loses_no_acknowledged_order(
    own_postgres: PostgresServer, start: Start
) -> None:
    site = Site([own_postgres])
    site.prepare()
    process = start(site)
    stop = threading.Event()
    acknowledged: list[str] = []
    codes: set[Code] = set()

    def trade() -> None:
        with process.client() as client:
            number = 0
            while not stop.is_set():
                batch = []
                for _ in range(20):
                    number += 1
                    batch.append(place("AAPL", Side.BUY, 100, 1, client_id=f"load-{number}"))
                for command, replies in zip(batch, client.ask(*batch), strict=True):
                    codes.add(replies[-1].code)
                    if replies[-1].code is Code.OK:
                        acknowledged.append(command.client_id)

    trader = threading.Thread(target=trade)
    trader.start()
    for how in (signal.SIGQUIT, signal.SIGINT):
        _wait_for(lambda: len(acknowledged) > 500)
        own_postgres.kill(how)
        goal = len(acknowledged) + 200
        own_postgres.start()
        _wait_for(partial(_is_longer, acknowledged, goal))
    stop.set()
    trader.join(timeout=30)
    assert not trader.is_alive()
    # Unknown where the server needs more than two seconds to come back.
    assert codes <= {Code.OK, Code.BUSY, Code.UNKNOWN_OUTCOME}
    stored = [row[0] for row in site.rows("SELECT client_id FROM orders")]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    process.kill()
    with start(site).client() as client:
        (listed,) = client.ask(Command(0, Kind.QUERY_OPEN, "AAPL", account=1))
        assert {reply.client_id for reply in listed[:-1]} == set(stored)


def test_a_shard_that_stays_away_ends_the_process_and_is_told_busy_meanwhile(
    own_postgres: PostgresServer, start: Start
) -> None:
    site = Site([own_postgres])
    site.prepare()
    process = start(site, reconnect_seconds_max=4)
    with process.client() as client:
        client.one(place("AAPL", Side.BUY, 100, 1))
        own_postgres.kill()
        doubtful = client.send(place("AAPL", Side.BUY, 100, 1), place("AAPL", Side.BUY, 0, 1))
        assert [a[-1].code for a in client.wait(doubtful)] == [
            Code.UNKNOWN_OUTCOME,
            Code.INVALID_ORDER,
        ]
        assert client.one(place("AAPL", Side.BUY, 100, 1)).code is Code.BUSY
    assert process.wait_exit() == FATAL_STATUS
    assert "is away" in process.log


def test_what_was_told_to_be_unknown_is_still_made_durable_once(
    own_postgres: PostgresServer, start: Start
) -> None:
    site = Site([own_postgres])
    site.prepare()
    process = start(site)
    order = place("AAPL", Side.BUY, 100, 1, client_id="doubtful")
    with process.client() as client:
        client.one(place("AAPL", Side.BUY, 100, 1))
        own_postgres.kill()
        assert client.one(order).code is Code.UNKNOWN_OUTCOME
        own_postgres.start()
        _wait_for(lambda: client.one(order).code is Code.DUPLICATE_SAME)
    assert site.rows("SELECT count(*) FROM orders WHERE client_id = 'doubtful'") == [(1,)]


def test_a_partition_starts_before_its_shard(own_postgres: PostgresServer, start: Start) -> None:
    site = Site([own_postgres])
    site.prepare()
    own_postgres.kill()
    process = start(site, ready=False)
    _wait_for(lambda: "trying again" in process.log)
    own_postgres.start()
    process.wait_ready()


def _is_longer(found: list[str], than: int) -> bool:
    return len(found) > than


def _wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def _as(site: Site, role: str) -> psycopg.Connection[tuple[object, ...]]:
    return site.servers[0].connect(site.topology.shards[0].database, role, PASSWORDS[role])


@pytest.mark.parametrize("level", ["off", "local"])
def test_the_fence_refuses_a_commit_that_would_not_be_durable(level: str, site: Site) -> None:
    with _as(site, ENGINE) as connection:
        connection.execute(f"SET synchronous_commit = {level}")
        with pytest.raises(psycopg.Error, match="promise too much") as refused:
            connection.execute("SELECT fence('{}', '{}', '{}', '{}', '{}', gen_random_uuid())")
    assert refused.value.sqlstate == "TC003"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trades",
        "DELETE FROM closed_orders",
        "DELETE FROM slot_log",
        "UPDATE trades SET price = 1",
        "UPDATE closed_orders SET executed = 0",
        "UPDATE slot_owner SET epoch = 9",
        "UPDATE slot_owner SET owner = gen_random_uuid()",
        "TRUNCATE open_orders",
        "CREATE TABLE mine (x int)",
    ],
)
def test_no_role_may_rewrite_history(statement: str, site: Site) -> None:
    for role in (ENGINE, READER, OPERATOR):
        with _as(site, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO trades SELECT * FROM trades",
        "DELETE FROM open_orders",
        "SELECT take_slot(1, 0, gen_random_uuid())",
        "SELECT fence('{}', '{}', '{}', '{}', '{}', gen_random_uuid())",
    ],
)
def test_readers_only_read(statement: str, site: Site) -> None:
    with _as(site, READER) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_takeover_waits_for_the_commit_in_flight(site: Site) -> None:
    with _as(site, ENGINE) as owner:
        me = "11111111-1111-1111-1111-111111111111"
        owner.execute("SELECT take_slot(1, 0, %s)", (me,))
        owner.autocommit = False
        owner.execute("SELECT fence('{1}', '{1}', '{0}', '{1}', array['\\x01'::bytea], %s)", (me,))
        taken: list[object] = []

        def take() -> None:
            with _as(site, ENGINE) as other:
                cursor = other.execute("SELECT * FROM take_slot(1, 1, gen_random_uuid())")
                taken.extend(cursor.fetchall())

        taker = threading.Thread(target=take)
        taker.start()
        _wait_for(
            lambda: (
                site.rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type='Lock'")
                == [(1,)]
            )
        )
        assert not taken
        owner.commit()
        taker.join(timeout=10)
    assert taken == [(2, 1, b"\x01")]


def test_a_newer_schema_is_refused_in_one_line(site: Site) -> None:
    site.rows(
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " VALUES ('x', '9999-from-the-future', now())"
    )
    with pytest.raises(Exception, match="9999-from-the-future") as refused:
        site.prepare()
    assert "\n" not in str(refused.value)


def test_preparing_again_changes_nothing(site: Site) -> None:
    site.rows("UPDATE slot_owner SET epoch = 7")
    site.prepare()
    assert site.rows("SELECT epoch FROM slot_owner") == [(7,)]


def test_a_commit_that_hangs_is_told_to_be_unknown_and_goes_on_later(
    site: Site, start: Start
) -> None:
    process = start(site)
    with process.client() as client, process.client() as other:
        assert client.one(place("AAPL", Side.BUY, 90, 1, client_id="before")).code is Code.OK
        site.rows(
            "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$"
        )
        site.rows("CREATE TRIGGER hang AFTER INSERT ON slot_log EXECUTE FUNCTION hang()")
        with site.servers[0].connect(site.topology.shards[0].database) as holder:
            holder.execute("SELECT pg_advisory_lock(1)")
            first = client.send(place("AAPL", Side.BUY, 91, 1, client_id="first"))
            _wait_for(lambda: site.rows("SELECT 1 FROM pg_locks WHERE NOT granted") != [])
            second = other.send(place("AAPL", Side.BUY, 92, 1, client_id="second"))
            assert client.wait(first)[0][-1].code is Code.UNKNOWN_OUTCOME
            assert other.wait(second)[0][-1].code is Code.UNKNOWN_OUTCOME
            third = client.one(place("AAPL", Side.BUY, 93, 1, client_id="third"))
            assert third.code is Code.BUSY
            holder.execute("SELECT pg_advisory_unlock(1)")
        _wait_for(lambda: client.one(place("AAPL", Side.BUY, 94, 1)).code is Code.OK)
        told = {name: client.one(place("AAPL", Side.BUY, price, 1, client_id=name)).code
                for name, price in (("first", 91), ("second", 92), ("third", 93))}  # fmt: skip
    assert told == {
        "first": Code.DUPLICATE_SAME, "second": Code.DUPLICATE_SAME, "third": Code.OK
    }  # fmt: skip
    assert process.process.poll() is None
