"""A throw-away Redis Cluster of three masters."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from trading_contract.hash_slots import HASH_SLOTS, hash_slot, owners_of
from trading_engine.tests.integration.postgres_server import free_port

MASTERS = 3


def redis_binary() -> str | None:
    """Where redis-server is; None: not installed."""
    return shutil.which("redis-server")


class RedisCluster:
    """Three nodes; each may be killed and started again."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tc-redis-"))
        self.ports = [free_port() for _ in range(MASTERS)]
        self._bus_ports = {port: free_port() for port in self.ports}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def _make(self) -> None:
        for port in self.ports:
            self.start(port)
        share = HASH_SLOTS // MASTERS + 1
        for number, port in enumerate(self.ports):
            first, past = number * share, min((number + 1) * share, HASH_SLOTS)
            self._ask(port, "CLUSTER", "ADDSLOTSRANGE", first, past - 1)
            bus_port = self._bus_ports[self.ports[0]]
            self._ask(port, "CLUSTER", "MEET", "127.0.0.1", self.ports[0], bus_port)
        self.wait_whole()

    @property
    def nodes(self) -> list[str]:
        """host:port of each."""
        return [f"127.0.0.1:{port}" for port in self.ports]

    def start(self, port: int) -> None:
        """Start one node and wait until it answers."""
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        self._processes[port] = subprocess.Popen(
            [
                str(redis_binary()), "--port", str(port), "--bind", "127.0.0.1",
                "--cluster-port", str(self._bus_ports[port]), "--cluster-enabled", "yes",
                "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no",
                "--save", "", "--appendonly", "no", "--dir", str(folder),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _until(lambda: bool(self._ask(port, "PING")))

    def kill(self, port: int) -> None:
        """kill -9 one node."""
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def wait_whole(self) -> None:
        """Wait until all nodes agree that all hash slots are served."""
        _until(
            lambda: all(
                b"cluster_state:ok" in self._ask(port, "CLUSTER", "INFO")
                and b"cluster_known_nodes:%d" % MASTERS in self._ask(port, "CLUSTER", "INFO")
                and None not in self.owners(port)
                for port in self.ports
            )
        )

    def owners(self, port: int) -> list[tuple[str, int] | None]:
        """The master of each hash slot as one node knows it."""
        return owners_of(self._ask(port, "CLUSTER", "SLOTS"), "127.0.0.1")

    def port_of(self, key: str) -> int:
        """Which node holds a key."""
        owner = self.owners(self.ports[0])[hash_slot(key)]
        assert owner is not None
        return owner[1]

    def client(self, key: str) -> redis.Redis:
        """A client of the node that holds the key."""
        return redis.Redis(port=self.port_of(key), socket_timeout=10)

    def _ask(self, port: int, *words: object) -> Any:
        # The raw answers: the client would turn them into dictionaries of its own.
        make: Any = redis.Connection
        connection = make(port=port, socket_timeout=5)
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            connection.disconnect()

    def remove(self) -> None:
        """End all nodes and delete their folders."""
        for port in list(self._processes):
            self.kill(port)
        shutil.rmtree(self._folder, ignore_errors=True)


def _until(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("the Redis Cluster does not come up")
        time.sleep(0.05)
