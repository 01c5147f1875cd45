"""Whatever pub/sub loses, repeats or delays: executions come once, in order, or a gap is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_backend.executions import ExecutionFeeds, Executions
from trading_backend.tests.unit.live_replica import run, wait_for

CHANNEL = "{user-1}:executions"


class World:
    """A partition, a channel that loses messages, and a listener: all three."""

    def __init__(self, *, kept: int = 1000, can_tell: bool = True) -> None:
        self.incarnation, self.published = "i1", 0
        self.messages: list[bytes] = []
        self.kept, self.can_tell = kept, can_tell
        self.seen: list[Any] = []
        self.on_message: Callable[[bytes], None] = lambda _: None
        self.on_restart: Callable[[], None] = lambda: None
        self.feeds = ExecutionFeeds(self, self)  # type: ignore[arg-type]
        self.end = self.feeds.listen(CHANNEL, self)

    # The partition

    def publish(self) -> bytes:
        """The next message."""
        number = len(self.messages) + 1
        self.published += 1
        head = {"p": "p0", "i": self.incarnation, "n": number, "x": [{"v": self.published}]}
        self.messages.append(msgspec.msgpack.encode(head))
        return self.messages[-1]

    def tellers(self) -> list[str]:
        """Itself."""
        return ["p0"] if self.can_tell else []

    def ask_again(self, partition: str, channel: str, after: int) -> bool:
        """Answers in the next turn of the loop, two messages at most."""
        if not self.can_tell:
            return False
        first = max(after, len(self.messages) - self.kept)
        found = [] if after < 0 else self.messages[first : first + 2]
        head = {"p": partition, "i": self.incarnation, "c": channel, "n": len(self.messages)}
        answer = msgspec.msgpack.encode({**head, "m": found})
        asyncio.get_running_loop().call_soon(self.feeds.on_retold, answer)
        return True

    def restart(self) -> None:
        """Another process of the same partition; it numbers anew."""
        self.incarnation, self.messages = self.incarnation + "'", []

    # The channel

    def subscribe(
        self, channel: str, on_message: Callable[[bytes], None], on_restart: Callable[[], None]
    ) -> Callable[[], None]:
        """The feed."""
        assert channel == CHANNEL
        self.on_message, self.on_restart = on_message, on_restart
        return lambda: None

    # The listener

    def on_executions(self, executions: Executions) -> None:
        """In order."""
        self.seen += [execution["v"] for execution in executions]

    def on_gap(self) -> None:
        """Told."""
        self.seen.append("gap")


async def settled(world: World) -> list[Any]:
    """What the listener saw once nothing is under way."""
    feed = world.feeds._feeds[CHANNEL]
    feed.check()
    for _ in range(3 * len(world.messages) + 20):
        await asyncio.sleep(0)
    assert all(told.waiting is None and not told.early for told in feed._told.values())
    return world.seen


fates = st.lists(st.sampled_from(["heard", "lost", "twice", "late", "restart"]), max_size=30)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(fates)
def test_what_is_lost_is_told_again_in_its_place(fates: list[str]) -> None:
    async def scenario() -> None:
        world = World()
        await asyncio.sleep(0)  # it learns where the partition is
        late: list[bytes] = []
        for fate in fates:
            message = world.publish()
            if fate in ("heard", "twice"):
                world.on_message(message)
            if fate == "twice":
                world.on_message(message)
            if fate == "late":
                late.append(message)
            if fate == "restart":
                world.on_restart()
            if fate == "heard":
                await asyncio.sleep(0)
        for message in late:
            world.on_message(message)
        assert await settled(world) == list(range(1, len(fates) + 1))
        world.end()
        await world.feeds.close()

    run(scenario())


@settings(max_examples=100, deadline=None, derandomize=True)
@given(fates, st.integers(1, 4))
def test_what_the_partition_forgot_is_a_gap_and_the_rest_comes_in_order(
    fates: list[str], kept: int
) -> None:
    async def scenario() -> None:
        world = World(kept=kept)
        await asyncio.sleep(0)
        for fate in fates:
            message = world.publish()
            if fate == "heard":
                world.on_message(message)
            if fate == "restart":
                world.on_restart()
        seen = await settled(world)
        numbers = [each for each in seen if each != "gap"]
        assert numbers == sorted(set(numbers))
        before = 0
        for each in seen:  # a hole only where it is said
            if each == "gap":
                before = -1
            else:
                assert before in (-1, each - 1), seen
                before = each
        assert not fates or before == len(fates)
        world.end()
        await world.feeds.close()

    run(scenario())


def test_a_partition_that_was_started_anew_is_a_gap_and_then_goes_on() -> None:
    async def scenario() -> None:
        world = World()
        await asyncio.sleep(0)
        world.on_message(world.publish())
        world.restart()
        world.publish()  # lost
        world.on_message(world.publish())
        assert await settled(world) == [1, "gap", 2, 3]
        world.end()
        await world.feeds.close()

    run(scenario())


def test_without_a_partition_that_tells_again_every_hole_is_a_gap() -> None:
    async def scenario() -> None:
        world = World(can_tell=False)
        for heard in (True, False, True, True):
            message = world.publish()
            if heard:
                world.on_message(message)
        world.on_restart()
        assert world.seen == [1, "gap", 3, 4, "gap"]
        world.end()
        await world.feeds.close()

    run(scenario())


def test_an_answer_that_never_comes_is_a_gap() -> None:
    async def scenario() -> None:
        world = World()
        await asyncio.sleep(0)
        world.on_message(world.publish())
        world.ask_again = lambda *_: True  # type: ignore[method-assign]
        world.publish()
        world.on_message(world.publish())
        assert world.seen == [1]
        await wait_for(lambda: world.seen == [1, "gap", 3])
        world.end()
        await world.feeds.close()

    run(scenario())
