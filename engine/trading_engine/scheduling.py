"""Who gets a processor first, among the processes of one machine: traders before copies.

What acknowledges an order sleeps and wakes several times for it (the disk, the connection); each
time another process may have the processor, and keeps it until its slice is over or the clock
ticks: up to four milliseconds, whatever its niceness. A task whose slice is shorter than that of
the one that runs need not wait (since Linux 6.12; elders ignore it). What copies and cleans up
has time: it is made nice, too, but only a little: it holds locks of the server now and then, and
who waits for them waits for its turn.

While a range is copied to another shard that is not enough: who slept a moment ago often has had
its share, and waits for the next tick although only a copy has the processor, and the other one
is idle. Who acknowledges orders is of a real-time class for that long, where this account may ask
for it (root may, others within RLIMIT_RTPRIO): it runs when it wakes, whatever others do. Not
always: it then interrupts replicas and clients, too, and half of the orders take longer.

A server elsewhere (another host, another pod) is left alone: there only rests help.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psycopg

NICENESS = 5  # a third of what others get
# Of the usual slice: shorter by so little, a batch is hardly interrupted more often.
SLICE_SHARE = 0.85
PROCESSES = Path("/proc")
_CREDENTIALS = struct.Struct("3i")  # process, user, group
# Of the system calls, which the C library has only since 2025.
_NUMBERS = {"x86_64": {"get": 315, "set": 314}, "aarch64": {"get": 275, "set": 274}}
_NORMAL = 0
_REAL_TIME_PRIORITY = 1  # the least there is: a kernel's own threads come first
_RESET_ON_FORK = 1


class _Attributes(ctypes.Structure):
    """`struct sched_attr` of sched_setattr(2)."""

    _fields_ = (
        ("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32), ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64), ("period", ctypes.c_uint64),
    )  # fmt: skip


def come_first(task: int = 0) -> bool:
    """Let a task run as soon as it wakes, if its fair share allows it; whether that was asked.

    `task`: a thread's id, 0 for this one; threads and processes that it starts later have what is
    usual.
    """
    try:
        attributes = _attributes(task)
        if attributes.policy != _NORMAL:
            return False  # somebody has thought of something better
        _set_slice(task, attributes, 0)  # what is usual here
        usual_seconds = slice_seconds(task)
        _set_slice(task, attributes, usual_seconds * SLICE_SHARE)
    except OSError:
        return False
    return usual_seconds > 0


def come_at_once(task: int = 0) -> bool:
    """Let a task run whenever it can, before all that is usual; whether that is so from now on.

    Until `come_as_usual`. Threads and processes that it starts later have what is usual.
    """
    try:
        if os.sched_getscheduler(task) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
            return False  # somebody has thought of something better
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(task, policy, os.sched_param(_REAL_TIME_PRIORITY))
    except OSError:
        return False
    return True


def come_as_usual(task: int = 0) -> bool:
    """End `come_at_once`, and come first as before; whether that was asked."""
    try:
        policy = os.SCHED_OTHER | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(task, policy, os.sched_param(0))
    except OSError:
        return False
    return come_first(task)


def _set_slice(task: int, attributes: _Attributes, seconds: float) -> None:
    attributes.runtime = round(seconds * 1e9)
    attributes.flags |= _RESET_ON_FORK
    _call("set", task, ctypes.byref(attributes), 0)


def slice_seconds(task: int = 0) -> float:
    """What the kernel tells of a task's slice; 0: nothing. Raises OSError: no such task."""
    return float(_attributes(task).runtime / 1e9)


def _attributes(task: int) -> _Attributes:
    attributes = _Attributes()
    _call("get", task, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    return attributes


def _call(what: Literal["get", "set"], *arguments: Any) -> None:
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        raise OSError(errno.ENOSYS, f"sched_{what}attr: number not known on this machine")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(numbers[what], *arguments) < 0:
        raise OSError(ctypes.get_errno(), f"sched_{what}attr")


def serve_first(connection: psycopg.Connection[Any], processes: Path = PROCESSES) -> bool:
    """Let the server's process of a connection come first; whether that was asked."""
    return _serve(connection, processes, come_first)


def serve_at_once(connection: psycopg.Connection[Any], processes: Path = PROCESSES) -> bool:
    """Let the server's process of a connection come at once; whether that is so from now on."""
    return _serve(connection, processes, come_at_once)


def serve_as_usual(connection: psycopg.Connection[Any], processes: Path = PROCESSES) -> bool:
    """End `serve_at_once`, and come first as before; whether that was asked."""
    return _serve(connection, processes, come_as_usual)


def _serve(
    connection: psycopg.Connection[Any], processes: Path, come: Callable[[int], bool]
) -> bool:
    pid = connection.info.backend_pid
    return _is_behind(connection, processes / str(pid)) and come(pid)


def step_back(connection: psycopg.Connection[Any], processes: Path = PROCESSES) -> bool:
    """Make the server's process of a connection nice, for good; whether it could be done.

    Only where that process is surely on this machine; the number alone does not tell.
    """
    pid = connection.info.backend_pid
    process = processes / str(pid)
    try:
        if not _is_behind(connection, process):
            return False
        if os.getpriority(os.PRIO_PROCESS, pid) < NICENESS:
            os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    except OSError:
        return False
    return True


def _parent(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


def _is_behind(connection: psycopg.Connection[Any], process: Path) -> bool:
    """A socket file tells the server, whose child it is; else its title tells our address."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as ours:
            if ours.family == socket.AF_UNIX:
                told = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                server = int(_CREDENTIALS.unpack(told)[0])
                return server > 0 and server == _parent(process)
            host, port = ours.getsockname()[:2]
        title = (process / "cmdline").read_bytes().rstrip(b"\0").decode()
    except (OSError, ValueError, LookupError, psycopg.Error):
        return False
    return title.startswith("postgres:") and f" {host}({port}) " in f"{title} "
