"""Supervisor and guardian: each starts the other anew.

Standard library only, so that the guardian stays tiny.

A keeper holds its lock for as long as it lives and writes its process id into it; the lock file's
time is its heartbeat.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from trading_operator.substrates.processes.layout import MARKER, ROLE, SETTINGS, Layout

SUPERVISOR = "supervisor"
GUARDIAN = "guardian"
# How each is started; names, not imports: the supervisor's program stands on a higher floor.
PROGRAMS = {
    SUPERVISOR: ("trading_operator", "supervise"),
    GUARDIAN: ("trading_operator.substrates.processes.guardian",),
}
PID_CHARACTERS = 10
LOCK_SECONDS_MAX = 1.0  # somebody who only looks holds the lock for a moment


def take_keeper_lock(layout: Layout, name: str) -> int | None:
    """The locked descriptor with our process id in the file; None when another keeper runs."""
    path = layout.lock_file(name)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)
    # Never shorter than before: on a full disk only bytes that exist already can be written.
    os.write(descriptor, f"{os.getpid():<{PID_CHARACTERS}}\n".encode())
    return descriptor


def is_kept(layout: Layout, name: str) -> bool:
    """Whether that keeper runs now."""
    try:
        descriptor = os.open(layout.lock_file(name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def keeper_pid(layout: Layout, name: str) -> int | None:
    """The process id that the keeper wrote; None when there is none."""
    try:
        return int(layout.lock_file(name).read_text())
    except (OSError, ValueError):
        return None


def nudge(layout: Layout) -> None:
    """Ask a running supervisor to look now rather than within a second."""
    pid = keeper_pid(layout, SUPERVISOR)
    if pid is not None and is_kept(layout, SUPERVISOR):
        with suppress(OSError):
            os.kill(pid, signal.SIGHUP)


def heartbeat_age_seconds(path: Path) -> float:
    """Seconds since the keeper last touched its lock file."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def start_keeper(layout: Layout, name: str) -> subprocess.Popen[bytes]:
    """Start it in a session of its own; it ends at once when another one holds the lock."""
    environment = {
        key: os.environ[key] for key in ("PATH", "HOME", "TRADINGCTL_HOME") if key in os.environ
    }
    environment |= {
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        MARKER: f"{layout.uid}/{name}",
        ROLE: name,
        SETTINGS: "",
    }
    with layout.log_file(name).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *PROGRAMS[name], str(layout.root)],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wants_to_run(layout: Layout) -> bool:
    """Whether `up` was said and `down` has not been completed."""
    return layout.run_file.exists()
