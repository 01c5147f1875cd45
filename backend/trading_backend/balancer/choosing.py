"""Which replica gets a connection, and which one has too many, or too busy ones. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from trading_backend.hand_over import Give, Serves

SURPLUS_MIN = 2  # fewer are not worth a hand-over
SURPLUS_SHARE = 0.25  # of the mean: of connections, and of work
WORK_MIN = 10.0  # requests a second: less is no work
OVERSHOOT = 1.5
Connection = TypeVar("Connection")


@dataclass(frozen=True)
class Member:
    """A replica as the balancer knows it."""

    replica: str
    serves: Serves
    connections: int  # those that are on their way to it among them
    handed: int = 0  # to it, ever
    requests_per_second: float = 0.0  # those of connections on their way to it among them


def chosen(members: Sequence[Member], *, is_busy: bool = False) -> Member | None:
    """Who gets the next connection, of those that serve most; None: nobody.

    One that is known to be busy goes to who has least work; else to who has fewest connections,
    and among equals to who was chosen least often, so that short ones are spread, too.
    """
    able = _best(members)

    def load(each: Member) -> tuple[float, ...]:
        work = (each.requests_per_second,) if is_busy else ()
        return (*work, each.connections, each.handed)

    return min(able, key=load) if able else None


def surplus(members: Sequence[Member], *, is_settled: bool = True) -> list[Give]:
    """What each of the members should hand back, in their order.

    All connections, where others serve more or it leaves. Else what it has beyond the mean, once
    that is more than SURPLUS_SHARE of it, and with them no more work than it has beyond the mean,
    or half of what it has beyond the least. Else the busy ones that make it busier than the mean by
    as much, if what was told of work is newer than the last hand-over (`is_settled`).
    """
    able = _best(members)
    of = max(1, len(able))
    mean = sum(each.connections for each in able) / of
    mean_work = sum(each.requests_per_second for each in able) / of
    least = min((each.requests_per_second for each in able), default=0.0)
    bound = max(SURPLUS_MIN, SURPLUS_SHARE * mean)
    work_bound = max(WORK_MIN, SURPLUS_SHARE * mean_work)

    def beyond(each: Member) -> Give:
        if not any(each is one for one in able):
            return Give(each.connections, math.inf)
        count = int(each.connections - mean)
        excess = max(0.0, each.requests_per_second - mean_work)
        work = min(excess, (each.requests_per_second - least) / 2)
        if count >= bound:
            return Give(count, work)
        if is_settled and excess >= work_bound:
            return Give(0, work)
        return Give(0, 0.0)

    return [beyond(each) for each in members]


def picked(rates: Mapping[Connection, float], wish: Give) -> set[Connection]:
    """Connections for a wish, by requests a second of each: few that have its work, then idle ones.

    What they have is at most `OVERSHOOT` times as much: whoever gets it is then off by less than
    whoever gave it was. Busy ones beyond stay, so there may be fewer than the wish has.
    """
    found: set[Connection] = set()
    left, most = wish.requests_per_second, wish.count or len(rates)
    movable = rates if wish.count else [each for each in rates if rates[each] > 0]
    for each in sorted(movable, key=rates.__getitem__, reverse=True):
        if len(found) == most:
            break
        if rates[each] <= max(0.0, OVERSHOOT * left):
            found.add(each)
            left -= rates[each]
    return found


def _best(members: Sequence[Member]) -> list[Member]:
    for wanted in (Serves.ALL, Serves.SOME):
        if found := [each for each in members if each.serves is wanted]:
            return found
    return []
