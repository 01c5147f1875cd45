"""The partition process on a real PostgreSQL: what is acknowledged is on disk, once."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trading_contract.wire import (
    FRAME_BYTES_MAX,
    Code,
    Command,
    FrameType,
    Kind,
    OrderStatus,
    Side,
    frame,
)
from trading_engine.tests.integration.partition_process import (
    PartitionProcess,
    Site,
    rules,
    slots_of,
)
from trading_engine.tests.integration.postgres_server import PostgresServer, free_port
from trading_engine.tests.integration.wire_client import WireClient, cancel, place

Start = Callable[..., PartitionProcess]
BUY, SELL = Side.BUY, Side.SELL
FATAL_STATUS = 70


def test_an_acknowledged_order_is_on_the_shard(site: Site, start: Start) -> None:
    with start(site).client() as client:
        maker = client.one(place("BTCUSDT", BUY, 100, 5, client_id="maker"))
        taker = client.one(place("BTCUSDT", SELL, 90, 2, account=2, client_id="taker"))
    assert (maker.code, taker.status) == (Code.OK, OrderStatus.FILLED)
    assert site.rows(
        "SELECT order_id, client_id, side, status, price, quantity, executed FROM orders"
        " ORDER BY order_id"
    ) == [
        (1, "maker", "BUY", "PARTIALLY_FILLED", 100, 5, 2),
        (2, "taker", "SELL", "FILLED", 90, 2, 2),
    ]
    assert site.rows("SELECT trade_id, maker_order_id, taker_order_id, price FROM trades") == [
        (1, 1, 2, 100)
    ]
    assert site.rows("SELECT last_seq FROM slot_owner") == [(2,)]


def test_a_unix_socket_serves_as_the_port_does_also_after_a_kill(
    site: Site, start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "p0.sock"
    for number in range(2):
        process = start(site, listen_socket=path)
        with WireClient(path) as client:
            placed = client.one(place("AAPL", Side.BUY, 90, 1, client_id=f"local-{number}"))
            assert placed.code is Code.OK
        process.kill()
    assert site.rows("SELECT count(*) FROM orders") == [(2,)]


def test_kill_9_loses_nothing_and_keeps_places_ids_and_client_ids(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        older = client.one(place("AAPL", BUY, 100, 5, client_id="older"))
        younger = client.one(place("AAPL", BUY, 100, 5, client_id="younger"))
        better = client.one(place("AAPL", BUY, 101, 1, client_id="better"))
        gone = client.one(place("AAPL", BUY, 90, 1, client_id="gone"))
        client.one(cancel("AAPL", gone.order_id))
        before = client.depth("AAPL")
    process.kill()
    with start(site).client() as client:
        after = client.depth("AAPL")
        assert (after.bids, after.asks, after.update_id) == (
            before.bids, before.asks, before.update_id,
        )  # fmt: skip
        taker = client.one(place("AAPL", SELL, 100, 8, account=2))
        assert [fill.maker_order_id for fill in taker.fills] == [
            better.order_id, older.order_id, younger.order_id,
        ]  # fmt: skip
        assert [fill.quantity for fill in taker.fills] == [1, 5, 2]
        assert taker.order_id == gone.order_id + 1
        for name, order_id, price in (("older", 1, 100), ("gone", gone.order_id, 90)):
            quantity = 5 if name == "older" else 1
            same = client.one(place("AAPL", BUY, price, quantity, client_id=name))
            other = client.one(place("AAPL", BUY, price + 1, quantity, client_id=name))
            assert (same.code, same.order_id) == (Code.DUPLICATE_SAME, order_id)
            assert other.code is Code.DUPLICATE_OTHER


def test_a_restart_raises_the_epoch_and_goes_on_with_the_sequence(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        client.one(place("AAPL", BUY, 100, 5))
    assert slots_of(process.wait_ready()) == {1: 1}
    process.kill()
    process = start(site)
    assert slots_of(process.wait_ready()) == {1: 2}
    with process.client() as client:
        reply = client.one(place("AAPL", BUY, 100, 5))
    assert (reply.epoch, reply.sequence) == (2, 2)
    assert site.rows("SELECT seq_lo, seq_hi, epoch FROM slot_log ORDER BY seq_hi") == [
        (1, 1, 1),
        (2, 2, 2),
    ]


def test_a_zombie_is_fenced_and_ends(site: Site, start: Start) -> None:
    zombie = start(site)
    with zombie.client() as old:
        old.one(place("AAPL", BUY, 100, 5))
        newer = start(site, port=free_port())
        stale = old.send(place("AAPL", BUY, 50, 5, client_id="stale"))
        with pytest.raises((ConnectionError, OSError)):
            old.wait(stale)
    assert zombie.wait_exit() == FATAL_STATUS
    assert "has another owner" in zombie.log
    with newer.client() as client:
        assert client.one(place("AAPL", BUY, 51, 5)).code is Code.OK
    assert site.rows("SELECT client_id FROM orders WHERE client_id = 'stale'") == []


def test_a_frozen_engine_cannot_write_after_it_thaws(site: Site, start: Start) -> None:
    frozen = start(site)
    with frozen.client() as old:
        old.one(place("AAPL", BUY, 100, 5))
        frozen.process.send_signal(signal.SIGSTOP)
        sent = old.send(*[place("AAPL", BUY, 50, 1, client_id=f"late-{n}") for n in range(5)])
        newer = start(site, port=free_port())
        frozen.process.send_signal(signal.SIGCONT)
        with pytest.raises((ConnectionError, OSError)):
            old.wait(sent)
    assert frozen.wait_exit() == FATAL_STATUS
    with newer.client() as client:
        assert client.depth("AAPL").bids == ((100, 5),)
    assert site.rows("SELECT count(*) FROM orders WHERE client_id LIKE 'late-%'") == [(0,)]


def test_commands_of_many_kinds_work_over_the_wire(site: Site, start: Start) -> None:
    with start(site).client() as client:
        order = client.one(place("ETHUSDT", BUY, 100, 10))
        about = Command(0, Kind.AMEND, "ETHUSDT", account=1, order_id=order.order_id, quantity=8)
        amended = client.one(about)
        reduced = client.one(replace(about, kind=Kind.REDUCE, quantity=1))
        replaced = client.one(replace(about, kind=Kind.REPLACE, price=99, quantity=4))
        (swap,) = client.ask(
            replace(place("ETHUSDT", BUY, 98, 3), kind=Kind.CANCEL_REPLACE, order_id=1)
        )
        found = client.one(Command(0, Kind.QUERY_ORDER, "ETHUSDT", account=1, order_id=2))
        (listed,) = client.ask(Command(0, Kind.CANCEL_ALL, "ETHUSDT", account=1))
    assert [amended.quantity, reduced.quantity, replaced.quantity] == [8, 7, 4]
    assert [reply.status for reply in swap] == [OrderStatus.CANCELED, OrderStatus.NEW]
    assert (found.order_id, found.price, found.quantity) == (2, 98, 3)
    assert [reply.code for reply in listed] == [Code.OK, Code.END]
    assert site.rows("SELECT order_id, status, end_reason FROM orders ORDER BY 1") == [
        (1, "CANCELED", "REPLACED"),
        (2, "CANCELED", "MASS_CANCEL"),
    ]


def test_many_commands_in_one_frame_are_one_commit_each_answered(site: Site, start: Start) -> None:
    with start(site).client() as client:
        answers = client.ask(*[place("AAPL", BUY, 100, 1, account=1 + n % 7) for n in range(3000)])
        assert [a[-1].order_id for a in answers] == list(range(1, 3001))
        batches = client.status()["shards"]["shard-0"]["batches"]
    assert batches < 20
    assert site.rows("SELECT count(*), min(order_id), max(order_id) FROM open_orders") == [
        (3000, 1, 3000)
    ]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<IBBH", FRAME_BYTES_MAX + 1, FrameType.COMMANDS, 0, 0),
        struct.pack("<IBBH", 3, FrameType.COMMANDS, 0, 0),
        struct.pack("<IBBH", 8, 77, 0, 0),
        frame(FrameType.COMMANDS, b""),
        frame(FrameType.COMMANDS, bytes(183)),
        frame(FrameType.PING, bytes(65)),
        frame(FrameType.HELLO, b"{"),
        frame(FrameType.HELLO, b'{"version": 9, "cluster": "test"}'),
        frame(FrameType.HELLO, b'{"version": 1, "cluster": "other"}'),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=lambda data: data[:6].hex(),
)
def test_a_broken_frame_is_told_and_ends_only_its_connection(
    data: bytes, site: Site, start: Start
) -> None:
    process = start(site)
    with process.client() as bad, process.client() as good:
        bad.socket.sendall(data)
        with pytest.raises(ConnectionError):
            bad.depth("AAPL")
        assert bad.errors and bad.errors[0]
        assert good.one(place("AAPL", BUY, 100, 1)).code is Code.OK


def test_commands_before_hello_are_refused(site: Site, start: Start) -> None:
    process = start(site)
    with WireClient(process.port, greet=False) as client:
        client.send(place("AAPL", BUY, 100, 1))
        with pytest.raises(ConnectionError):
            client.depth("AAPL")
        assert "HELLO" in client.errors[0]
    assert site.rows("SELECT count(*) FROM orders") == [(0,)]


def test_garbage_records_are_answered_one_by_one(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        good = replace(place("AAPL", BUY, 100, 1), request_id=900).pack()
        noise = os.urandom(184 * 50)
        raw = b"".join(noise[n * 184 : n * 184 + 184] for n in range(50)) + good
        client.socket.sendall(frame(FrameType.COMMANDS, raw))
        assert client.wait([900])[0][-1].code is Code.OK
    assert site.rows("SELECT count(*) FROM orders") == [(1,)]


def test_a_frame_cut_into_bytes_waits_for_its_rest(site: Site, start: Start) -> None:
    with start(site).client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw = replace(place("AAPL", BUY, 100, 1), request_id=77).pack()
        for byte in frame(FrameType.COMMANDS, raw):
            client.socket.sendall(bytes([byte]))
        assert client.wait([77])[0][-1].code is Code.OK


def test_a_client_that_does_not_read_is_cut_off(site: Site, start: Start) -> None:
    process = start(site, output_bytes_max=1 << 20)
    with process.client() as client:
        client.ask(*[place("AAPL", BUY, 100, 1) for _ in range(3000)])
    with process.client() as silent, process.client() as reading:
        listing = Command(1, Kind.QUERY_OPEN, "AAPL", account=1).pack()
        with pytest.raises(OSError):  # noqa: PT012  which of the sends fails is not known
            for _ in range(1000):
                silent.socket.sendall(frame(FrameType.COMMANDS, listing * 10))
                assert reading.one(place("AAPL", BUY, 100, 1)).code is Code.OK
        assert reading.one(place("AAPL", BUY, 100, 1)).code is Code.OK
    assert "does not read" in process.log


def test_more_than_may_wait_is_read_later_and_still_answered(site: Site, start: Start) -> None:
    process = start(site, waiting_commands_max=64, batch_commands_max=32)
    with process.client() as client:
        numbers = []
        for _ in range(40):
            numbers += client.send(*[place("AAPL", BUY, 100, 1) for _ in range(50)])
        answers = client.wait(numbers)
    assert {a[-1].code for a in answers} == {Code.OK}
    assert site.rows("SELECT count(*) FROM open_orders") == [(2000,)]


def test_a_symbol_of_a_newer_topology_trades_without_a_restart(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        assert client.one(place("NEWONE", BUY, 100, 1)).code is Code.UNKNOWN_SYMBOL
        site.write(symbols=(*site.topology.symbols, rules("NEWONE")))
        while client.status()["revision"] < site.topology.revision:
            pass
        assert client.one(place("NEWONE", BUY, 100, 1)).code is Code.OK


def test_a_symbol_taken_off_the_list_or_halted_takes_cancels_only(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        orders = [client.one(place(name, BUY, 100, 1)) for name in ("AAPL", "MSFT")]
        halted = site.topology.symbols[3].model_copy(update={"status": "HALT"})
        assert halted.name == "MSFT"
        site.write(symbols=(*site.topology.symbols[1:3], halted))
        while client.status()["revision"] < site.topology.revision:
            pass
        assert client.one(place("AAPL", BUY, 100, 1)).code is Code.UNKNOWN_SYMBOL
        assert client.one(place("MSFT", BUY, 100, 1)).code is Code.SYMBOL_HALTED
        for order in orders:
            assert client.one(cancel(order.symbol, order.order_id)).code is Code.OK


def test_two_shards_commit_apart_and_recover_both(
    postgres: PostgresServer, own_postgres: PostgresServer, start: Start
) -> None:
    site = Site([postgres, own_postgres], database="two_shards")
    site.prepare()
    process = start(site)
    with process.client() as client:
        answers = client.ask(
            *[place(name, BUY, 100, 1) for name in ("AAPL", "ZZZ", "BTCUSDT", "MSFT")]
        )
        assert {a[-1].code for a in answers} == {Code.OK}
    assert site.rows("SELECT symbol FROM orders ORDER BY 1", 0) == [("AAPL",), ("BTCUSDT",)]
    assert site.rows("SELECT symbol FROM orders ORDER BY 1", 1) == [("MSFT",), ("ZZZ",)]
    process.kill()
    process = start(site)
    with process.client() as client:
        assert client.status()["open_orders"] == 4
        own_postgres.kill()
        assert client.one(place("AAPL", BUY, 100, 1)).code is Code.OK
        late = place("ZZZ", BUY, 100, 1, client_id="late")
        waiting = client.send(late)
        own_postgres.start()
        code = client.wait(waiting)[0][-1].code
        if code is Code.UNKNOWN_OUTCOME:  # the server took longer than two seconds to come back
            while (code := client.one(late).code) in {Code.BUSY, Code.UNKNOWN_OUTCOME}:
                pass
            assert code is Code.DUPLICATE_SAME
        assert code in {Code.OK, Code.BUSY, Code.DUPLICATE_SAME}
    stored = site.rows("SELECT order_id FROM orders WHERE client_id = 'late'", 1)
    assert len(stored) == (0 if code is Code.BUSY else 1)


def test_sigterm_ends_it_in_order(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        client.one(place("AAPL", BUY, 100, 1))
    assert process.stop() == 0


def test_an_unknown_setting_is_named(site: Site, start: Start) -> None:
    process = start(site, ready=False, batch_size=7)
    assert process.wait_exit() == 1
    assert "TRADING_ENGINE_BATCH_SIZE: unknown setting" in process.log


def test_a_partition_that_is_not_in_the_topology_says_so(site: Site, start: Start) -> None:
    process = start(site, ready=False, partition="p9")
    assert process.wait_exit() == 1
    assert "p9" in process.log


def test_a_port_in_use_is_told_in_one_line(site: Site, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(site, ready=False, port=taken.getsockname()[1])
        assert process.wait_exit() == 1
    assert "in use" in process.log
    assert "Traceback" not in process.log
