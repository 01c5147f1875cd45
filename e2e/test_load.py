"""A running exchange tells what its parts have to do, and clients do not see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from exchange import Exchange, Trader
from trading_contract.load import ReplicaLoad

SECONDS_MAX = 60.0
TIERS = ("backends", "partitions", "shards", "redis")


def load_of(exchange: Exchange, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first load in `tradingctl status -o json` for which it holds."""
    deadline = time.monotonic() + SECONDS_MAX
    load: dict[str, Any] | None = None
    while time.monotonic() < deadline:
        load = exchange.status().get("load")
        if load is not None and holds(load):
            return load
        time.sleep(0.5)
    raise AssertionError(f"it did not come: {load}")


def all_known(load: dict[str, Any]) -> bool:
    """Every part has figures."""
    return all(load[tier] and not any(part["unknown"] for part in load[tier]) for tier in TIERS)


def test_every_part_tells_its_load_and_orders_show_in_it(
    exchange: Exchange, trader: Trader
) -> None:
    load = load_of(exchange, all_known)
    topology = exchange.topology()
    for tier in ("partitions", "shards"):
        assert {part["name"] for part in load[tier]} == {each["name"] for each in topology[tier]}
    assert len(load["redis"]) == len(topology["redisNodes"])
    assert all(part["diskUsedPercent"] >= 0 for part in load["shards"])
    assert all(part["memoryMaxBytes"] > 0 for part in load["redis"])
    symbol = topology["symbols"][0]["name"]

    def shows(found: dict[str, Any]) -> bool:
        for number in range(40):
            name = f"load-{number}-{time.time_ns()}"
            trader.place(symbol, "BUY", "10", "1", newClientOrderId=name)
        slots = [slot for slot in found["slots"] if symbol in slot["hottest"]]
        end_to_end = found.get("endToEnd") or {}
        return bool(slots) and end_to_end.get("ordersPerSecond", 0) > 0

    shown = load_of(exchange, shows)
    assert shown["endToEnd"]["latencyP99Microseconds"] > 0
    (slot,) = [slot for slot in shown["slots"] if symbol in slot["hottest"]]
    assert slot["openOrders"] > 0
    assert any(part.get("commitP99Microseconds") for part in shown["shards"])


def test_a_replica_tells_it_at_its_own_port_and_the_load_balancer_does_not(
    exchange: Exchange,
) -> None:
    status = exchange.status()
    ports = [each["port"] for each in status["processes"] if each["role"] == "replica"]
    for port in ports:
        load = ReplicaLoad.model_validate(httpx.get(f"http://127.0.0.1:{port}/load").json())
        assert load.cpu_seconds_total > 0
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert f'trading_replica_requests_total{{replica="{load.replica}"}}' in text
    for path in ("/load", "/metrics", "/%6coad", "/load?x=1"):
        answer = httpx.get(f"{exchange.rest}{path}")
        assert (answer.status_code, answer.json()["msg"]) == (404, "No such route."), path
