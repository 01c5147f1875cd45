"""The child process that copies, seen from its partition."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field

from trading_contract.moves import MoveProblem
from trading_engine.commit import CommitPipeline
from trading_engine.moving.copying import CopyJob

LOOK_SECONDS = 0.25
SLOWER_MAX = 1.5  # commits, while something is copied
SHARE_FIRST = 0.4  # of its time it works until it was seen what that does to commits
SHARE_MIN, SHARE_MAX = 0.1, 0.5  # commits are not all that has to wait for a processor
COMMIT_SECONDS_MIN = 0.003  # below this nothing is slow


@dataclass(frozen=True)
class News:
    """What the child told."""

    bytes: int = 0
    percent: int = 0
    at: dict[int, int] = field(default_factory=dict)  # by slot: the hot state is whole up to here
    failed: str = ""
    code: MoveProblem = ""


class Throttle:
    """How much of its time the copier may work, by what the source's commits take."""

    def __init__(self, pipeline: CommitPipeline) -> None:
        self._pipeline = pipeline
        self._seen = (pipeline.batches, pipeline.commit_seconds)
        batches = max(1, pipeline.batches)
        self._usual = max(COMMIT_SECONDS_MIN, pipeline.commit_seconds / batches)
        self.share = SHARE_FIRST

    def look(self) -> float:
        """The share from now on."""
        now = (self._pipeline.batches, self._pipeline.commit_seconds)
        batches, seconds = now[0] - self._seen[0], now[1] - self._seen[1]
        self._seen = now
        slow = batches > 0 and seconds / batches > SLOWER_MAX * self._usual
        self.share = max(SHARE_MIN, self.share / 2) if slow else min(SHARE_MAX, self.share * 1.25)
        return self.share


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
            whole = told["event"] == "done"
            if told["event"] == "failed":
                yield News(failed=told["text"], code=told["code"])
                return
            at = {int(slot): sequence for slot, sequence in told.get("at", {}).items()}
            yield News(told["bytes"], 100 if whole else told.get("percent", 0), at)
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
