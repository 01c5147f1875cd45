"""When parts are asked for their load, how many at once, and what a look hands to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from trading_contract.load import Load
from trading_contract.topology import Topology
from trading_operator.planner.scaling.observed_load import ClusterLoad, LoadAnswer, look_at_load
from trading_operator.planner.scaling.signals import Tier

LOOK_SECONDS = 5.0
QUESTIONS_MAX = 32  # at a time


@dataclass
class LoadLook:
    """One look that is being taken. The probes bound the time of each question."""

    now: Callable[[], float]
    expected: dict[Tier, set[str]] = field(default_factory=lambda: {tier: set() for tier in Tier})
    answers: list[LoadAnswer] = field(default_factory=list)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(QUESTIONS_MAX))

    async def ask(
        self, tier: Tier, name: str, question: Callable[[], Awaitable[Load | None]]
    ) -> None:
        """Expect a part, and keep what it answers."""
        self.expected[tier].add(name)
        async with self._gate:
            load = await question()
        if load is not None:
            self.answers.append(LoadAnswer(name, self.now(), load))


class LoadWatch:
    """The looks at one cluster, one after another."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.newest: ClusterLoad | None = None
        self._now = now

    def begin(self) -> LoadLook | None:
        """A new look when one is due; None = not yet."""
        now = self._now()
        if self.newest is not None and 0 <= now - self.newest.at_seconds < LOOK_SECONDS:
            return None
        return LoadLook(self._now)

    def end(self, look: LoadLook | None, topology: Topology | None) -> None:
        """Take what the look brought. Who is in the topology is missing when it was not asked."""
        if look is None:
            return
        expected = {tier: set(names) for tier, names in look.expected.items()}
        if topology is not None:
            expected[Tier.PARTITIONS] |= {each.name for each in topology.partitions}
            expected[Tier.SHARDS] |= {each.name for each in topology.shards}
        self.newest = look_at_load(self.newest, look.answers, expected, self._now())
