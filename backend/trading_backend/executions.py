"""Channels of executions without gaps: what pub/sub lost is asked from the partition that told it.

Every message carries the partition, its incarnation and a dense number. They are handed on in
order, each once. Only what nobody can tell any more (the partition is gone, or it forgot) is a gap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from trading_backend.background import BackgroundLoop
from trading_backend.channels import Channels

logger = logging.getLogger(__name__)

ANSWER_SECONDS_MAX = 2.0
CHECK_SECONDS = 1.0
EARLY_MAX = 1000  # messages of one partition that wait for those before them

Executions = list[dict[str, Any]]


class Message(msgspec.Struct):
    """As partitions publish it."""

    p: str
    i: str
    n: int
    x: Executions


class Retold(msgspec.Struct):
    """Content of a RETELL frame: messages of a channel, contiguous, and its newest number."""

    p: str
    i: str
    c: str
    n: int
    m: list[bytes]


class Teller(Protocol):
    """The partitions, for what they may be asked."""

    def ask_again(self, partition: str, channel: str, after: int) -> bool:
        """Ask for what was told after a number; False: that partition cannot be asked now."""

    def tellers(self) -> list[str]:
        """Partitions that can be asked now."""


class ExecutionListener(Protocol):
    """Who hears a channel."""

    def on_executions(self, executions: Executions) -> None:
        """Of all accounts of the channel, in order."""

    def on_gap(self) -> None:
        """Something was lost for good."""


@dataclass(slots=True)
class _Told:
    """What of one partition was handed on, and what waits."""

    incarnation: str
    number: int
    newest: int = 0  # as far as it said so
    early: dict[int, Executions] = field(default_factory=dict)
    waiting: asyncio.TimerHandle | None = None  # an answer is owed: without it there is a gap


class ExecutionFeed:
    """One channel, as long as it has listeners."""

    def __init__(self, channel: str, channels: Channels, teller: Teller) -> None:
        self.channel = channel
        self.listeners: list[ExecutionListener] = []
        self._teller = teller
        self._told: dict[str, _Told] = {}
        self._unsubscribe = channels.subscribe(channel, self._on_message, self._on_restart)
        self.check()

    def close(self) -> None:
        """Nobody listens any more."""
        self._unsubscribe()
        for told in self._told.values():
            self._settle(told)

    def check(self) -> None:
        """Ask everybody for what is newer: a lost message with nothing after it leaves no gap."""
        for partition in self._teller.tellers():
            told = self._told.get(partition)
            after = -1 if told is None else told.number
            self._teller.ask_again(partition, self.channel, after)

    def _on_restart(self) -> None:
        """The channel begins anew: what was told in between must be asked for."""
        for partition, told in self._told.items():
            self._ask(partition, told)
        self.check()

    def _on_message(self, data: bytes) -> None:
        message = msgspec.msgpack.decode(data, type=Message)
        told = self._told.get(message.p)
        if told is None:
            told = self._told[message.p] = _Told(message.i, message.n - 1)
        elif told.incarnation != message.i:
            self._begin_anew(told, message.i)
            if message.n > 1 and message.p not in self._teller.tellers():
                told.number = message.n - 1
        if message.n <= told.number:
            return
        told.early[message.n] = message.x
        self._hand_on(told)
        if told.early:
            self._ask(message.p, told)
            if len(told.early) > EARLY_MAX:
                self._give_up(told)

    def on_retold(self, retold: Retold) -> None:
        """A partition's answer."""
        told = self._told.get(retold.p)
        if told is None:
            self._told[retold.p] = _Told(retold.i, retold.n)
            return
        if told.incarnation != retold.i:
            self._begin_anew(told, retold.i)
            self._ask(retold.p, told)
            return
        told.newest = max(told.newest, retold.n)
        messages = [msgspec.msgpack.decode(data, type=Message) for data in retold.m]
        if messages and messages[0].n > told.number + 1:  # it has forgotten those before
            self._gap(told)
            self._skip_to(told, messages[0].n - 1)
        told.early.update((each.n, each.x) for each in messages if each.n > told.number)
        self._hand_on(told)
        if told.number >= told.newest and not told.early:
            self._settle(told)
        elif messages or told.waiting is None:
            self._settle(told)
            self._ask(retold.p, told)  # there is more

    def _begin_anew(self, told: _Told, incarnation: str) -> None:
        """The process is another one: what the one before told last is not known to anybody."""
        self._give_up(told)
        told.incarnation, told.number, told.newest = incarnation, 0, 0

    def _skip_to(self, told: _Told, number: int) -> None:
        """Hand on what there is up to this number."""
        while told.early and (first := min(told.early)) <= number:
            told.number = first - 1
            self._hand_on(told)
        told.number = max(told.number, number)

    def _hand_on(self, told: _Told) -> None:
        while (executions := told.early.pop(told.number + 1, None)) is not None:
            told.number += 1
            for listener in tuple(self.listeners):
                try:
                    listener.on_executions(executions)
                except Exception:  # one that fails must not silence the others
                    logger.exception("%s: a listener failed", self.channel)

    def _ask(self, partition: str, told: _Told) -> None:
        """Ask; an answer must come, else there is a gap."""
        if not self._teller.ask_again(partition, self.channel, told.number):
            self._give_up(told)
        elif told.waiting is None:
            loop = asyncio.get_running_loop()
            told.waiting = loop.call_later(ANSWER_SECONDS_MAX, self._give_up, told)

    def _give_up(self, told: _Told) -> None:
        """Go on with what there is."""
        self._gap(told)
        self._skip_to(told, max([told.newest, *told.early]))

    def _gap(self, told: _Told) -> None:
        self._settle(told)
        for listener in tuple(self.listeners):
            listener.on_gap()

    def _settle(self, told: _Told) -> None:
        if told.waiting is not None:
            told.waiting.cancel()
            told.waiting = None


class ExecutionFeeds:
    """All channels of executions that somebody listens to."""

    def __init__(self, channels: Channels, teller: Teller) -> None:
        self._channels = channels
        self._teller = teller
        self._feeds: dict[str, ExecutionFeed] = {}
        self._checking = BackgroundLoop("executions", self._check)

    def listen(self, channel: str, listener: ExecutionListener) -> Callable[[], None]:
        """Tell the listener what is told there; returns what ends it."""
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = ExecutionFeed(channel, self._channels, self._teller)
        feed.listeners.append(listener)
        self._checking.start()
        kept = feed

        def end() -> None:
            if listener in kept.listeners:
                kept.listeners.remove(listener)
            if not kept.listeners and self._feeds.get(channel) is kept:
                del self._feeds[channel]
                kept.close()

        return end

    def on_retold(self, data: bytes) -> None:
        """Content of a RETELL frame. Raises `msgspec.MsgspecError` when it is malformed."""
        retold = msgspec.msgpack.decode(data, type=Retold)
        feed = self._feeds.get(retold.c)
        if feed is not None:
            feed.on_retold(retold)

    async def close(self) -> None:
        """End all feeds."""
        await self._checking.close()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()

    async def _check(self) -> None:
        await asyncio.sleep(CHECK_SECONDS)
        for feed in tuple(self._feeds.values()):
            feed.check()
