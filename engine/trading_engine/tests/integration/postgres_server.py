"""A throw-away PostgreSQL for tests: own folder, free port, fsync on, ended by pid."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

PASSWORD = "for-tests-only"
# After a crash it first syncs all files of its folder, behind whatever else this disk has to write.
START_SECONDS_MAX = 120


def postgres_folder() -> Path | None:
    """Where the server's binaries are; None: not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One cluster in a temporary folder; `kill` and `start` may be repeated."""

    def __init__(self, *settings: str, primary: PostgresServer | None = None) -> None:
        self.settings = settings
        binaries = postgres_folder()
        assert binaries is not None
        self._binaries = binaries
        self._user = "postgres" if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="tc-postgres-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        if primary is not None:
            whom = f"host=127.0.0.1 port={primary.port} user=postgres password={PASSWORD}"
            self._run(
                "pg_basebackup", "-D", str(self.folder / "data"), "-R", "-c", "fast", "--no-sync",
                "-d", f"{whom} application_name=standby",
            )  # fmt: skip
            return
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments], user=self._user, cwd=self.folder, check=True,
            stdout=subprocess.DEVNULL, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}, timeout=60,
        )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        log = open(self.folder / "log", "ab")  # noqa: SIM115 - lives as long as the server
        self._process = subprocess.Popen(
            [
                self._binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
                "-c", "fsync=on", "-c", "max_connections=50",
                *(part for setting in self.settings for part in ("-c", setting)),
            ],
            user=self._user, cwd=self.folder, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                self.connect(database="postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it; SIGQUIT is the crash from which it recovers, SIGINT the fast stop."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def promote(self) -> None:
        """A standby becomes the primary."""
        with self.connect(database="postgres") as connection:
            connection.execute("SELECT pg_promote()")

    def connect(
        self, database: str = "trading", user: str = "postgres", password: str = PASSWORD
    ) -> psycopg.Connection[tuple[object, ...]]:
        """An autocommit connection."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=password,
            autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def remove(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """One that runs, for a fixture; skips where there is no PostgreSQL."""
    if postgres_folder() is None:
        pytest.skip("needs PostgreSQL's binaries (package `postgresql`)")
    made = PostgresServer()
    made.start()
    yield made
    made.remove()
