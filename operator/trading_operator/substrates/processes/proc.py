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
        self._last: dict[str, ProcessSeen] = {}
        self._last_starts: dict[int, int] = {}
        self._last_ticks = 0

    def look(self, *, is_settled: bool = False) -> dict[str, ProcessSeen]:
        """Components that run now, the newest topmost process of each.

        With `is_settled` (nothing was started since) seeing that all are still alive may be enough:
        all of /proc is then read every five seconds only.
        """
        is_recent = uptime_ticks() - self._last_ticks < SETTLED_TICKS
        if not (is_settled and is_recent and self._all_alive()):
            self._last = self._read_all()
        return dict(self._last)

    def _all_alive(self) -> bool:
        for pid, started in self._last_starts.items():
            stat = process_stat(pid)
            if stat is None or stat[0] in "ZX" or stat[2] != started:
                return False
        return True

    def _read_all(self) -> dict[str, ProcessSeen]:
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
        topmost = _topmost(entries)
        pids = [pid for seen in topmost.values() for pid in (seen.pid, *seen.older_pids)]
        self._last_starts = {pid: entries[pid].started for pid in pids}
        self._last_ticks = now
        return topmost

    def _read(self, pid: int) -> tuple[str, str, str]:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
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
        with open(f"/proc/{pid}/stat", "rb") as file:
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
