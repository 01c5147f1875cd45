"""Which replica gets a connection, and which one has too many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trading_backend.hand_over import Serves

SURPLUS_MIN = 2  # fewer are not worth a hand-over
SURPLUS_SHARE = 0.25  # of the mean


@dataclass(frozen=True)
class Member:
    """A replica as the balancer knows it."""

    replica: str
    serves: Serves
    connections: int  # those that are on their way to it among them
    handed: int = 0  # to it, ever


def chosen(members: Sequence[Member]) -> Member | None:
    """Who gets the next connection: of those that serve most, the one with fewest; None: nobody.

    Among equals it is the one that was chosen least often, so that short ones are spread, too.
    """
    able = _best(members)
    return min(able, key=lambda each: (each.connections, each.handed)) if able else None


def surplus(members: Sequence[Member]) -> list[int]:
    """How many connections each of the members should hand back, in their order.

    All of them, where others serve more or it leaves; else what it has beyond the mean, once that
    is more than SURPLUS_SHARE of it.
    """
    able = _best(members)
    mean = sum(each.connections for each in able) / len(able) if able else 0.0
    bound = max(SURPLUS_MIN, SURPLUS_SHARE * mean)

    def beyond(each: Member) -> int:
        if not any(each is one for one in able):
            return each.connections
        count = int(each.connections - mean)
        return count if count >= bound else 0

    return [beyond(each) for each in members]


def _best(members: Sequence[Member]) -> list[Member]:
    for wanted in (Serves.ALL, Serves.SOME):
        if found := [each for each in members if each.serves is wanted]:
            return found
    return []
