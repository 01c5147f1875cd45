"""What this time of day has brought on the last days. A forecast may only add, never take away."""

from __future__ import annotations

from dataclasses import dataclass

BUCKET_SECONDS = 300
BUCKETS = 86_400 // BUCKET_SECONDS
DAYS_MAX = 10
QUANTILE = 0.9
Day = tuple[int, tuple[float, ...]]  # number of the day since 1970, highest load by bucket


@dataclass(frozen=True)
class DayProfile:
    """The highest load of each five minutes of the last days with trade, oldest first."""

    days: tuple[Day, ...] = ()

    def with_load(self, load: float, now_seconds: float) -> DayProfile:
        """The profile with one more look."""
        day, bucket = int(now_seconds // 86_400), int(now_seconds % 86_400) // BUCKET_SECONDS
        if self.days and self.days[-1][0] == day:
            kept, row = self.days[:-1], self.days[-1][1]
        else:
            kept, row = self.days[-DAYS_MAX:], (0.0,) * BUCKETS
        if row[bucket] >= load:
            return DayProfile((*kept, (day, row)))
        return DayProfile((*kept, (day, (*row[:bucket], load, *row[bucket + 1 :]))))

    def expected(self, from_seconds: float, until_seconds: float) -> float:
        """The highest of the usual loads between two times; 0 where no day before is known.

        Usual is what nine of ten days did not pass; days without any load say nothing.
        """
        today = int(from_seconds // 86_400)
        rows = [row for day, row in self.days if day < today and any(row)]
        if not rows:
            return 0.0
        first = int(from_seconds) // BUCKET_SECONDS
        past = max(int(until_seconds) // BUCKET_SECONDS, first) + 1
        best = 0.0
        for bucket in range(first, min(past, first + BUCKETS)):
            loads = sorted(row[bucket % BUCKETS] for row in rows)
            best = max(best, loads[min(len(loads) - 1, int(QUANTILE * len(loads)))])
        return best
