"""What a move spends its time with, for the log."""

from __future__ import annotations

import time


class Laps:
    """Seconds of one part after the other, from now on."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._told: list[str] = []

    def end(self, what: str) -> None:
        """Tell what happened since the last one."""
        now = time.monotonic()
        self._told.append(f"{what} {now - self._since:.2f} s")
        self._since = now

    def __str__(self) -> str:
        return ", ".join(self._told)
