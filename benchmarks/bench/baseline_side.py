"""The baseline as a side under test: PostgreSQL with our shards' settings, N uvicorn workers."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from bench.processes import BenchError, free_port, is_listening, stop, wait_until
from trading_operator.substrates.processes.postgres import (
    SETTINGS,
    folder_arguments,
    page_compression,
    postgres_folder,
)

BENCHMARKS = Path(__file__).resolve().parent.parent
CONNECTIONS = 40  # as many as the driver's: no request waits for one


def _as_postgres() -> dict[str, object]:
    """Keyword arguments of Popen that leave root, which PostgreSQL refuses to run under."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class BaselineDatabase:
    """One PostgreSQL in a temporary folder, fsync and synchronous_commit on."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tc-baseline-", dir="/var/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.port = free_port()
        self.dsn = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the data folder, start the server, create the table."""
        binaries, data = postgres_folder(), self.folder / "data"
        identity: dict[str, object] = _as_postgres()
        made = subprocess.run(  # type: ignore[call-overload]
            [
                binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust",
                *folder_arguments(),
            ],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=180, **identity,
        )  # fmt: skip
        if made.returncode != 0:
            raise BenchError(f"baseline: initdb failed: {made.stderr.strip()}")
        argv = [str(binaries / "postgres"), "-D", str(data)]
        compression = {"wal_compression": page_compression(binaries, data)}
        for key, value in {**SETTINGS, **compression, "port": str(self.port)}.items():
            argv += ["-c", f"{key}={value}"]
        with (self.folder / "log").open("wb") as log:
            self._server = subprocess.Popen(  # type: ignore[call-overload]
                argv, cwd=self.folder, stdout=log, stderr=log, **identity
            )
        wait_until(self._accepts, "baseline PostgreSQL", 60)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute((BENCHMARKS / "baseline" / "schema.sql").read_text())

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        assert self._server is not None, "start() first"
        return self._server.pid

    def settings(self) -> dict[str, str]:
        """What durability rests on, as the server says it."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            names = ("fsync", "synchronous_commit", "full_page_writes", "server_version")
            rows = [connection.execute(f"SHOW {name}").fetchone() for name in names]
        return {name: str(row[0]) for name, row in zip(names, rows, strict=True) if row}

    def count(self, prefix: str) -> int:
        """Orders of one run, by the beginning of their client order ids."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM orders WHERE starts_with(client_id, %s)", (prefix,)
            ).fetchone()
            assert row is not None
            return int(row[0])

    def empty(self) -> None:
        """An empty table, and a checkpoint so that the next run does not pay for this one."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE orders")
            connection.execute("CHECKPOINT")

    def stop(self) -> None:
        """Stop the server and remove its data."""
        if self._server is not None:
            stop(self._server, signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)


class BaselineWorkers:
    """`uvicorn --workers N` in front of a BaselineDatabase."""

    def __init__(self, database: BaselineDatabase, workers: int) -> None:
        self.database = database
        self.workers = workers
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base address of POST /orders."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of uvicorn's parent."""
        assert self._server is not None, "start() first"
        return self._server.pid

    def start(self) -> None:
        """Start the workers; returns when they answer."""
        pool = -(-CONNECTIONS // self.workers)
        environment = {
            **os.environ,
            "BASELINE_DSN": self.database.dsn,
            "BASELINE_POOL": str(pool),
            "PYTHONPATH": str(BENCHMARKS),
        }
        with (self.database.folder / "uvicorn.log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    sys.executable, "-m", "uvicorn", "baseline.app:app", "--port", str(self.port),
                    "--workers", str(self.workers), "--loop", "uvloop", "--http", "httptools",
                    "--no-access-log", "--log-level", "warning",
                ],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self._all_connected, f"baseline with {self.workers} workers", 60)

    def _all_connected(self) -> bool:
        """Whether every worker has made its pool."""
        pool = -(-CONNECTIONS // self.workers)
        with psycopg.connect(self.database.dsn, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchone()
        return row is not None and int(row[0]) >= pool * self.workers and is_listening(self.port)

    def stop(self) -> None:
        """End all workers."""
        if self._server is not None:
            stop(self._server, signal.SIGTERM)
