"""A running cluster as its user sees it: `tradingctl` and the two endpoints, nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from redis import Redis

TRADINGCTL = str(Path(sys.executable).parent / "tradingctl")
SPEC = Path(__file__).parent / "clusters" / "small.yaml"


@dataclass(frozen=True)
class Key:
    """An API key with its secret."""

    api_key: str
    secret: str
    account: int


class Exchange:
    """One cluster in a home folder of its own; every call goes through the public faces."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        self.name = name

    def ctl(self, *arguments: str, timeout_seconds: float = 240) -> str:
        """Run tradingctl; returns stdout, raises with both streams when it fails."""
        done = subprocess.run(
            [TRADINGCTL, *arguments],
            env={**os.environ, "TRADINGCTL_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise AssertionError(
                f"tradingctl {' '.join(arguments)} -> {done.returncode}\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def status(self) -> dict[str, Any]:
        """`tradingctl status -o json`."""
        status: dict[str, Any] = json.loads(self.ctl("status", "-o", "json"))
        return status

    @property
    def rest(self) -> str:
        """Base URL without /api/v3."""
        return str(self.status()["endpoints"]["rest"])

    def is_ready(self) -> bool:
        """Whether the Ready condition is True."""
        return any(
            c["type"] == "Ready" and c["status"] == "True" for c in self.status()["conditions"]
        )

    def wait_ready(self, timeout_seconds: float = 90) -> float:
        """Seconds until Ready; raises with the last status when it takes too long."""
        begun = time.monotonic()
        while time.monotonic() - begun < timeout_seconds:
            if self.is_ready():
                return time.monotonic() - begun
            time.sleep(0.3)
        raise AssertionError(f"not Ready after {timeout_seconds} s: {self.status()}")

    def topology(self) -> dict[str, Any]:
        """The operator's file, for looking at the shards from behind."""
        found: dict[str, Any] = json.loads((self.home / self.name / "topology.json").read_text())
        return found

    def empty_redis(self) -> None:
        """FLUSHALL on every node."""
        for node in self.redis_nodes():
            node.flushall()
            node.close()

    def redis_nodes(self) -> list[Redis]:
        """A client per node; close them."""
        hosts = [node.rsplit(":", 1) for node in self.topology()["redisNodes"]]
        return [Redis(host=host, port=int(port)) for host, port in hosts]

    def shard_conninfos(self) -> list[str]:
        """libpq strings of all shards, as their administrator: for checks only."""
        password = (self.home / self.name / "secrets" / "postgres").read_text().strip()
        strings = []
        for shard in self.topology()["shards"]:
            host, port = shard["hosts"][0].rsplit(":", 1)
            strings.append(
                f"host={host} port={port} dbname=trading user=postgres password={password}"
            )
        return strings

    def create_key(self, name: str, scopes: str = "read,trade") -> Key:
        """A new API key with an account of its own."""
        made = json.loads(self.ctl("keys", "create", name, "--scopes", scopes, "-o", "json"))
        return Key(made["apiKey"], made["secret"], made["account"])


@contextmanager
def brought_up(name: str, spec: Path) -> Iterator[Exchange]:
    """A cluster of its own from this file, Ready; all of it is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="tc-e2e-", dir="/var/tmp"))
    home.chmod(0o755)  # PostgreSQL runs as another user below it
    running = Exchange(home, name)
    try:
        running.ctl("up", "-f", str(spec))
        yield running
    finally:
        running.ctl("down", "--purge", "--yes")
        shutil.rmtree(home, ignore_errors=True)


class Trader:
    """A plain signed client of /api/v3."""

    def __init__(self, rest: str, key: Key) -> None:
        self.key = key
        self.http = httpx.Client(base_url=rest, timeout=10)

    def signed(self, method: str, path: str, **params: object) -> httpx.Response:
        """One signed request; parameters go into the query, for POST and PUT into the form body."""
        params.setdefault("timestamp", time.time_ns() // 1_000_000)
        text = urlencode(params)
        signature = hmac.new(self.key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        text += f"&signature={signature}"
        headers = {"X-MBX-APIKEY": self.key.api_key}
        if method in ("POST", "PUT"):
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return self.http.request(method, f"/api/v3/{path}", content=text, headers=headers)
        return self.http.request(method, f"/api/v3/{path}?{text}", headers=headers)

    def place(self, symbol: str, side: str, quantity: str, price: str, **more: object) -> Any:
        """A limit order, good till cancelled; the JSON of a 200, an AssertionError otherwise."""
        answer = self.signed(
            "POST",
            "order",
            symbol=symbol,
            side=side,
            type="LIMIT",
            timeInForce="GTC",
            quantity=quantity,
            price=price,
            **more,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()
