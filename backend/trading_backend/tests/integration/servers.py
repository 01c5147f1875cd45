"""Throw-away servers: a Redis Cluster of three masters, one PostgreSQL with a shard's schema."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from trading_contract.topology import ShardAddress, Topology

HASH_SLOTS = 16_384
MASTERS = 3


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Poll; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition did not come true"
        time.sleep(0.05)


def free_port() -> int:
    """A port whose cluster bus port (+ 10000) can be used, too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 50_000:
            return port


class RedisCluster:
    """Three masters in a temporary folder."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tc-redis-"))
        self.ports: list[int] = []
        while len(self.ports) < MASTERS:
            port = free_port()
            if port not in self.ports:
                self.ports.append(port)
        self._processes = {port: self._spawn(port) for port in self.ports}
        wait_until(lambda: all(self._answers(port) for port in self.ports))
        self._form()

    @property
    def nodes(self) -> tuple[str, ...]:
        """host:port of each."""
        return tuple(f"127.0.0.1:{port}" for port in self.ports)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf",
                "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "2000",
                "--dir", str(self._folder),
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def _answers(self, port: int) -> bool:
        try:
            with Redis(port=port) as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False

    def _form(self) -> None:
        share = HASH_SLOTS // MASTERS
        for at, port in enumerate(self.ports):
            past = HASH_SLOTS if at == MASTERS - 1 else (at + 1) * share
            with Redis(port=port) as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", at * share, past - 1)
                client.execute_command("CLUSTER MEET", "127.0.0.1", self.ports[0])
        wait_until(lambda: all(self._is_up(port) for port in self.ports))

    def kill(self, port: int) -> None:
        """End one master at once."""
        self._processes[port].kill()
        self._processes[port].wait()

    def restart(self, port: int) -> None:
        """Start it again; it remembers its hash slots."""
        self._processes[port] = self._spawn(port)
        wait_until(lambda: self._answers(port))
        wait_until(lambda: all(self._is_up(each) for each in self.ports))

    def _is_up(self, port: int) -> bool:
        with Redis(port=port) as client:
            told: Any = client.execute_command("CLUSTER INFO")
        return bool(told["cluster_state"] == "ok" and told["cluster_slots_ok"] == str(HASH_SLOTS))

    def publish(self, channel: str, message: bytes, port: int) -> int:
        """SPUBLISH at that node; returns how many heard it."""
        with Redis(port=port) as client:
            return int(client.execute_command("SPUBLISH", channel, message))

    def remove(self) -> None:
        """End all of it."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Shard:
    """A PostgreSQL with the schema that `trading-engine prepare-shard` makes."""

    def __init__(self, topology: Topology) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tc-shard-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.topology = topology.model_copy(
            update={"shards": (ShardAddress(name="s0", hosts=(f"127.0.0.1:{self.port}",)),)}
        )
        self.secrets = self.folder / "secrets"
        self.secrets.mkdir()
        for role in ("postgres", "tc_engine", "tc_reader", "tc_operator"):
            (self.secrets / role).write_text(f"{role}-for-tests")
            (self.secrets / role).chmod(0o644)
        self._binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._user = "postgres" if os.getuid() == 0 else None
        data = self.folder / "data"
        data.mkdir()
        if self._user:
            os.chown(data, pwd.getpwnam(self._user).pw_uid, pwd.getpwnam(self._user).pw_gid)
        self._run("initdb", "-D", str(data), "-U", "postgres", "--auth=scram-sha-256",
                  f"--pwfile={self.secrets / 'postgres'}", "--locale=C", "--no-sync")  # fmt: skip
        self.start()
        self._prepare()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments], user=self._user, check=True, cwd="/",
            stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            [
                self._binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            ],
            user=self._user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ready = [str(self._binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0)

    def stop(self) -> None:
        """Crash it."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def _prepare(self) -> None:
        file = self.folder / "topology.json"
        file.write_text(json.dumps(self.topology.model_dump(mode="json", by_alias=True)))
        subprocess.run(
            [
                str(Path(sys.executable).parent / "trading-engine"), "prepare-shard",
                "--topology", str(file), "--shard", "s0", "--secrets-folder", str(self.secrets),
            ],
            check=True, stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip

    def remove(self) -> None:
        """End it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
