"""What this partition tells of its own load: see `trading_contract/load.py`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trading_contract.durations import Durations
from trading_contract.load import CommitLoad, DurationsTold, HotSymbol, PartitionLoad, SlotLoad
from trading_engine._core import Sequencer
from trading_engine.commit import CommitPipeline

LAG_SECONDS = 0.1  # how often the event loop is measured
TURN_SECONDS = 5.0  # what is "recent": one to two of these


@dataclass(frozen=True)
class Identity:
    """Whose load it is."""

    partition: str
    incarnation: str


class LoadMeter:
    """Watches the event loop, and adds up what others count. Confined to the event loop."""

    def __init__(self, sequencer: Sequencer, pipelines: Mapping[str, CommitPipeline]) -> None:
        self._sequencer = sequencer
        self._pipelines = pipelines
        self._lag = Durations()
        self._ending = False

    async def run(self) -> None:
        """Until closed."""
        turned = time.monotonic()
        while not self._ending:
            begun = time.monotonic()
            await asyncio.sleep(LAG_SECONDS)
            now = time.monotonic()
            self._lag.add(max(0.0, now - begun - LAG_SECONDS))
            if now - turned >= TURN_SECONDS:
                turned = now
                self._turn()

    def _turn(self) -> None:
        self._sequencer.begin_round()
        self._lag.turn()
        for pipeline in self._pipelines.values():
            pipeline.commit_durations.turn()
            pipeline.wait_durations.turn()

    def close(self) -> None:
        """End `run` with its present turn."""
        self._ending = True

    def read(self, who: Identity, connections: int) -> PartitionLoad:
        """The load as it is now."""
        sequencer = self._sequencer
        bounds = {row[0]: (row[1], row[2]) for row in sequencer.slots()}
        slots = tuple(
            SlotLoad(
                id=id_, first=bounds[id_][0], past=bounds[id_][1], commands_total=commands,
                orders_total=orders, trades_total=trades, busy_seconds_total=busy_ns / 1e9,
                open_orders=open_orders,
                hottest=tuple(
                    HotSymbol(name=name, busy_seconds_total=ns / 1e9) for name, ns in hottest
                ),
            )
            for id_, commands, orders, trades, busy_ns, open_orders, hottest
            in sequencer.slot_loads()
        )  # fmt: skip
        return PartitionLoad(
            partition=who.partition,
            incarnation=who.incarnation,
            refusals_total=sequencer.refusals,
            cpu_seconds_total=time.process_time(),
            memory_bytes=resident_bytes(),
            open_orders=sequencer.open_orders,
            connections=connections,
            event_loop_lag=DurationsTold.of(self._lag),
            commits=tuple(self._commits()),
            slots=slots,
        )

    def _commits(self) -> list[CommitLoad]:
        return [
            CommitLoad(
                shard=shard,
                batches_total=pipeline.batches,
                commands_total=pipeline.commands,
                commands_queued=self._sequencer.waiting(pipeline.index)
                + self._sequencer.held(pipeline.index),
                commit=DurationsTold.of(pipeline.commit_durations),
                wait=DurationsTold.of(pipeline.wait_durations),
            )
            for shard, pipeline in self._pipelines.items()
        ]


def resident_bytes() -> int | None:
    """Memory of this process; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
