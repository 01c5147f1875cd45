"""A cluster of real shards, Redis nodes and a load balancer in a temporary folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from trading_contract.manifest import parse_cluster
from trading_contract.status import ClusterStatus
from trading_operator.cli.status import is_ready
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.proc import ProcessTable
from trading_operator.substrates.processes.store import DOWN, UP, Store
from trading_operator.supervision import supervise
from trading_operator.tests.stubs import programs

WAIT_SECONDS_MAX = 90.0


class Running:
    """One cluster whose supervisor is a child process of the test."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.store = Store(layout)
        self.supervisor = 0

    def apply(self, **spec: object) -> int:
        """Store a specification; returns its generation."""
        document = {
            "apiVersion": "hft.trading/v1alpha1",
            "kind": "TradingCluster",
            "metadata": {"name": "tested"},
            "spec": {"symbols": [{"name": "BTCUSDT"}, {"name": "ETHUSDT"}], **spec},
        }
        return self.store.replace(parse_cluster(document)).metadata.generation

    def start(self) -> None:
        """Start a supervisor with stub programs in a process of its own."""
        self.store.set_wish(UP)
        self.supervisor = os.fork()
        if self.supervisor == 0:
            try:
                asyncio.run(supervise(self.layout, is_foreground=True, programs=programs()))
            finally:
                os._exit(0)

    def kill_supervisor(self) -> None:
        """SIGKILL it."""
        os.kill(self.supervisor, signal.SIGKILL)
        os.waitpid(self.supervisor, 0)

    def pids(self) -> dict[str, int]:
        """Running components, read from /proc."""
        return {name: seen.pid for name, seen in ProcessTable(self.layout.uid).look().items()}

    def wait(self, what: str, holds: Callable[[ClusterStatus], bool]) -> ClusterStatus:
        """The first status for which it holds."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        status: ClusterStatus | None = None
        while time.monotonic() < deadline:
            status = self.store.status()
            if status is not None and holds(status):
                return status
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come: {status}")

    def wait_ready(self, generation: int = 1) -> ClusterStatus:
        """Wait until Ready for that generation, with every listed process alive."""
        return self.wait("Ready", lambda told: is_ready(told, generation) and self._lives(told))

    def wait_for_another(self, name: str, before: int) -> None:
        """Wait until a component runs under another process id."""
        self.wait(f"another {name}", lambda _: self.pids().get(name, 0) not in (0, before))

    def _lives(self, status: ClusterStatus) -> bool:
        pids = self.pids()
        return all(pids.get(each.name) == each.pid for each in status.processes)

    def stop(self) -> None:
        """An ordered stop of everything."""
        self.store.set_wish(DOWN)
        os.waitpid(self.supervisor, 0)


@pytest.fixture
def running() -> Iterator[Running]:
    """A fresh data folder; whatever still runs at the end is ended by its id."""
    if not shutil.which("redis-server"):
        pytest.skip("needs the packages postgresql and redis-server")
    folder = Path(tempfile.mkdtemp(prefix="tc-operator-", dir="/var/tmp"))
    folder.chmod(0o755)
    layout = Layout(folder / "cluster")
    layout.make()
    cluster = Running(layout)
    cluster.store.make_secrets()
    try:
        yield cluster
    finally:
        if cluster.supervisor:  # kill(0) would mean all of us
            with suppress(OSError):
                cluster.kill_supervisor()
        for seen in ProcessTable(layout.uid).look().values():
            with suppress(OSError):
                os.kill(seen.pid, signal.SIGQUIT if seen.role == "shard" else signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
