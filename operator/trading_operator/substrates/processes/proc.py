"""Finds our processes in /proc by the marker in their environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from trading_operator.planner.observed import ProcessSeen
from trading_operator.substrates.processes.layout import MARKER, ROLE, SETTINGS

SETTLED_TICKS = (
    500  # 5 s: after that a process has long replaced the environment it was forked with
)


@dataclass(frozen=True)
class _Entry:
    pid: int
    parent: int
    started: int
    name: str
    role: str
    settings_hash: str


class ProcessTable:
    """Reads /proc; remembers the environment of settled processes so that a look costs little."""

    def __init__(self, uid: str) -> None:
        self._prefix = f"{uid}/"
        self._settled: dict[tuple[int, int], tuple[str, str, str]] = {}

    def look(self) -> dict[str, ProcessSeen]:
        """Components that run now, the newest topmost process of each."""
        entries: dict[int, _Entry] = {}
        now = uptime_ticks()
        settled: dict[tuple[int, int], tuple[str, str, str]] = {}
        for text in os.listdir("/proc"):  # noqa: PTH208 (cheap, every second)
            if not text.isdigit():
                continue
            pid = int(text)
            stat = process_stat(pid)
            if stat is None or stat[0] in "ZX":
                continue
            _, parent, started = stat
            marks = self._settled.get((pid, started)) or self._read(pid)
            if now - started > SETTLED_TICKS:
                settled[(pid, started)] = marks
            if marks[0]:
                entries[pid] = _Entry(pid, parent, started, *marks)
        self._settled = settled
        return _topmost(entries)

    def _read(self, pid: int) -> tuple[str, str, str]:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 (cheap, every second)
                raw = file.read(65_536)
        except OSError:
            return ("", "", "")
        if MARKER.encode() not in raw:
            return ("", "", "")
        values = dict(
            item.split("=", 1) for item in raw.decode(errors="replace").split("\0") if "=" in item
        )
        marker = values.get(MARKER, "")
        if not marker.startswith(self._prefix):
            return ("", "", "")
        name = marker.removeprefix(self._prefix)
        return (name, values.get(ROLE, ""), values.get(SETTINGS, ""))


def process_stat(pid: int) -> tuple[str, int, int] | None:
    """State letter, parent and start time in clock ticks; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (cheap, every second)
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0].decode(), int(fields[1]), int(fields[19])


def is_alive(pid: int) -> bool:
    """Whether that process exists and is no zombie."""
    stat = process_stat(pid)
    return stat is not None and stat[0] not in "ZX"


def uptime_ticks() -> int:
    """Clock ticks since boot, comparable with a process's start time."""
    with Path("/proc/uptime").open(encoding="ascii") as file:
        return int(float(file.read().split()[0]) * os.sysconf("SC_CLK_TCK"))


def _topmost(entries: dict[int, _Entry]) -> dict[str, ProcessSeen]:
    """Children inherit the marker: only a process whose parent does not carry it counts."""
    found: dict[str, list[_Entry]] = {}
    for entry in entries.values():
        parent = entries.get(entry.parent)
        if parent is None or parent.name != entry.name:
            found.setdefault(entry.name, []).append(entry)
    processes = {}
    for name, instances in found.items():
        *older, newest = sorted(instances, key=lambda entry: (entry.started, entry.pid))
        processes[name] = ProcessSeen(
            name,
            newest.role,
            newest.pid,
            newest.settings_hash,
            older_pids=tuple(entry.pid for entry in older),
        )
    return processes
