"""A real partition process on a real PostgreSQL, in a temporary folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from trading_contract.topology import (
    Idempotency,
    PartitionAddress,
    ShardAddress,
    SlotPlacement,
    SymbolRules,
    Topology,
)
from trading_engine.prepare import prepare_shard
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer, free_port
from trading_engine.tests.integration.wire_client import WireClient

SYMBOLS = ("AAPL", "BTCUSDT", "ETHUSDT", "MSFT", "ZZZ")
PASSWORDS = {
    "postgres": PASSWORD,
    "tc_engine": "engine-password",
    "tc_reader": "reader-password",
    "tc_operator": "operator-password",
}


def rules(name: str, **others: Any) -> SymbolRules:
    """A symbol with whole ticks and lots."""
    return SymbolRules(
        name=name,
        base_asset=name[:3],
        quote_asset="USD",
        tick_size=Decimal(1),
        lot_size=Decimal(1),
        **others,
    )


class Site:
    """Topology file, secrets, and the shards they speak of."""

    def __init__(
        self,
        servers: Sequence[PostgresServer],
        redis_nodes: Sequence[str] = (),
        database: str = "trading",
    ) -> None:
        self.servers = tuple(servers)
        self.folder = Path(tempfile.mkdtemp(prefix="tc-partition-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.topology_file = self.folder / "topology.json"
        self.secrets = self.folder / "secrets"
        self.secrets.mkdir()
        for role, password in PASSWORDS.items():
            (self.secrets / role).write_text(password)
        self.port = free_port()
        bounds = ["", "M", "~"] if len(servers) > 1 else ["", "~"]
        self.topology = Topology(
            cluster="test",
            revision=1,
            symbols=tuple(rules(name) for name in SYMBOLS),
            shards=tuple(
                ShardAddress(name=f"shard-{n}", hosts=(s.address,), database=database)
                for n, s in enumerate(servers)
            ),
            partitions=(PartitionAddress(name="p0", host="127.0.0.1", port=self.port),),
            redis_nodes=tuple(redis_nodes),
            slots=tuple(
                SlotPlacement(
                    id=n + 1,
                    first=bounds[n],
                    past=bounds[n + 1],
                    partition="p0",
                    shard=f"shard-{n}",
                )
                for n in range(len(servers))
            ),
            idempotency=Idempotency(),
        )
        self.write()

    def write(self, **changes: Any) -> None:
        """Replace the topology file."""
        if changes:
            changes.setdefault("revision", self.topology.revision + 1)
            self.topology = self.topology.model_copy(update=changes)
        fresh = self.folder / "topology.new"
        fresh.write_text(self.topology.model_dump_json(by_alias=True))
        fresh.rename(self.topology_file)

    def rows(self, query: str, shard: int = 0) -> list[tuple[Any, ...]]:
        """What a shard answers to its administrator."""
        with self.servers[shard].connect(self.topology.shards[shard].database) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def prepare(self) -> None:
        """Prepare every shard."""
        for shard in self.topology.shards:
            prepare_shard(self.topology, shard.name, self.secrets)


class PartitionProcess:
    """`trading-engine run`; ends when told, or killed."""

    def __init__(self, site: Site, port: int | None = None, **settings: object) -> None:
        self.site = site
        self.port = port or site.port
        self._log = open(site.folder / f"log-{self.port}", "ab")  # noqa: SIM115 - until stop()
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TRADING_")},
            "TRADING_ENGINE_PARTITION": "p0",
            "TRADING_ENGINE_TOPOLOGY_FILE": str(site.topology_file),
            "TRADING_ENGINE_SECRETS_FOLDER": str(site.secrets),
            "TRADING_ENGINE_LISTEN_PORT": str(self.port),
            **{f"TRADING_ENGINE_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trading_engine", "run"],
            env=environment, cwd=site.folder, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.site.folder / f"log-{self.port}").read_text()

    def wait_ready(self, seconds: float = 30) -> dict[str, Any]:
        """Its status once all slots are served; raises TimeoutError with its log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"ended with {self.process.returncode}: {self.log[-3000:]}")
            try:
                with WireClient(self.port, greet=False) as client:
                    status = client.status()
            except (OSError, ConnectionError):
                status = {}
            if status.get("state") == "ready":
                return status
            time.sleep(0.05)
        raise TimeoutError(f"not ready: {self.log[-3000:]}")

    def client(self) -> WireClient:
        """A greeted connection."""
        return WireClient(self.port)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        return self._end(signal.SIGTERM)

    def wait_exit(self, seconds: float = 30) -> int:
        """Wait until it ends by itself; raises TimeoutError with its log."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"goes on: {self.log[-3000:]}") from None

    def _end(self, how: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(timeout=30)
        self._log.close()
        return status


def slots_of(status: dict[str, Any]) -> dict[int, int]:
    """slot id -> epoch."""
    return {slot["id"]: slot["epoch"] for slot in json.loads(json.dumps(status["slots"]))}
