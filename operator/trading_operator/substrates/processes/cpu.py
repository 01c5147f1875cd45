"""CPU time of a component that is a process with children, such as PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

# Of /proc/PID/stat after the name: user and system time, the same of children that were reaped.
_OWN = slice(11, 13)
_OWN_AND_REAPED = slice(11, 15)


class CpuMeter:
    """Sums that never fall, though children end between two looks. By process id."""

    def __init__(self) -> None:
        self._largest: dict[int, float] = {}

    def seconds(self, pid: int) -> float | None:
        """CPU seconds of the process and its children, ended ones too; None = it is gone."""
        parent = _ticks(pid, _OWN_AND_REAPED)
        if parent is None:
            self._largest.pop(pid, None)
            return None
        children = (_ticks(child, _OWN) or 0 for child in _children(pid))
        seconds = (parent + sum(children)) / os.sysconf("SC_CLK_TCK")
        self._largest[pid] = max(seconds, self._largest.get(pid, 0.0))
        return self._largest[pid]


def _ticks(pid: int, fields: slice) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return sum(map(int, text.rpartition(")")[2].split()[fields]))
    except (OSError, ValueError):
        return None


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (OSError, ValueError):
        return []
