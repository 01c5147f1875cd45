"""Traders on a cluster of their own, and the judgement of all that they were told."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from exchange import Exchange
from history.client import Answer, Client, Crowd, Plan, recorder_in
from history.laws import check, describe
from history.records import Call, read_history
from history.rows import Grid, read_shards

CLIENTS = 2


def grids_of(exchange: Exchange) -> dict[str, Grid]:
    """Steps of all symbols."""
    return {
        symbol["name"]: Grid(Decimal(symbol["tickSize"]), Decimal(symbol["lotSize"]))
        for symbol in exchange.topology()["symbols"]
    }


def crowd_of(
    exchange: Exchange, folder: Path, name: str, rate_per_second: float = 25
) -> tuple[Crowd, dict[str, int]]:
    """Traders of two accounts, and the accounts by API key."""
    grids = grids_of(exchange)
    clients, accounts = [], {}
    for number in range(CLIENTS):
        key = exchange.create_key(f"{name}-{number}")
        accounts[key.api_key] = key.account
        clients.append(
            Client(
                f"{name}{number}",
                exchange.rest,
                (key.api_key, key.secret),
                grids,
                recorder_in(folder, f"{name}-{number}"),
                Plan(rate_per_second=rate_per_second, lots_min=100_000, lots_max=200_000),
                seed=number,
            )
        )
    time.sleep(1.5)  # replicas look at the keys twice a second
    return Crowd(clients), accounts


def wait_for_acknowledgements(crowd: Crowd, more: int, seconds_max: float) -> None:
    """Until `more` further calls succeeded."""
    wanted = crowd.acknowledged + more
    deadline = time.monotonic() + seconds_max
    while crowd.acknowledged < wanted:
        if time.monotonic() > deadline:
            pytest.fail(f"trading did not go on: {crowd.counts()}")
        time.sleep(0.1)


def pace(crowd: Crowd, rate_per_second: float) -> None:
    """From now on each client makes so many calls a second."""
    for client in crowd.clients:
        client.plan = replace(client.plan, rate_per_second=rate_per_second)


def pid_of(exchange: Exchange, name: str) -> int:
    """Of a running process."""
    return next(int(p["pid"]) for p in exchange.status()["processes"] if p["name"] == name)


def judge(exchange: Exchange, folder: Path, accounts: dict[str, int]) -> None:
    """All laws over the history and the shards."""
    calls = read_history(sorted(folder.glob("*.jsonl")), accounts)
    dump = read_shards(exchange.shard_conninfos(), grids_of(exchange))
    broken = check(calls, dump)
    assert not broken, describe(broken)


def unclear_after_one_retry(folder: Path, accounts: dict[str, int]) -> list[str]:
    """Calls that were sent a second time and had no clear answer then either."""
    attempts: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in read_history(sorted(folder.glob("*.jsonl")), accounts):
        attempts[(call.operation, str(call.key))].append(call)
    found = []
    for (operation, key), calls in attempts.items():
        calls.sort(key=lambda call: call.invoked_at)
        for first, second in itertools.pairwise(calls):
            if _is_unclear(first) and _is_unclear(second):
                found.append(f"{operation} {key}: {first.code}, then {second.code}")
    return found


def _is_unclear(call: Call) -> bool:
    return Answer(call.outcome, call.code).says_try_again
