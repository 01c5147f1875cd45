"""Starting, watching and ending processes; their CPU time and memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.05


class BenchError(Exception):
    """A figure cannot be measured; the message says why and what to do."""


def free_port() -> int:
    """A port of the loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(done: Callable[[], bool], what: str, timeout_seconds: float) -> float:
    """Seconds until `done()`; raises BenchError when it takes too long."""
    begun = time.monotonic()
    while time.monotonic() - begun < timeout_seconds:
        if done():
            return time.monotonic() - begun
        time.sleep(POLL_SECONDS)
    raise BenchError(f"{what}: not after {timeout_seconds:.0f} s")


def is_listening(port: int) -> bool:
    """Whether a connection to the port can be made."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def stop(process: subprocess.Popen[bytes], signal_number: int, timeout_seconds: float = 20) -> None:
    """End one of our own children, the hard way when it does not end by itself."""
    if process.poll() is not None:
        return
    process.send_signal(signal_number)
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def children_of(pids: Iterable[int]) -> dict[int, list[int]]:
    """For each pid: itself and all its descendants that live now."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    families: dict[int, list[int]] = {pid: [pid] for pid in pids}
    for pid in parents:
        above = pid
        for _ in range(64):  # deeper trees are not ours
            above = parents.get(above, 0)
            if above in families:
                families[above].append(pid)
                break
            if above <= 1:
                break
    return families


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of the ended children it waited for; 0 when gone."""
    fields = _stat(pid)
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICKS_PER_SECOND if fields else 0.0


def resident_megabytes(pid: int) -> float:
    """Private resident memory of a process in MB (10^6 bytes); 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    kilobytes = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return kilobytes * 1024 / 1e6


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat behind the name: index 0 is the state, 1 the parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
