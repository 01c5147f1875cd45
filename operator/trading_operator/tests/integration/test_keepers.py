"""Supervisor and guardian keep each other alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from trading_operator.substrates.processes.guardian import HEARTBEAT_SECONDS_MAX, end_when_hung
from trading_operator.substrates.processes.keepers import (
    GUARDIAN,
    SUPERVISOR,
    is_kept,
    keeper_pid,
    start_keeper,
)
from trading_operator.substrates.processes.store import DOWN, UP
from trading_operator.tests.integration.conftest import Running

WAIT_SECONDS_MAX = 30.0


def wait(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_each_starts_the_other_anew_and_both_end_with_down(running: Running) -> None:
    running.apply(hibernated=True)
    running.store.set_wish(UP)
    first = start_keeper(running.layout, SUPERVISOR)
    wait("both run", lambda: set(running.pids()) == {SUPERVISOR, GUARDIAN})
    for name in (SUPERVISOR, GUARDIAN, SUPERVISOR):
        before = running.pids()[name]
        os.kill(before, signal.SIGKILL)
        running.wait_for_another(name, before)
        wait(f"{name} holds its lock", lambda: is_kept(running.layout, SUPERVISOR))
    first.wait()
    running.store.set_wish(DOWN)
    wait("both end", lambda: running.pids() == {})
    assert running.store.wish() is None


def test_a_second_supervisor_ends_at_once(running: Running) -> None:
    running.apply(hibernated=True)
    running.store.set_wish(UP)
    first = start_keeper(running.layout, SUPERVISOR)
    wait("it runs", lambda: is_kept(running.layout, SUPERVISOR))
    pid = keeper_pid(running.layout, SUPERVISOR)
    assert start_keeper(running.layout, SUPERVISOR).wait(WAIT_SECONDS_MAX) == 0
    assert keeper_pid(running.layout, SUPERVISOR) == pid
    running.store.set_wish(DOWN)
    wait("all end", lambda: running.pids() == {})
    first.wait()


def test_a_supervisor_whose_heart_stopped_is_ended(running: Running) -> None:
    text = (
        "import sys, time; from pathlib import Path\n"
        "from trading_operator.substrates.processes.keepers import take_keeper_lock\n"
        "from trading_operator.substrates.processes.layout import Layout\n"
        "lock = take_keeper_lock(Layout(Path(sys.argv[1])), 'supervisor'); time.sleep(600)\n"
    )
    hung = subprocess.Popen([sys.executable, "-c", text, str(running.layout.root)])
    try:
        wait("it holds the lock", lambda: keeper_pid(running.layout, SUPERVISOR) == hung.pid)
        end_when_hung(running.layout)
        assert hung.poll() is None
        old = time.time() - HEARTBEAT_SECONDS_MAX - 1
        os.utime(running.layout.lock_file(SUPERVISOR), (old, old))
        end_when_hung(running.layout)
        assert hung.wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    finally:
        hung.kill()
        hung.wait()
