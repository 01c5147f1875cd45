"""Processes of a cluster: started with a log and a pid file, ended by that pid alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def start(
    folder: Path, name: str, argv: Sequence[str], extra: Mapping[str, str] | None = None
) -> int:
    """Start it in a session of its own; returns its pid, which is also in `NAME.pid`."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
            env={**os.environ, **(extra or {})}, start_new_session=True,
        )  # fmt: skip
    process.returncode = 0  # it outlives this object: from now on it is known by its pid file
    (folder / f"{name}.pid").write_text(f"{process.pid} {_born(process.pid)}")
    return process.pid


def is_running(folder: Path, name: str) -> bool:
    """Whether the process of the pid file runs and is the one that was started."""
    return _pid(folder, name) is not None


def stop(folder: Path, name: str, patience_seconds: float = 10.0) -> None:
    """Ask it to end, wait, then kill it; nothing when it does not run."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = _pid(folder, name)
        if pid is None:
            break
        os.kill(pid, number)
        deadline = time.monotonic() + patience_seconds
        while _pid(folder, name) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
    (folder / f"{name}.pid").unlink(missing_ok=True)


def _pid(folder: Path, name: str) -> int | None:
    try:
        pid, born = (folder / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return None
    with suppress(OSError):
        os.waitpid(int(pid), os.WNOHANG)  # when it is a child of ours that has ended
    return int(pid) if _born(int(pid)) == born else None


def _born(pid: int) -> str:
    """When a process began; with the pid it is unique. "" = it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
