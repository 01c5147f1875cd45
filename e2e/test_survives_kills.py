"""kill -9 of every process in turn while clients trade.

Nothing acknowledged is lost, nothing is doubled, and the cluster is Ready again by itself:
judged from the clients' own records against the shards.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from exchange import Exchange
from history.records import read_history
from judged import crowd_of, judge, pid_of, wait_for_acknowledgements

VICTIMS = (
    "replica-0", "partition-0", "shard-0", "redis-0", "load-balancer", "supervisor", "guardian",
    "partition-1", "shard-1",
)  # fmt: skip


def test_killing_each_process_loses_and_doubles_nothing(
    own_exchange: Exchange, tmp_path: Path
) -> None:
    crowd, accounts = crowd_of(own_exchange, tmp_path, "k")
    with crowd:
        wait_for_acknowledgements(crowd, 50, 30)
        for victim in VICTIMS:
            before = pid_of(own_exchange, victim)
            os.kill(before, signal.SIGKILL)
            wait_for_acknowledgements(crowd, 20, 60)
            deadline = time.monotonic() + 60
            while True:
                status = own_exchange.status()
                alive = [p for p in status["processes"] if p["name"] == victim and p["pid"]]
                if alive and alive[0]["pid"] != before and own_exchange.is_ready():
                    break
                assert time.monotonic() < deadline, f"{victim} did not come back: {status}"
                time.sleep(0.3)
            wait_for_acknowledgements(crowd, 20, 30)
    assert crowd.counts().get("place ok", 0) > 200, crowd.counts()
    judge(own_exchange, tmp_path, accounts)


def test_emptying_redis_while_trading_loses_nothing_and_heals(
    own_exchange: Exchange, tmp_path: Path
) -> None:
    crowd, accounts = crowd_of(own_exchange, tmp_path, "f")
    with crowd:
        wait_for_acknowledgements(crowd, 30, 30)
        own_exchange.empty_redis()
        wait_for_acknowledgements(crowd, 60, 30)
    assert not any(k.startswith("place unknown") for k in crowd.counts()), crowd.counts()
    deadline = time.monotonic() + 10
    stored = 0
    while stored < len(own_exchange.topology()["symbols"]):
        assert time.monotonic() < deadline, "snapshots did not come back"
        stored = 0
        for node in own_exchange.redis_nodes():
            stored += int(node.dbsize())
            node.close()
        time.sleep(0.2)
    # This test's clients only: their names are part of every client order id.
    calls = read_history(sorted(tmp_path.glob("*.jsonl")), accounts)
    assert calls
