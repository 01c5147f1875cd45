"""How long a move held up its symbol: as the log has it, and as its clients saw it. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from history.records import Call
from history.replay import decode_payload
from history.rows import Dump, LogRow


@dataclass(frozen=True)
class Edge:
    """A slot's last command before a change of epoch, and its first one after. Unix seconds."""

    before: float
    after: float

    @property
    def milliseconds(self) -> float:
        """What the server did nothing for the slot."""
        return (self.after - self.before) * 1000


def edges_of(dump: Dump, symbol: str) -> list[Edge]:
    """All changes of epoch in the log of the slot that has the symbol now, by time."""
    slot = next(
        row.slot_id for row in dump.owners
        if row.state == "ACTIVE" and row.first <= symbol < row.past
    )  # fmt: skip
    rows = [row for row in dump.log if row.slot_id == slot]
    return [
        Edge(_times(before)[-1], _times(after)[0])
        for before, after in pairwise(rows)
        if before.epoch != after.epoch
    ]


def _times(row: LogRow) -> list[float]:
    return [command.time_us / 1e6 for command in decode_payload(row.payload)]


def edge_within(edges: Sequence[Edge], begun: float, ended: float) -> Edge | None:
    """The last one of a span."""
    found = [edge for edge in edges if edge.after >= begun and edge.before <= ended]
    return found[-1] if found else None


class Latencies:
    """Answered calls of one symbol, by time; clocks are brought together by `unix_minus_monotonic`.

    A call that was sent again counts from its first sending to its last answer.
    """

    def __init__(self, calls: Iterable[Call], unix_minus_monotonic: float) -> None:
        spans: dict[tuple[str, str], tuple[float, float]] = {}
        for call in calls:
            name = (call.operation, str(call.key))
            begun, ended = spans.get(name, (call.invoked_at, call.returned_at))
            spans[name] = (min(begun, call.invoked_at), max(ended, call.returned_at))
        shift = unix_minus_monotonic
        self._spans = sorted((begun + shift, ended + shift) for begun, ended in spans.values())
        self._begins = [begun for begun, _ in self._spans]
        self._longest = max((ended - begun for begun, ended in self._spans), default=0.0)

    def worst_milliseconds(self, edge: Edge) -> float:
        """The longest of those that were under way at the edge."""
        first = bisect_left(self._begins, edge.before - self._longest)
        past = bisect_left(self._begins, edge.after)
        return max(
            ((ended - begun) * 1000 for begun, ended in self._spans[first:past]
             if ended >= edge.before),
            default=0.0,
        )  # fmt: skip

    def p99_milliseconds(self, spans: Sequence[tuple[float, float]]) -> float:
        """Of the calls that began within these spans, each counted once."""
        found: list[float] = []
        at = 0
        for first, past in sorted(spans):
            at = max(at, bisect_left(self._begins, first))
            end = bisect_left(self._begins, past)
            found += (ended - begun for begun, ended in self._spans[at:end])
            at = max(at, end)
        found.sort()
        return found[int(len(found) * 0.99)] * 1000 if found else 0.0
