"""Open client connections, handed from one process of a machine to another.

The load balancer accepts connections and hands each to a replica, which then talks with its client
itself; a replica hands idle ones back when others have fewer, or when it goes away. Descriptors
travel over a UNIX socket of packets, so a message and its descriptors arrive together or not at
all; those of a process that died are closed by the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MESSAGE_BYTES_MAX = 4096
DESCRIPTORS_MAX = 64  # of one message; Linux allows 253
READS_MAX = 64  # of one turn of the event loop
REPORT_SECONDS = 0.2
SILENCE_SECONDS_MAX = 1.0  # then a replica counts as one that hangs

WELCOME = b"W"  # balancer -> whoever comes: it lives
TAKE = b"T"  # balancer -> replica, with descriptors
_BACK = b"B"  # replica -> balancer, with descriptors
_GIVE = b"G"  # balancer -> replica: that many, please
_REPORT = b"R"  # replica -> balancer


class Serves(StrEnum):
    """What a replica can do for clients, from most to least."""

    ALL = "all"  # it reaches every partition
    SOME = "some"
    LEAVES = "leaves"  # it takes no more connections and wants to be rid of those it has


@dataclass(frozen=True)
class Report:
    """What a replica says of itself, every REPORT_SECONDS and on each change."""

    replica: str
    serves: Serves
    connections: int  # of clients, now
    taken: int  # of those that were handed to it over this socket, ever
    requests_per_second: float = 0.0  # lately, of whatever kind

    def packed(self) -> bytes:
        """As a message."""
        fields = {
            "replica": self.replica, "serves": self.serves,
            "connections": self.connections, "taken": self.taken,
            "requests_per_second": self.requests_per_second,
        }  # fmt: skip
        return _REPORT + json.dumps(fields).encode()


@dataclass(frozen=True)
class Give:
    """A wish of the balancer: hand so many connections back between two requests, from now on.

    In all, and together with no more work than that many requests a second; without a count those
    that have the work, however many.
    """

    count: int
    requests_per_second: float

    def packed(self) -> bytes:
        """As a message."""
        return _GIVE + f"{self.count} {self.requests_per_second}".encode()


@dataclass(frozen=True)
class Back:
    """A replica hands a connection back, and says how busy it was."""

    requests_per_second: float

    def packed(self) -> bytes:
        """As a message."""
        return _BACK + str(self.requests_per_second).encode()


def parse(data: bytes) -> Report | Give | Back | bytes:
    """What a message says; those without a body are themselves. Raises ValueError for others."""
    if data in (WELCOME, TAKE):
        return data
    kind, body = data[:1], data[1:]
    if kind == _GIVE:
        count, work = body.split()
        return Give(int(count), float(work))
    if kind == _BACK:
        return Back(float(body))
    if kind != _REPORT:
        raise ValueError(f"{data[:40]!r} is no message between load balancer and replica")
    try:
        told = json.loads(body)
        return Report(
            str(told["replica"]), Serves(told["serves"]),
            int(told["connections"]), int(told["taken"]),
            float(told.get("requests_per_second", 0.0)),  # a replica of a version before has none
        )  # fmt: skip
    except (KeyError, TypeError) as problem:
        raise ValueError(f"a report without {problem}") from problem


class Channel:
    """One end of the socket, on the running event loop; confined to it.

    `on_message` gets data and descriptors, which are the receiver's to close. `on_lost` is called
    once, when the other end is gone or said what it must not; not after `close`.
    """

    def __init__(
        self,
        end: socket.socket,
        on_message: Callable[[bytes, list[int]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._end = end
        self._on_message = on_message
        self._on_lost = on_lost
        self._is_open = True
        self._loop = asyncio.get_running_loop()
        end.setblocking(False)
        self._loop.add_reader(end.fileno(), self._read)

    def send(self, data: bytes, descriptors: Sequence[int] = ()) -> bool:
        """Send at once; False: it is full or gone, and the descriptors did not go.

        What was sent is still open here, and to be closed.
        """
        if not self._is_open:
            return False
        try:
            socket.send_fds(self._end, [data], descriptors)
        except OSError:
            return False  # should it be gone, reading tells
        return True

    def close(self) -> None:
        """Let go of it."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._end.fileno())
            self._end.close()

    def _read(self) -> None:
        for _ in range(READS_MAX):
            try:
                data, descriptors, flags, _ = socket.recv_fds(
                    self._end, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, descriptors, flags = b"", [], 0
            if not data or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                self._lose(descriptors)
                return
            try:
                self._on_message(data, descriptors)
            except ValueError:
                self._lose(())  # it had them
                return
            if not self._is_open:
                return

    def _lose(self, descriptors: Sequence[int]) -> None:
        for each in descriptors:
            os.close(each)
        self.close()
        self._on_lost()


def listen(path: Path) -> socket.socket:
    """The balancer's end, only for processes of this account; what a dead one left is replaced."""
    end = _packets()
    path.unlink(missing_ok=True)
    with _short(path) as name:
        before = os.umask(0o177)
        try:
            end.bind(name)
        finally:
            os.umask(before)
    end.listen(128)
    end.setblocking(False)
    return end


def connect(path: Path) -> socket.socket:
    """A replica's end. Raises OSError while no balancer listens."""
    end = _packets()
    try:
        with _short(path) as name:
            end.connect(name)
    except OSError:
        end.close()
        raise
    return end


def _packets() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the same file that is short enough for a UNIX socket, however deep it lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
