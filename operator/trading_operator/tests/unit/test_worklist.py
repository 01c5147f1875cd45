"""The worklist: no key twice, one visit at a time, patience with what fails."""

from __future__ import annotations

import asyncio

from trading_operator.shell.worklist import BACKOFF_SECONDS_MAX, Worklist


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _take_now(worklist: Worklist[str]) -> str | None:
    task = asyncio.create_task(worklist.take())
    for _ in range(5):
        await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


def test_a_key_added_twice_is_taken_once() -> None:
    async def scenario() -> None:
        worklist: Worklist[str] = Worklist(Clock())
        worklist.add("a")
        worklist.add("a")
        assert await _take_now(worklist) == "a"
        assert await _take_now(worklist) is None

    asyncio.run(scenario())


def test_a_key_added_during_its_visit_is_taken_after_it() -> None:
    async def scenario() -> None:
        clock = Clock()
        worklist: Worklist[str] = Worklist(clock)
        worklist.add("a")
        assert await _take_now(worklist) == "a"
        worklist.add("a")
        clock.now += 10
        assert await _take_now(worklist) is None
        worklist.done("a")
        assert await _take_now(worklist) == "a"

    asyncio.run(scenario())


def test_two_visits_of_a_key_keep_their_distance() -> None:
    async def scenario() -> None:
        clock = Clock()
        worklist: Worklist[str] = Worklist(clock, pause_seconds=1.0)
        worklist.add("a")
        assert await _take_now(worklist) == "a"
        worklist.done("a")
        worklist.add("a")
        clock.now += 0.9
        assert await _take_now(worklist) is None
        clock.now += 0.2
        assert await _take_now(worklist) == "a"

    asyncio.run(scenario())


def test_an_earlier_time_wins_over_a_later_one() -> None:
    async def scenario() -> None:
        clock = Clock()
        worklist: Worklist[str] = Worklist(clock)
        worklist.add_after("a", 60.0)
        worklist.add_after("a", 5.0)
        worklist.add_after("a", 30.0)
        clock.now += 5.0
        assert await _take_now(worklist) == "a"

    asyncio.run(scenario())


def test_what_fails_is_tried_ever_more_rarely_and_what_succeeds_at_once_again() -> None:
    worklist: Worklist[str] = Worklist(Clock())
    waits = [worklist.failed("a") for _ in range(20)]
    assert waits[0] < 0.5
    assert waits[5] > waits[0] * 10
    assert max(waits) <= BACKOFF_SECONDS_MAX * 1.2
    worklist.done("a")
    assert worklist.failed("a") < 0.5


def test_a_forgotten_key_does_not_come_back() -> None:
    async def scenario() -> None:
        clock = Clock()
        worklist: Worklist[str] = Worklist(clock)
        worklist.add_after("a", 1.0)
        worklist.forget("a")
        clock.now += 10
        assert await _take_now(worklist) is None
        assert worklist.depth == 0

    asyncio.run(scenario())


def test_the_longest_visit_in_progress_is_told() -> None:
    async def scenario() -> None:
        clock = Clock()
        worklist: Worklist[str] = Worklist(clock)
        assert worklist.visiting_seconds() == 0.0
        worklist.add("a")
        await _take_now(worklist)
        clock.now += 7.0
        assert worklist.visiting_seconds() == 7.0
        worklist.done("a")
        assert worklist.visiting_seconds() == 0.0

    asyncio.run(scenario())
