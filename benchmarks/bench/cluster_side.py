"""Our cluster as a side under test: brought up by `tradingctl`, in a home of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from bench.processes import BenchError, children_of, cpu_seconds, resident_megabytes, wait_until

TRADINGCTL = Path(sys.executable).parent / "tradingctl"
KEYS = 2
LETTERS = "ABCDEFGHIJKL"  # sorted first, so that the symbols of every run lie in all slots


def symbols_for(purpose: str) -> list[str]:
    """The symbols of one purpose, such as `REST`: one below each letter."""
    return [f"{letter}{purpose}USDT" for letter in LETTERS]


@dataclass(frozen=True)
class Shape:
    """How many of each there are."""

    shards: int = 1
    partitions: int = 1
    replicas: int = 1

    def __str__(self) -> str:
        def several(count: int, word: str) -> str:
            return f"{count} {word}" + ("s" if count > 1 else "")

        return f"{several(self.shards, 'shard')}, {several(self.partitions, 'partition')}"


class ClusterSide:
    """One cluster. Its data is removed by `remove()`."""

    def __init__(
        self, shape: Shape, purposes: Sequence[str], name: str = "bench",
        more: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """`more` are further fields of the specification, by tier or policy."""
        self.name = name
        self.more = more or {}
        self.shape = shape
        self.home = Path(tempfile.mkdtemp(prefix="tc-bench-", dir="/var/tmp"))
        self.home.chmod(0o755)  # PostgreSQL and Redis run as another user below it
        self.symbols = [symbol for purpose in purposes for symbol in symbols_for(purpose)]
        self.keys_file = self.home / "driver-keys"
        self.url = ""
        self.accounts: dict[str, int] = {}  # by API key
        self._key = ("", "")

    def up(self) -> float:
        """Bring it up; returns the seconds until Ready."""
        begun = time.monotonic()
        self._ctl("up", "-f", str(self._write_spec(self.shape)))
        seconds = time.monotonic() - begun
        self.url = str(self.status()["endpoints"]["rest"])
        if not self.keys_file.exists():
            self._make_keys()
        return seconds

    def scale(self, replicas: int) -> None:
        """Another number of replicas; returns when they serve."""
        self.shape = Shape(self.shape.shards, self.shape.partitions, replicas)
        self._ctl("apply", "--wait", "-f", str(self._write_spec(self.shape)))
        self._wait_for_keys()

    def remove(self) -> None:
        """Stop everything and remove all data."""
        try:
            self._ctl("down", "--purge", "--yes", "--name", self.name)
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def status(self) -> dict[str, Any]:
        """`tradingctl status -o json`."""
        status: dict[str, Any] = json.loads(self._ctl("status", "--name", self.name, "-o", "json"))
        return status

    def pids(self, role: str) -> dict[str, int]:
        """Name -> pid of the processes of a role."""
        return {p["name"]: p["pid"] for p in self.status()["processes"] if p["role"] == role}

    def count(self, symbols: Sequence[str]) -> int:
        """Orders of these symbols in all shards, open and ended, each counted once."""
        query = """
          SELECT count(*) FROM (SELECT symbol, order_id FROM open_orders WHERE symbol = ANY(%(s)s)
          UNION SELECT symbol, order_id FROM closed_orders WHERE symbol = ANY(%(s)s)) o"""
        return self._sum(query, symbols)

    def count_trades(self, symbols: Sequence[str]) -> int:
        """Trades of these symbols in all shards."""
        return self._sum("SELECT count(*) FROM trades WHERE symbol = ANY(%(s)s)", symbols)

    def settle(self) -> None:
        """A checkpoint on every shard, so that the next run does not pay for this one."""
        for conninfo in self.conninfos():
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute("CHECKPOINT")

    def cpu_seconds_by_process(self) -> dict[str, float]:
        """CPU time so far of each process with its children, PostgreSQL's backends among them."""
        processes = {p["pid"]: p["name"] for p in self.status()["processes"] if p["pid"]}
        families = children_of(processes)
        used: dict[str, float] = defaultdict(float)
        for pid, name in processes.items():
            others = set(processes) - {pid}
            used[name] += sum(cpu_seconds(member) for member in set(families[pid]) - others)
        return dict(used)

    def resident_megabytes(self, role: str) -> float:
        """Private memory of all processes of a role."""
        return sum(resident_megabytes(pid) for pid in self.pids(role).values())

    def kill(self, role: str) -> int:
        """SIGKILL one process of a role; returns its pid."""
        pid = next(iter(self.pids(role).values()))
        os.kill(pid, signal.SIGKILL)
        return pid

    def place_one(self, symbol: str, client_id: str, timeout_seconds: float = 10) -> bool:
        """One order; whether it was acknowledged."""
        text = (
            f"symbol={symbol}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=90"
            f"&newClientOrderId={client_id}&newOrderRespType=ACK"
            f"&timestamp={time.time_ns() // 1_000_000}"
        )
        return self._request("POST", f"{self.url}/api/v3/order", text, timeout_seconds) == 200

    def _write_spec(self, shape: Shape) -> Path:
        manifest: dict[str, Any] = {
            "apiVersion": "hft.trading/v1alpha1",
            "kind": "TradingCluster",
            "metadata": {"name": self.name},
            "spec": {
                # One account trades with itself here: prevention would end what should trade.
                "symbols": [
                    {
                        "name": s,
                        "tickSize": "0.01",
                        "lotSize": "0.0001",
                        "selfTradePrevention": "NONE",
                    }
                    for s in self.symbols
                ],
                "backends": {"replicas": shape.replicas},
                "partitions": {"count": shape.partitions},
                "shards": {"count": shape.shards},
                "redis": {"masters": 3},
            },
        }
        spec: dict[str, Any] = manifest["spec"]
        for field, inner in self.more.items():
            spec[field] = {**spec.get(field, {}), **inner}
        path = self.home / "cluster.yaml"
        path.write_text(json.dumps(manifest))  # JSON is YAML without aliases
        return path

    def _ctl(self, *arguments: str) -> str:
        done = subprocess.run(
            [TRADINGCTL, *arguments],
            env={**os.environ, "TRADINGCTL_HOME": str(self.home)},
            capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(
                f"tradingctl {' '.join(arguments)} -> {done.returncode}: {done.stdout[-2000:]}"
                f" {done.stderr[-2000:]}"
            )
        return done.stdout

    def _make_keys(self) -> None:
        lines = []
        for number in range(KEYS):
            made = json.loads(
                self._ctl("keys", "create", f"driver-{number}", "--name", self.name,
                          "--scopes", "read,trade", "-o", "json")
            )  # fmt: skip
            self.accounts[made["apiKey"]] = made["account"]
            lines.append(f"{made['apiKey']} {made['secret']}\n")
            self._key = (made["apiKey"], made["secret"])
        self.keys_file.touch(0o600)
        self.keys_file.write_text("".join(lines))
        self._wait_for_keys()

    def _wait_for_keys(self) -> None:
        """Until every replica knows the newest key."""
        for process in self.status()["processes"]:
            if process["role"] == "replica":
                known = partial(self._knows_key, f"http://127.0.0.1:{process['port']}")
                wait_until(known, "replicas know the keys", 30)

    def _knows_key(self, url: str) -> bool:
        text = f"symbol={self.symbols[0]}&timestamp={time.time_ns() // 1_000_000}"
        return self._request("GET", f"{url}/api/v3/openOrders", text, 5) == 200

    def _request(self, method: str, url: str, text: str, timeout_seconds: float) -> int:
        """Status of one signed request; 0 without an answer."""
        key, secret = self._key
        text += "&signature=" + hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            url if method == "POST" else f"{url}?{text}",
            data=text.encode() if method == "POST" else None,
            headers={"X-MBX-APIKEY": key, "Content-Type": "application/x-www-form-urlencoded"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def conninfos(self) -> list[str]:
        """libpq strings of all shards that there are now, as their administrator."""
        root = self.home / self.name
        topology = json.loads((root / "topology.json").read_text())
        password = (root / "secrets" / "postgres").read_text().strip()
        return [
            f"host={host.rsplit(':', 1)[0]} port={host.rsplit(':', 1)[1]} user=postgres"
            f" password={password} dbname={shard.get('database', 'trading')}"
            for shard in topology["shards"]
            for host in shard["hosts"][:1]
        ]

    def _sum(self, query: str, symbols: Sequence[str]) -> int:
        total = 0
        for conninfo in self.conninfos():
            with psycopg.connect(conninfo, autocommit=True) as connection:
                row = connection.execute(query, {"s": list(symbols)}).fetchone()
                assert row is not None
                total += int(row[0])
        return total
