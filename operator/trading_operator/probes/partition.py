"""Asks a partition for its status over the wire (`kStatus`)."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from contextlib import suppress

from pydantic import ValidationError

from trading_contract.load import LOAD_BYTES_MAX, PartitionLoad
from trading_contract.moves import MoveProgress
from trading_contract.wire import STATUS_OF_LOAD
from trading_operator.planner.observed import PartitionSeen, PartitionSlot
from trading_operator.probes.loads import TIMEOUT_SECONDS, parse_partition_load

HEADER = struct.Struct("<IBBH")  # FrameHeader of wire.hpp
STATUS = 8
ANSWER_BYTES_MAX = LOAD_BYTES_MAX
KINDS_OF_OLD = frozenset({"engine", "split", "merge"})  # of a version that does not say


class PartitionProbe:
    """One kept connection to one partition."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, timeout_seconds: float = 1.0) -> PartitionSeen:
        """The partition's answer; an empty state when there is none in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return _seen(json.loads(await self._exchange(b"")))
        except (
            OSError,
            TimeoutError,
            ValueError,
            KeyError,
            TypeError,
            asyncio.IncompleteReadError,
        ):
            self.close()
            return PartitionSeen(note="does not answer")

    async def load(self, timeout_seconds: float = TIMEOUT_SECONDS) -> PartitionLoad | None:
        """Its load; None when it does not answer in time, or is of a version before that.

        Not while `ask` waits: answers come in the order of the questions.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return parse_partition_load(await self._exchange(STATUS_OF_LOAD))
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            self.close()
            return None

    async def _exchange(self, question: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(HEADER.pack(HEADER.size + len(question), STATUS, 0, 0) + question)
        while True:
            length, kind, _, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
            if not HEADER.size <= length <= ANSWER_BYTES_MAX:
                raise ValueError("frame out of bounds")
            payload = await reader.readexactly(length - HEADER.size)
            if kind == STATUS:
                return payload

    def close(self) -> None:
        """Drop the connection; the next question makes a new one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _seen(answer: object) -> PartitionSeen:
    if not isinstance(answer, dict):
        raise TypeError("the status is no JSON object")
    slots = tuple(PartitionSlot(int(s["id"]), int(s["epoch"])) for s in answer.get("slots", ()))
    return PartitionSeen(
        str(answer["state"]).lower(), str(answer.get("incarnation", "")), slots,
        str(answer.get("note", "")), tuple(_moves(answer.get("moves"))),
        tuple(str(each) for each in answer.get("move_differences", ())), _kinds(answer),
    )  # fmt: skip


def _kinds(answer: dict[str, object]) -> frozenset[str]:
    if "moves" not in answer:
        return frozenset()
    told = answer.get("move_kinds")
    return frozenset(map(str, told)) if isinstance(told, list) else KINDS_OF_OLD


def _moves(told: object) -> Iterator[MoveProgress]:
    """What we understand of it: the rest comes from another version."""
    for each in told if isinstance(told, list) else ():
        with suppress(ValidationError):
            yield MoveProgress.model_validate(each)
