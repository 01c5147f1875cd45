"""What the operator was asked for: edits are applied, data survives, bad files are refused."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from exchange import SPEC, Exchange, Key, Trader


def edited(folder: Path, **changes: object) -> str:
    """The small cluster's file with other parts of its spec."""
    document = yaml.safe_load(SPEC.read_text())
    document["spec"] |= changes
    path = folder / "edited.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_status_shows_the_fixed_faces(exchange: Exchange) -> None:
    status = exchange.status()
    assert status["phase"] == "Running"
    assert {"name", "role", "pid", "port", "state"} <= set(status["processes"][0])
    assert {"first", "past", "partition", "shard", "epoch"} <= set(status["slots"][0])
    assert status["endpoints"]["rest"].startswith("http://")
    assert status["endpoints"]["websocket"].startswith("ws://")


def test_replicas_and_empty_partitions_come_and_go_with_the_file(
    exchange: Exchange, trader: Trader, tmp_path: Path
) -> None:
    more = edited(tmp_path, backends={"replicas": 3}, partitions={"count": 3})
    assert "replica-2" in exchange.ctl("plan", "-f", more)
    exchange.ctl("apply", "-f", more)
    exchange.wait_ready()
    names = {p["name"] for p in exchange.status()["processes"]}
    assert {"replica-2", "partition-2"} <= names
    trader.place("BTCUSDT", "BUY", "0.001", "30000.00")
    exchange.ctl("apply", "-f", str(SPEC))
    exchange.wait_ready()
    names = {p["name"] for p in exchange.status()["processes"] if p["pid"]}
    assert not {"replica-2", "partition-2"} & names
    trader.signed("DELETE", "openOrders", symbol="BTCUSDT")


def test_no_client_notices_that_replicas_come_and_go(
    exchange: Exchange, key: Key, tmp_path: Path
) -> None:
    """Each keeps its one connection, and no order fails, from two replicas to four and to one."""
    ended = threading.Event()

    def trade(number: int) -> tuple[int, int]:
        trader = Trader(exchange.rest, key)
        with trader.http:
            placed, ports = 0, set()
            while not ended.is_set():
                mine = f"come-and-go-{number}-{placed}"
                answer = trader.signed(
                    "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT_MAKER",
                    quantity="0.001", price="30000.00", newClientOrderId=mine,
                )  # fmt: skip
                assert answer.status_code == 200, answer.text
                ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
                trader.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId=mine)
                placed += 1
            return placed, len(ports)

    with ThreadPoolExecutor(8) as threads:
        trades = [threads.submit(trade, number) for number in range(8)]
        try:
            for count in (4, 1, 2):
                file = edited(tmp_path, backends={"replicas": count})
                exchange.ctl("apply", "--wait", "-f", file)
                time.sleep(2)
        finally:
            ended.set()
        told = [each.result() for each in trades]
    assert all(placed for placed, _ in told)
    assert {ports for _, ports in told} == {1}
    exchange.ctl("apply", "--wait", "-f", str(SPEC))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backends": {"replicas": 0}}, "spec.backends.replicas"),
        ({"colour": "red"}, "spec.colour"),
        ({"shards": {"count": 2, "members": 3}}, "members"),
        ({"symbols": []}, "spec.symbols"),
        ({"redis": {"masters": 2}}, "spec.redis.masters"),
    ],
)
def test_a_bad_file_is_refused_by_name(
    exchange: Exchange, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        exchange.ctl("apply", "-f", edited(tmp_path, **changes))
    assert exchange.is_ready()


def test_orders_survive_down_and_up(exchange: Exchange, trader: Trader) -> None:
    placed = trader.place("XRPUSDT", "BUY", "100.0", "0.4000")
    exchange.ctl("down")
    exchange.ctl("up", "-f", str(SPEC))
    again = Trader(exchange.rest, trader.key)
    found = again.signed("GET", "order", symbol="XRPUSDT", orderId=placed["orderId"]).json()
    assert found["status"] == "NEW"
    assert found["clientOrderId"] == placed["clientOrderId"]
    again.signed("DELETE", "openOrders", symbol="XRPUSDT")
    again.http.close()


def test_processes_run_under_an_ordinary_user(exchange: Exchange) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: everything runs as this user anyway")
    for process in exchange.status()["processes"]:
        if process["role"] in ("shard", "redis"):
            owner = subprocess.run(
                ["ps", "-o", "uid=", "-p", str(process["pid"])],
                capture_output=True, text=True, check=True,
            ).stdout.strip()  # fmt: skip
            assert owner != "0", process
