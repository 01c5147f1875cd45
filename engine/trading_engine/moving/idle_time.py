"""How much of its processors' time this machine had nothing to do."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

# Of the first line of /proc/stat, see proc_stat(5): idle, and waiting for a disk, which needs no
# processor.
IDLE_FIELDS = (3, 4)
FIELDS = 8  # the later ones, of guests, are in the first ones already
STATISTICS = Path("/proc/stat")
KEPT = 0.7  # of what was seen, from look to look


class IdleTime:
    """Compares two looks."""

    def __init__(self, statistics: Path = STATISTICS) -> None:
        self._statistics = statistics
        self._seen = self._read()
        self._lately: float | None = None

    def lately(self) -> float | None:
        """The share of the last looks, the newest counting most; None: not known yet."""
        now = self.share()
        if now is not None:
            before = now if self._lately is None else self._lately
            self._lately = before * KEPT + now * (1 - KEPT)
        return self._lately

    def is_enough(self, was: bool, begin: float, end: float) -> bool:
        """Whether of late it is at least `begin`, or still `end`; as it `was` while not known."""
        lately = self.lately()
        return was if lately is None else lately >= (end if was else begin)

    def share(self) -> float | None:
        """Of the time since the last look; None: not known, or it was just now."""
        before, self._seen = self._seen, self._read()
        if before is None or self._seen is None:
            return None
        spent = [now - then for now, then in zip(self._seen, before, strict=True)]
        total = sum(spent)
        if total <= 0:
            return None
        return min(1.0, max(0.0, sum(spent[field] for field in IDLE_FIELDS) / total))

    def _read(self) -> list[int] | None:
        with suppress(OSError, ValueError):
            name, *told = self._statistics.read_text().partition("\n")[0].split()
            if name == "cpu" and len(told) >= FIELDS:
                return [int(ticks) for ticks in told[:FIELDS]]
        return None
