"""Who gets a processor first: servers' processes that step back, and those that come first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from trading_engine.moving.rows import opened
from trading_engine.scheduling import (
    NICENESS,
    SLICE_SHARE,
    come_as_usual,
    come_at_once,
    come_first,
    serve_as_usual,
    serve_at_once,
    serve_first,
    slice_seconds,
    step_back,
)
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer
from trading_engine.tests.integration.real_time import (
    REAL_TIME,
    USUAL,
    in_a_thread,
    needs_real_time,
    scheduled,
)

PROCESSES = Path("/proc")


@pytest.fixture(params=["address", "socket file"])
def info(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    """As its administrator."""
    host = "127.0.0.1" if request.param == "address" else str(postgres.folder)
    return f"host={host} port={postgres.port} user=postgres password={PASSWORD} dbname=postgres"


def niceness(pid: int) -> int:
    """Of a process."""
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_the_servers_process_of_one_connection_steps_back(info: str) -> None:
    with psycopg.connect(info) as one, psycopg.connect(info) as other:
        usual = niceness(other.info.backend_pid)
        assert step_back(one)
        assert niceness(one.info.backend_pid) == NICENESS
        assert niceness(other.info.backend_pid) == usual


@pytest.mark.parametrize(
    ("title", "stat"),
    [
        (rb"python3\0-m\0http.server\0", b"7 (a) b) S 1 7 7 0"),
        (rb"postgres: \1(1\2) idle", b"7 (postgres) S 0 7 7 0"),  # of somebody else's connection
        (rb"nginx: \1(\2) idle", b"7 (nginx) S"),
        (b"", b""),
        (b"\xff", b"\xff"),
        (None, None),
    ],
)
def test_a_process_that_only_has_the_number_is_left_alone(
    info: str, tmp_path: Path, title: bytes | None, stat: bytes | None
) -> None:
    """As where the server is in another pod, or on another machine."""
    with psycopg.connect(info) as connection:
        pid = str(connection.info.backend_pid)
        usual = niceness(int(pid))
        (tmp_path / pid).mkdir()
        if title is not None and stat is not None:
            told = (PROCESSES / pid / "cmdline").read_bytes().rstrip(b"\0")
            changed = re.sub(rb".* (\S+)\((\d+)\).*", title, told) if b"(" in told else title
            (tmp_path / pid / "cmdline").write_bytes(changed)
            (tmp_path / pid / "stat").write_bytes(stat)
        assert not step_back(connection, tmp_path)
        assert niceness(int(pid)) == usual


@pytest.mark.skipif(not slice_seconds(), reason="the kernel does not tell slices")
def test_who_comes_first_has_a_shorter_slice_and_others_keep_theirs(info: str) -> None:
    with psycopg.connect(info) as one, psycopg.connect(info) as other:
        usual = slice_seconds(other.info.backend_pid)
        assert serve_first(one)
        shorter = pytest.approx(usual * SLICE_SHARE, abs=1e-6)
        assert slice_seconds(one.info.backend_pid) == shorter
        assert come_first(one.info.backend_pid)
        assert slice_seconds(one.info.backend_pid) == shorter
        assert slice_seconds(other.info.backend_pid) == usual


@pytest.mark.skipif(not slice_seconds(), reason="the kernel does not tell slices")
def test_what_it_starts_has_what_is_usual() -> None:
    found: list[float] = []

    def first() -> None:
        found.append(slice_seconds())
        come_first()
        found.append(slice_seconds())
        in_a_thread(lambda: found.append(slice_seconds()))

    in_a_thread(first)
    assert found == [found[0], pytest.approx(found[0] * SLICE_SHARE, abs=1e-6), found[0]]


@needs_real_time
def test_what_commits_comes_at_once_until_it_comes_as_usual_and_others_stay(info: str) -> None:
    with psycopg.connect(info) as one, psycopg.connect(info) as other:
        pids = one.info.backend_pid, other.info.backend_pid
        assert serve_first(one)
        shorter = slice_seconds(pids[0])
        assert serve_at_once(one)
        assert [scheduled(pid) for pid in pids] == [REAL_TIME, USUAL]
        assert serve_as_usual(one)
        assert [scheduled(pid) for pid in pids] == [USUAL, USUAL]
        assert slice_seconds(pids[0]) == shorter


@needs_real_time
def test_what_is_started_by_who_comes_at_once_comes_as_usual() -> None:
    found: list[int] = []

    def first() -> None:
        come_at_once()
        found.append(scheduled())
        in_a_thread(lambda: found.append(scheduled()))
        code = "import os; print(os.sched_getscheduler(0))"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        found.append(int(told.stdout))
        come_as_usual()
        found.append(scheduled())

    in_a_thread(first)
    assert found == [REAL_TIME, USUAL, USUAL, USUAL]


def test_a_class_that_somebody_else_chose_is_left_alone(info: str) -> None:
    with psycopg.connect(info) as connection:
        pid = connection.info.backend_pid
        os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
        assert not serve_at_once(connection)
        assert scheduled(pid) == os.SCHED_BATCH


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without that right")
def test_who_may_not_ask_for_real_time_comes_as_usual() -> None:
    code = (
        "import os, resource; from trading_engine.scheduling import come_at_once\n"
        "resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0)); os.setuid(65534)\n"
        "print(come_at_once(), os.sched_getscheduler(0))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", str(USUAL)]


def test_who_is_not_there_cannot_come_first() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not come_first(gone.pid)
    assert not come_at_once(gone.pid)
    assert not come_as_usual(gone.pid)


def test_what_stepped_back_is_not_lent_again(info: str) -> None:
    with opened({"x": info}, nice=True) as shards:
        ((pid,),) = shards["x"].execute("SELECT pg_backend_pid()")
        assert niceness(pid) == NICENESS
    with opened({"x": info}) as shards:
        assert shards["x"].execute("SELECT pg_backend_pid()") != [(pid,)]
