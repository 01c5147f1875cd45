"""Slots that the topology gives to another partition, and the end of the log."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trading_contract.topology import PartitionAddress, SlotPlacement
from trading_contract.wire import Code, Command, Kind, Side
from trading_engine.tests.integration.partition_process import PartitionProcess, Site, slots_of
from trading_engine.tests.integration.postgres_server import PostgresServer, free_port
from trading_engine.tests.integration.wire_client import WireClient, place

Start = Callable[..., PartitionProcess]
BUY, SELL = Side.BUY, Side.SELL
_numbers = iter(range(1000))


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Poll; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def two(postgres: PostgresServer) -> Iterator[Site]:
    """Slots [, M) and [M, ~) on one shard, both on partition p0; p1 is there, too."""
    site = Site([postgres], database=f"handover{next(_numbers)}")
    port = free_port()
    site.write(
        partitions=(
            *site.topology.partitions, PartitionAddress(name="p1", host="127.0.0.1", port=port)
        ),
        slots=tuple(
            SlotPlacement(id=n + 1, first=first, past=past, partition="p0", shard="shard-0")
            for n, (first, past) in enumerate((("", "M"), ("M", "~")))
        ),
    )  # fmt: skip
    site.prepare()
    return site  # type: ignore[return-value]


def give(site: Site, slot: int, partition: str) -> None:
    """The topology places a slot anew, knowing its owner."""
    ((epoch,),) = site.rows(f"SELECT epoch FROM slot_owner WHERE slot_id = {slot}")
    placed = {"partition": partition, "epoch": epoch}
    site.write(
        slots=tuple(s.model_copy(update=placed) if s.id == slot else s for s in site.topology.slots)
    )


def second(site: Site, start: Start) -> PartitionProcess:
    """The partition p1."""
    return start(site, port=site.topology.partitions[1].port, partition="p1")


def status(process: PartitionProcess) -> dict[str, Any]:
    """What a partition says of itself."""
    with WireClient(process.port, greet=False) as client:
        return client.status()


def test_a_slot_that_is_taken_away_is_finished_released_and_served_by_the_next_owner(
    two: Site, start: Start
) -> None:
    old = start(two)
    new = second(two, start)
    with old.client() as client:
        kept = client.one(place("AAPL", BUY, 100, 5, client_id="kept"))
        moved = client.one(place("MSFT", BUY, 100, 5, client_id="moved"))
        assert status(new)["slots"] == []
        give(two, 2, "p1")
        wait_for(lambda: slots_of(status(new)).get(2))
        assert slots_of(status(old)) == {1: 1}
        assert client.one(place("MSFT", BUY, 90, 1)).code is Code.WRONG_OWNER
        assert client.one(place("AAPL", SELL, 100, 5, account=2)).fills[0].maker_order_id == (
            kept.order_id
        )
        assert [slot["id"] for slot in client.welcome["slots"]] == [1]
    assert slots_of(status(new)) == {2: 2}
    with new.client() as client:
        assert client.one(place("AAPL", BUY, 1, 1)).code is Code.WRONG_OWNER
        taker = client.one(place("MSFT", SELL, 100, 5, account=2))
        assert taker.fills[0].maker_order_id == moved.order_id
        again = client.one(place("MSFT", BUY, 100, 5, client_id="moved"))
        assert again.code is Code.DUPLICATE_SAME
    assert old.process.poll() is None, "it was fenced: " + old.log[-2000:]


def test_a_slot_that_comes_back_is_loaded_again(two: Site, start: Start) -> None:
    old = start(two)
    new = second(two, start)
    with old.client() as client:
        client.one(place("MSFT", BUY, 100, 5, client_id="first"))
        client.one(place("MSFT", BUY, 101, 1, client_id="gone"))
    give(two, 2, "p1")
    wait_for(lambda: slots_of(status(new)).get(2))
    assert status(old)["open_orders"] == 0
    with new.client() as client:
        client.one(place("MSFT", SELL, 101, 1, account=2))
        client.one(place("MSFT", BUY, 99, 7, client_id="later"))
    give(two, 2, "p0")
    wait_for(lambda: slots_of(status(old)).get(2))
    with old.client() as client:
        assert client.depth("MSFT").bids == ((100, 5), (99, 7))
        for name, price, quantity in (("first", 100, 5), ("gone", 101, 1), ("later", 99, 7)):
            reply = client.one(place("MSFT", BUY, price, quantity, client_id=name))
            assert reply.code is Code.DUPLICATE_SAME, name
    assert new.process.poll() is None


def test_orders_that_are_in_flight_while_a_slot_leaves_are_answered_once_and_truly(
    two: Site, start: Start
) -> None:
    old = start(two)
    new = second(two, start)
    placed: dict[str, Code] = {}
    leaving = threading.Event()

    def trade() -> None:
        with old.client() as client:
            number = 0
            while Code.WRONG_OWNER not in placed.values():
                names = [f"n{number + n}" for n in range(20)]
                number += 20
                sent = [place("MSFT", BUY, 50, 1, client_id=name) for name in names]
                for name, replies in zip(names, client.ask(*sent), strict=True):
                    placed[name] = replies[-1].code
                if number == 200:
                    leaving.set()

    trader = threading.Thread(target=trade)
    trader.start()
    assert leaving.wait(20)
    give(two, 2, "p1")
    trader.join(30)
    assert not trader.is_alive()
    wait_for(lambda: slots_of(status(new)).get(2))
    assert set(placed.values()) == {Code.OK, Code.WRONG_OWNER}
    stored = {row[0] for row in two.rows("SELECT client_id FROM orders")}
    assert stored == {name for name, code in placed.items() if code is Code.OK}
    with new.client() as client:
        opened = client.ask(Command(0, Kind.QUERY_OPEN, "MSFT", account=1))[0]
        assert len(opened) - 1 == len(stored)


def test_old_rows_of_the_log_go_and_young_or_newest_ones_stay(two: Site, start: Start) -> None:
    process = start(two)
    with process.client() as client:
        for _ in range(5):
            client.one(place("AAPL", BUY, 100, 1))
            client.one(place("MSFT", BUY, 100, 1))
    process.kill()
    two.rows(
        "UPDATE slot_log SET logged_at = now() - interval '25 hours'"
        " WHERE slot_id = 1 OR seq_hi <= 2"
    )
    process = start(two, log_trim_seconds=0.1)
    left = "SELECT slot_id, array_agg(seq_hi ORDER BY seq_hi) FROM slot_log GROUP BY 1 ORDER BY 1"
    wait_for(lambda: two.rows(left) == [(1, [5]), (2, [3, 4, 5])])
    assert status(process)["log_rows_trimmed"] == 6
    process.kill()
    with start(two).client() as client:  # nothing of it is missed
        assert client.depth("AAPL").bids == ((100, 5),)
        assert client.one(place("AAPL", SELL, 100, 5, account=2)).fills[-1].trade_id == 5


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("", 2), ("move_id = gen_random_uuid()", 5), ("owner = gen_random_uuid()", 5),
        ("epoch = epoch + 1", 5), ("state = 'SEALED'", 5),
    ],
)  # fmt: skip
def test_the_log_is_trimmed_by_the_owner_of_a_resting_slot_only(
    change: str, left: int, two: Site
) -> None:
    me = "11111111-1111-1111-1111-111111111111"
    two.rows(f"UPDATE slot_owner SET owner = '{me}', epoch = 3, last_seq = 5 WHERE slot_id = 1")
    two.rows(
        "INSERT INTO slot_log (slot_id, seq_hi, seq_lo, epoch, payload, chain, logged_at)"
        " SELECT 1, n, n, 3, '', '', now() - make_interval(mins => 120 - 20 * n::int)"
        " FROM generate_series(1, 5) n"
    )
    if change:
        two.rows(f"UPDATE slot_owner SET {change} WHERE slot_id = 1")
    # Rows 1..3 are older than an hour: the least that is kept, whatever is asked.
    two.rows(f"SELECT trim_log(1, 3, '{me}', interval '1 second', 100)")
    assert two.rows("SELECT count(*) FROM slot_log") == [(left,)]


def test_probes_tell_alive_from_ready(own_postgres: PostgresServer, start: Start) -> None:
    site = Site([own_postgres])
    site.prepare()
    own_postgres.kill()
    port = free_port()
    process = start(site, ready=False, health_port=port)

    def probe(path: str) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as problem:
            return problem.code, json.load(problem)
        except OSError:
            return 0, None

    wait_for(lambda: probe("/healthz")[0] == 200)
    assert probe("/readyz")[0] == 503
    assert probe("/other")[0] == 404
    own_postgres.start()
    process.wait_ready()
    code, told = probe("/readyz")
    assert (code, told["partition"], told["slots"][0]["id"]) == (200, "p0", 1)
