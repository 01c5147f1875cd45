"""Whatever fails in a move: before the decision the source goes on, after it the target does."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from trading_contract.wire import Code, Side
from trading_engine.tests.integration.cutting_proxy import STEP, CuttingProxy
from trading_engine.tests.integration.moving_load import Load, check
from trading_engine.tests.integration.moving_site import Pair, two_slots, wait_for
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import PostgresServer
from trading_engine.tests.integration.wire_client import place

Start = Callable[..., PartitionProcess]
BUY, SELL = Side.BUY, Side.SELL
FATAL_STATUS = 70
GATE = 4711


@contextmanager
def decision_waits(pair: Pair) -> Iterator[Callable[[], None]]:
    """Hand-overs stop in the shard just before they are done; gives what waits for one of them."""
    pair.rows(
        "CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END $$"
    )
    pair.rows(
        "CREATE TRIGGER wait_here BEFORE UPDATE OF handed_over_at ON slot_owner"
        " FOR EACH ROW EXECUTE FUNCTION wait_here()"
    )
    with gate(pair) as waits:
        yield waits


@contextmanager
def gate(pair: Pair) -> Iterator[Callable[[], None]]:
    """Held shut meanwhile."""
    waiting = f"SELECT 1 FROM pg_locks WHERE objid = {GATE} AND NOT granted"
    database = pair.site.topology.shards[0].database
    with pair.site.servers[0].connect(database) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (GATE,))
        yield lambda: wait_for(lambda: pair.rows(waiting))


def lose_what_waits(pair: Pair) -> None:
    """The transaction at the gate is rolled back."""
    waiting = f"FROM pg_locks WHERE objid = {GATE} AND NOT granted"
    pair.rows(f"SELECT pg_terminate_backend(pid) {waiting}")
    wait_for(lambda: not pair.rows(f"SELECT 1 {waiting}"))


def freeze(process: PartitionProcess) -> None:
    """SIGSTOP."""
    process.process.send_signal(signal.SIGSTOP)


def thaw(process: PartitionProcess) -> None:
    """SIGCONT."""
    process.process.send_signal(signal.SIGCONT)


def served(pair: Pair, name: str) -> None:
    """The partition takes an order of slot 2, and has what was there before."""
    with pair.client(name) as client:
        assert client.one(place("MSFT", SELL, 100, 1, account=2)).code is Code.OK
        again = client.one(place("MSFT", BUY, 100, 5, client_id="first"))
        assert (again.code, again.order_id) == (Code.DUPLICATE_SAME, 1)


def first(pair: Pair) -> None:
    """An order that rests on slot 2."""
    with pair.client("p0") as client:
        assert client.one(place("MSFT", BUY, 100, 5, client_id="first")).order_id == 1


def test_a_target_that_dies_before_the_decision_costs_nothing(pair: Pair) -> None:
    first(pair)
    freeze(pair.processes["p0"])  # so that nothing is decided
    move = pair.order("engine", (2,), "p0", target_partition="p1")
    wait_for(lambda: pair.told("p1", move).get("state") == "Following")
    pair.processes["p1"].kill()
    thaw(pair.processes["p0"])
    served(pair, "p0")
    assert pair.owner(2) == "p0"
    pair.start("p1", ready=False)
    wait_for(lambda: pair.told("p1", move).get("state") == "Done")
    served(pair, "p1")


def test_a_target_that_dies_after_the_decision_has_the_slot_when_it_is_back(pair: Pair) -> None:
    first(pair)
    with decision_waits(pair) as waits:
        pair.order("engine", (2,), "p0", target_partition="p1")
        waits()
        pair.processes["p1"].kill()
    wait_for(lambda: pair.owner(2) == "p1")
    with pair.client("p0") as client:
        assert client.one(place("MSFT", BUY, 1, 1)).code is Code.WRONG_OWNER
    pair.start("p1")
    served(pair, "p1")
    assert pair.rows("SELECT epoch FROM slot_owner WHERE slot_id = 2") == [(3,)]
    pair.processes["p0"].kill()  # nor does a topology that knows nothing bring it back
    pair.start("p0")
    assert [slot["id"] for slot in pair.status("p0")["slots"]] == [1]


def test_a_source_that_dies_before_the_decision_has_the_slot_still(pair: Pair) -> None:
    first(pair)
    with decision_waits(pair) as waits:
        move = pair.order("engine", (2,), "p0", target_partition="p1")
        waits()
        pair.processes["p0"].kill()
        lose_what_waits(pair)  # its COMMIT is there already
        assert pair.status("p1")["slots"] == []
    pair.start("p0", ready=False)
    wait_for(lambda: pair.told("p1", move).get("state") == "Done")  # tried again by itself
    assert pair.rows("SELECT epoch FROM slot_owner WHERE slot_id = 2") == [(3,)]
    served(pair, "p1")


def test_a_source_that_dies_with_the_decision_on_its_way_has_handed_over(pair: Pair) -> None:
    first(pair)
    with decision_waits(pair) as waits:
        move = pair.order("engine", (2,), "p0", target_partition="p1")
        waits()
        pair.processes["p0"].kill()
    wait_for(lambda: pair.told("p1", move).get("state") == "Done")
    assert pair.rows("SELECT epoch FROM slot_owner WHERE slot_id = 2") == [(2,)]
    pair.start("p0")
    served(pair, "p1")
    assert [slot["id"] for slot in pair.status("p0")["slots"]] == [1]


def test_a_source_that_is_frozen_over_the_decision_learns_of_it(
    pair: Pair, proxied: CuttingProxy
) -> None:
    first(pair)
    proxied.cut_at, proxied.lose = STEP, "answer"
    move = pair.order("engine", (2,), "p0", target_partition="p1")
    wait_for(lambda: proxied.cuts)  # a digest's
    proxied.lose = "answer"
    wait_for(lambda: pair.owner(2) == "p1")
    freeze(pair.processes["p0"])
    wait_for(lambda: pair.told("p1", move).get("state") == "Done")
    served(pair, "p1")
    thaw(pair.processes["p0"])
    wait_for(lambda: pair.told("p0", move).get("state") == "Done")
    with pair.client("p0") as client:
        assert client.one(place("MSFT", BUY, 1, 1)).code is Code.WRONG_OWNER
        assert client.one(place("AAPL", BUY, 1, 1)).code is Code.OK


@contextmanager
def batches_wait(pair: Pair) -> Iterator[Callable[[], None]]:
    """Batches stop in the shard just before they are done; gives what waits for one of them."""
    pair.rows(
        "CREATE FUNCTION wait_there() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END $$"
    )
    pair.rows(
        "CREATE TRIGGER wait_there BEFORE INSERT ON slot_log"
        " FOR EACH ROW EXECUTE FUNCTION wait_there()"
    )
    with gate(pair) as waits:
        yield waits
    pair.rows("DROP TRIGGER wait_there ON slot_log")


def take_away(pair: Pair) -> None:
    """What the operator does with a frozen partition: cut it off, and place its slot elsewhere."""
    mine = "FROM pg_stat_activity WHERE application_name LIKE 'engine/p0/%'"
    pair.rows(f"SELECT pg_terminate_backend(pid) {mine}")
    wait_for(lambda: pair.rows(f"SELECT count(*) {mine}") == [(0,)])
    slots = tuple(
        s.model_copy(update={"partition": "p1", "epoch": 1}) if s.id == 2 else s
        for s in pair.site.topology.slots
    )
    pair.site.write(slots=slots, moves=())
    wait_for(lambda: [slot["id"] for slot in pair.status("p1")["slots"]] == [2])


def test_a_frozen_source_that_was_about_to_decide_finds_its_slot_taken(pair: Pair) -> None:
    first(pair)
    with pair.client("p0") as client:
        with decision_waits(pair) as waits:
            pair.order("engine", (2,), "p0", target_partition="p1")
            waits()
            zombie = client.send(place("MSFT", BUY, 99, 1, client_id="zombie"))
            freeze(pair.processes["p0"])
            take_away(pair)
        served(pair, "p1")
        thaw(pair.processes["p0"])
        assert client.wait(zombie)[0][-1].code is Code.WRONG_OWNER
        assert client.one(place("AAPL", BUY, 99, 1)).code is Code.OK
    assert pair.rows("SELECT count(*) FROM orders WHERE client_id = 'zombie'") == [(0,)]


def test_a_frozen_source_that_was_about_to_commit_is_shut_out(pair: Pair) -> None:
    first(pair)
    with pair.client("p0") as client:
        with batches_wait(pair) as waits:
            pair.order("engine", (2,), "p0", target_partition="p1")
            client.send(place("MSFT", BUY, 99, 1, client_id="zombie"))
            waits()
            freeze(pair.processes["p0"])
            take_away(pair)
        served(pair, "p1")
        thaw(pair.processes["p0"])
        assert pair.processes["p0"].wait_exit() == FATAL_STATUS
    assert "slot 2 has another owner" in pair.processes["p0"].log
    assert pair.rows("SELECT count(*) FROM orders WHERE client_id = 'zombie'") == [(0,)]


@pytest.fixture
def proxied(pair: Pair) -> Iterator[CuttingProxy]:
    """Partition p0 reaches the shard through it."""
    made = CuttingProxy(pair.site.servers[0].port)
    there = pair.site.topology.shards[0].hosts
    pair.processes["p0"].kill()
    pair.site.write(
        shards=(pair.site.topology.shards[0].model_copy(update={"hosts": (made.address,)}),)
    )
    pair.start("p0")
    pair.site.write(shards=(pair.site.topology.shards[0].model_copy(update={"hosts": there}),))
    yield made
    made.close()


@pytest.mark.parametrize("lost", ["answer", "commit"])
def test_a_decision_whose_answer_or_whose_commit_is_lost_is_resolved(
    lost: str, pair: Pair, proxied: CuttingProxy
) -> None:
    shard = pair.site.topology.shards[0]
    through = shard.model_copy(update={"hosts": (proxied.address,)})
    with Load(pair, ("MSFT", "ZZZ")) as load:
        for number in range(4):
            to = "p1" if number % 2 == 0 else "p0"
            pair.site.write(shards=(through,))  # for whatever connects anew
            proxied.cut_at, proxied.lose = STEP, lost
            pair.move(2, to)
            goal = load.count() + 50
            wait_for(lambda goal=goal: load.count() >= goal)  # type: ignore[misc]
    assert proxied.cuts >= 2
    check(load)
    assert "in doubt" in pair.processes["p0"].log


def test_an_order_that_disappears_is_forgotten_by_both(pair: Pair) -> None:
    first(pair)
    freeze(pair.processes["p0"])
    move = pair.order("engine", (2,), "p0", target_partition="p1")
    wait_for(lambda: pair.rows("SELECT partition FROM slot_follower") == [("p1",)])
    assert pair.told("p1", move)["role"] == "target"
    pair.cancel(move)
    wait_for(lambda: pair.rows("SELECT partition FROM slot_follower") == [])
    wait_for(lambda: pair.status("p1")["moves"] == [])
    assert pair.status("p1")["open_orders"] == 0
    thaw(pair.processes["p0"])
    served(pair, "p0")
    assert pair.status("p0")["moves"] == []
    pair.move(2, "p1")  # and another one may come
    served(pair, "p1")


DAMAGES = {
    "a row": "UPDATE open_orders SET executed_quote = executed_quote + 1 WHERE symbol = 'MSFT'",
    "a counter": "UPDATE symbol_state SET update_seq = update_seq + 1 WHERE symbol = 'MSFT'",
    "a closed order": "UPDATE closed_orders SET body_hash = body_hash + 1 WHERE symbol = 'MSFT'",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_digest_that_differs_stops_the_move_and_the_source_goes_on(
    damage: str, pair: Pair
) -> None:
    first(pair)
    with pair.client("p0") as client:
        client.one(place("MSFT", SELL, 100, 2, account=2))
    assert pair.rows(DAMAGES[damage]) == []
    move = pair.order("engine", (2,), "p0", target_partition="p1")
    wait_for(lambda: pair.told("p0", move).get("state") == "Failed")
    assert "differs" in pair.told("p0", move)["problem"]
    assert "differs" in pair.told("p1", move)["problem"]
    assert pair.rows("SELECT problem LIKE '%differs%' FROM slot_follower") == [(True,)]
    assert pair.rows("SELECT seq FROM slot_digest WHERE slot_id = 2") == [(2,)]  # the evidence
    assert pair.owner(2) == "p0"
    served(pair, "p0")


def test_a_log_that_gives_another_state_stops_the_move(pair: Pair) -> None:
    first(pair)
    pair.rows(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.payload = set_byte(NEW.payload, 20, 0); RETURN NEW; END $$"
    )
    pair.rows(
        "CREATE TRIGGER spoil BEFORE INSERT ON slot_log FOR EACH ROW EXECUTE FUNCTION spoil()"
    )
    freeze(pair.processes["p0"])
    move = pair.order("engine", (2,), "p0", target_partition="p1")
    wait_for(lambda: pair.told("p1", move).get("state") == "Following")
    with Load(pair, ("MSFT",)) as load:
        thaw(pair.processes["p0"])
        wait_for(lambda: pair.told("p1", move).get("state") in ("Failed", "Done"))
        goal = load.count() + 20
        wait_for(lambda: load.count() > goal)
    assert pair.told("p1", move)["state"] == "Failed"
    assert "gives another state" in pair.told("p1", move)["problem"]
    assert pair.owner(2) == "p0"


def test_a_crash_of_postgres_in_the_middle_is_survived(
    own_postgres: PostgresServer, start: Start
) -> None:
    site = Site([own_postgres])
    two_slots(site)
    site.prepare()
    pair = Pair(site, start)
    pair.start("p0")
    pair.start("p1")
    with Load(pair, ("MSFT", "ZZZ")) as load:
        for number in range(3):
            _move_over_a_crash(pair, "p1" if number % 2 == 0 else "p0", own_postgres)
            goal = load.count() + 50
            wait_for(lambda goal=goal: load.count() >= goal)  # type: ignore[misc]
    check(load)


def _move_over_a_crash(pair: Pair, to: str, server: PostgresServer) -> None:
    move = pair.order("engine", (2,), pair.owner(2), target_partition=to)
    wait_for(lambda: pair.told(to, move))
    server.kill(signal.SIGQUIT)
    server.start()
    wait_for(lambda: pair.told(to, move).get("state") == "Done")
    pair.fold(move)
