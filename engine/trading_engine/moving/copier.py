"""The child process that copies, seen from its partition."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from trading_contract.durations import quantile_seconds
from trading_contract.moves import MoveProblem
from trading_engine.commit import CommitPipeline
from trading_engine.moving.copying import CopyJob
from trading_engine.moving.idle_time import IdleTime

LOOK_SECONDS = 0.25
SLOWER_MAX = 1.5  # commits, while something is copied
COMMIT_SECONDS_MIN = 0.001  # below this nothing is slow
KEPT = 0.9  # of what was counted, from look to look: two seconds and a half count
FASTER, SLOWER = 1.12, 0.85  # the share, from look to look
# The slowest of a hundred are what clients notice; of too few, chance alone would tell them.
SHARES_BELOW = (0.9, 0.97)
SLOW_ONES_MIN = 10


class Shares(NamedTuple):
    """Of its time that the copier works."""

    first: float  # until it was seen what that does to commits
    least: float
    most: float


RESTING = Shares(0.4, 0.1, 0.5)  # commits are not all that has to wait for a processor
# Where both servers are on this machine a copy takes what is idle there, and leaves a part of it:
# who trades waits for a processor long before commits take longer.
SHARING = Shares(0.2, 0.2, 1.0)
LEAST_UNCROWDED = 0.4  # with idle time left, the slowest commits are no faster for longer rests
IDLE_SHARE_MIN = 0.25
IDLE_SHARE_AMPLE = 0.5
MUCH_FASTER = 1.5


@dataclass(frozen=True)
class News:
    """What the child told."""

    bytes: int = 0
    percent: int = 0
    rested_seconds: float = 0.0
    at: dict[int, int] = field(default_factory=dict)  # by slot: the hot state is whole up to here
    failed: str = ""
    code: MoveProblem = ""


class Throttle:
    """How much of its time the copier may work: by commits on both shards, and what is idle."""

    def __init__(self, *pipelines: CommitPipeline, idle: IdleTime | None = None) -> None:
        self._durations = [pipeline.commit_durations for pipeline in pipelines]
        # Of a moment ago: what is usual on a machine that has other work, too, is so only for now.
        self._usual = [each.recent() for each in self._durations]
        self._seen = [list(each.counts) for each in self._durations]
        self._lately = [[0.0] * len(each.counts) for each in self._durations]
        self._idle = idle or IdleTime()
        self._shares = RESTING
        self.share = RESTING.first

    def shares_machine(self) -> None:
        """All that works for the copier does so on this machine."""
        self._shares = SHARING
        self.share = SHARING.first

    def look(self) -> float:
        """The share from now on."""
        slower = [self._is_slower(n) for n in range(len(self._durations))]  # all are to look
        idle = self._seen_idle() if self._shares is SHARING else IDLE_SHARE_MIN
        if any(slower) or idle < IDLE_SHARE_MIN:
            factor = SLOWER
        else:
            factor = MUCH_FASTER if idle > IDLE_SHARE_AMPLE else FASTER
        least = self._shares.least if idle <= IDLE_SHARE_MIN else LEAST_UNCROWDED
        self.share = min(self._shares.most, max(least, self.share * factor))
        return self.share

    def _seen_idle(self) -> float:
        """The share of this machine's time that nobody needed lately; unknown is just enough."""
        idle = self._idle.lately()
        return IDLE_SHARE_MIN if idle is None else idle

    def _is_slower(self, n: int) -> bool:
        """Whether the slowest commits of a shard now take longer than they usually do."""
        counts, seen = self._durations[n].counts, self._seen[n]
        self._seen[n] = list(counts)
        self._lately[n] = lately = [
            kept * KEPT + now - then
            for kept, now, then in zip(self._lately[n], counts, seen, strict=True)
        ]
        if not any(lately):
            return False
        low, high = SHARES_BELOW
        below = min(high, max(low, 1 - SLOW_ONES_MIN / sum(lately)))
        usual = max(COMMIT_SECONDS_MIN, quantile_seconds(self._usual[n], below) or 0.0)
        return (quantile_seconds(lately, below) or 0.0) > SLOWER_MAX * usual


async def copy_beside(job: CopyJob, throttle: Throttle) -> AsyncGenerator[News, None]:
    """Run the child until it has ended; the last news may tell that it failed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trading_engine", "copy-slots",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    asked = asyncio.ensure_future(child.stdout.readline())
    try:
        _tell(child.stdin, job.line().encode() + b"\n%.3f\n" % throttle.share)
        looked = time.monotonic()
        while True:
            await asyncio.wait([asked], timeout=LOOK_SECONDS)
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                _tell(child.stdin, b"%.3f\n" % throttle.look())
            if not asked.done():
                yield News()
                continue
            line = asked.result()
            if not line:
                break
            asked = asyncio.ensure_future(child.stdout.readline())
            told = json.loads(line)
            if told["event"] == "local":
                throttle.shares_machine()
                _tell(child.stdin, b"%.3f\n" % throttle.share)
                continue
            whole = told["event"] == "done"
            if told["event"] == "failed":
                yield News(failed=told["text"], code=told["code"])
                return
            at = {int(slot): sequence for slot, sequence in told.get("at", {}).items()}
            yield News(
                told["bytes"], 100 if whole else told.get("percent", 0), told.get("rested", 0.0), at
            )
            if whole:
                return
        yield News(failed="the copier ended early", code="other")
    finally:
        asked.cancel()
        if child.returncode is None:
            child.kill()
        await child.wait()


def _tell(stdin: asyncio.StreamWriter, text: bytes) -> None:
    """A child that has ended takes nothing any more: what it said last is read all the same."""
    with suppress(RuntimeError, ConnectionError):
        stdin.write(text)
