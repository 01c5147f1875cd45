"""Patroni hands over a shard's primary while a symbol leaves or enters that shard, under orders."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from moving_cluster import FINISHED, MOVE_SECONDS_MAX, Moving, moving_cluster, sized, symbols_named
from node_exchange import NodeExchange

from exchange import Trader
from judged import wait_for_acknowledgements
from operator_process import Kubectl, until
from trading_operator.planner.kubernetes.seen import MemberSeen
from trading_operator.probes.patroni import PORT, parse_member
from trading_operator.probes.patroni_commands import USER

pytestmark = [pytest.mark.kubernetes, pytest.mark.long]
MEMBERS = 3
# What moves, which side's primary is handed over, and how long after the move is told to be under
# way. Each range moves once: whatever a shard lately had is there still, and copied no more.
ROUNDS = (
    ("A..B", "source", 0.0), ("C..D", "target", 0.0),
    ("B..C", "source", 1.0), ("D..E", "target", 1.0),
)  # fmt: skip
# Who judges replays each symbol's orders in a time that grows with the square of them.
SYMBOLS = [f"{letter}{number:02}USDT" for letter in "ABCD" for number in range(10)]
RESTING, BATCH = 1500, 100  # orders of each symbol
SWITCH_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def moving(
    operator: Kubectl, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moving]:
    """Ready, with two shards of three members that own half of the symbols each."""
    folder = tmp_path_factory.mktemp("switchovers")
    fields = {**sized(2, 2, MEMBERS), "symbols": symbols_named(SYMBOLS)}
    with moving_cluster(operator, request, folder, **fields) as made:
        yield made


class Patroni:
    """The members of one shard, as they say themselves."""

    def __init__(self, exchange: NodeExchange, shard: str) -> None:
        secret = exchange.kubectl.get("secret", exchange.namespace, f"{exchange.name}-credentials")
        password = base64.b64decode(secret["data"]["patroni"]).decode()
        self._hosts = {
            pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in exchange.pods("shard")
            if pod["metadata"]["labels"]["hft.trading/component"] == shard
        }
        self._http = httpx.Client(auth=(USER, password), timeout=SWITCH_SECONDS_MAX)

    def leader(self) -> str:
        """The primary's name; empty while there is none."""
        return next((each.name for each in self._members() if each.is_leader), "")

    def has_a_successor(self) -> bool:
        """Whether a standby has all that was acknowledged: only such a one may be the next."""
        return any(each.is_synchronous for each in self._members())

    def switch_over(self) -> None:
        """To a standby; returns when Patroni says that it is done."""
        before = self.leader()
        url = f"http://{self._hosts[before]}:{PORT}/switchover"
        answer = self._http.post(url, json={"leader": before})
        assert answer.status_code == 200, answer.text
        until(
            lambda: self.leader() not in ("", before), "another one is the primary",
            SWITCH_SECONDS_MAX,
        )  # fmt: skip

    def close(self) -> None:
        """No more questions."""
        self._http.close()

    def _members(self) -> Iterator[MemberSeen]:
        for name, host in self._hosts.items():
            yield parse_member(name, self._http.get(f"http://{host}:{PORT}/patroni").json())


def test_a_shard_move_ends_by_itself_though_the_primary_is_handed_over_meanwhile(
    moving: Moving, times: dict[str, Any]
) -> None:
    _rest(moving)
    crowd = moving.traders("p")
    outlived = set()
    with crowd:
        wait_for_acknowledgements(crowd, 50, 60)
        for symbols, side, delay_seconds in ROUNDS:
            first = next(each for each in SYMBOLS if each.startswith(symbols[0]))
            home = moving.owners("shard")[first]
            other = "shard-1" if home == "shard-0" else "shard-0"
            patroni = Patroni(moving.exchange, home if side == "source" else other)
            until(patroni.has_a_successor, "a standby may be the next", 60)
            begun, name = time.monotonic(), symbols[0].lower()
            moving.move(name, symbols, other)
            until(lambda name=name: moving.state_of(name) == "Moving", f"{name} is begun", 60)
            time.sleep(delay_seconds)
            patroni.switch_over()
            patroni.close()
            if moving.state_of(name) not in FINISHED:
                outlived.add(side)
            until(
                lambda name=name: moving.state_of(name) in FINISHED, f"{name} is over",
                MOVE_SECONDS_MAX,
            )  # fmt: skip
            told = moving.told_of(name)
            times[f"switchover_of_{side}_{delay_seconds}"] = {
                "seconds": round(time.monotonic() - begun, 1), "state": told["state"],
                "attempts": told["attempts"],
            }  # fmt: skip
            wanted = other if told["state"] == "Done" else home
            until(
                lambda wanted=wanted, first=first: moving.owners("shard")[first] == wanted,
                f"the topology says so: {told}", 60,
            )  # fmt: skip
            wait_for_acknowledgements(crowd, 50, 60)
            moving.exchange.wait_ready(120)
    assert outlived == {"source", "target"}  # these were under way before it and after it
    moving.judge()


def _rest(moving: Moving) -> None:
    """Many orders of somebody else, far below all others: a copy takes seconds."""
    key = moving.exchange.create_key("resting")
    until(lambda: moving.exchange.knows(key.api_key), "the key is there", 120)
    trader = Trader(moving.exchange.rest, key)
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "10", "price": "1"}
    with trader.http:
        for symbol in SYMBOLS:
            batch = json.dumps([{**order, "symbol": symbol}] * BATCH)
            for _ in range(RESTING // BATCH):
                answer = trader.signed("POST", "batchOrders", batchOrders=batch)
                assert all("orderId" in each for each in answer.json()), answer.text[:500]
