"""A partition on a real PostgreSQL tells its load: over the wire, as JSON, and to Prometheus."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trading_contract.load import PartitionLoad
from trading_contract.wire import STATUS_OF_LOAD, FrameType, Side, frame
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import free_port
from trading_engine.tests.integration.wire_client import WireClient, cancel, place

Start = Callable[..., PartitionProcess]


def load_over_wire(client: WireClient) -> PartitionLoad:
    """The answer to a STATUS that asks for the load."""
    client.socket.sendall(frame(FrameType.STATUS, STATUS_OF_LOAD))
    return PartitionLoad.model_validate_json(client.frame_of(FrameType.STATUS))


def get(port: int, path: str) -> bytes:
    """The body of a GET that succeeds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        assert answer.status == 200
        body: bytes = answer.read()
        return body


def trade(client: WireClient) -> None:
    """Two orders on BTCUSDT that trade, one that rests, one that goes, and one on AAPL."""
    client.one(place("BTCUSDT", Side.BUY, 100, 1))
    client.one(place("BTCUSDT", Side.SELL, 100, 1, account=2))
    client.one(place("BTCUSDT", Side.BUY, 90, 1))
    gone = client.one(place("BTCUSDT", Side.BUY, 80, 1))
    client.one(cancel("BTCUSDT", gone.order_id))
    client.one(place("AAPL", Side.BUY, 90, 1))


def test_what_was_done_is_told_in_three_tongues(site: Site, start: Start) -> None:
    port = free_port()
    with start(site, health_port=port).client() as client:
        before = load_over_wire(client)
        trade(client)
        after = load_over_wire(client)
        assert client.status()["state"] == "ready"  # a plain question has its plain answer
    (slot,) = after.slots
    assert (slot.id, slot.first, slot.past) == (1, "", "~")
    assert (slot.commands_total, slot.orders_total, slot.trades_total) == (6, 5, 1)
    assert slot.open_orders == after.open_orders == 2
    assert slot.busy_seconds_total > before.slots[0].busy_seconds_total
    busy = {hot.name: hot.busy_seconds_total for hot in slot.hottest}
    assert set(busy) == {"BTCUSDT", "AAPL"}
    assert busy["BTCUSDT"] > busy["AAPL"] > 0
    (commits,) = after.commits
    assert (commits.shard, commits.commands_total, commits.commands_queued) == ("shard-0", 6, 0)
    assert sum(commits.commit.counts) == commits.batches_total == 6
    assert commits.commit.sum_seconds > 0
    assert commits.commit.recent_milliseconds(0.99) is not None
    assert sum(commits.wait.counts) == 6
    assert after.cpu_seconds_total > before.cpu_seconds_total > 0
    assert (after.memory_bytes or 0) > 1 << 20
    as_json = PartitionLoad.model_validate_json(get(port, "/load"))
    assert as_json.incarnation == after.incarnation
    assert as_json.slots == after.slots
    families = {
        each.name: each for each in text_string_to_metric_families(get(port, "/metrics").decode())
    }
    (orders,) = families["trading_slot_orders"].samples
    assert (orders.name, orders.labels, orders.value) == (
        "trading_slot_orders_total", {"partition": "p0", "slot": "1"}, 5,
    )  # fmt: skip
    commit = families["trading_partition_commit_seconds"].samples
    assert [each.value for each in commit if each.name.endswith("_count")] == [6]


def test_what_is_refused_is_counted_and_a_new_process_begins_anew(site: Site, start: Start) -> None:
    process = start(site)
    with process.client() as client:
        trade(client)
        client.one(place("NOSUCH", Side.BUY, 1, 1))
        first = load_over_wire(client)
    assert first.refusals_total == 1
    process.kill()
    with start(site).client() as client:
        second = load_over_wire(client)
    assert second.incarnation != first.incarnation
    assert (second.commands_total, second.slots[0].commands_total) == (0, 0)
    assert second.slots[0].open_orders == 2  # that is of the book, not of the process


def test_an_unknown_path_is_told_what_there_is(site: Site, start: Start) -> None:
    port = free_port()
    start(site, health_port=port)
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(port, "/nothing")
    assert refused.value.code == 404
    assert "/metrics" in json.loads(refused.value.read())["error"]
