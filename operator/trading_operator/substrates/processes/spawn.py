"""Starts a component so that it outlives the supervisor and never runs twice.

The child holds a lock on its lock file for as long as it lives, through an inherited descriptor. So
a second start is refused even when /proc shows nothing yet.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from trading_contract.errors import WorldError
from trading_operator.planner.actions import Component
from trading_operator.substrates.processes.layout import MARKER, ROLE, SETTINGS, Layout


@dataclass(frozen=True)
class Command:
    """How to start one component. `user` None = our own account."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    user: str | None = None
    under_lock: Callable[[], None] = lambda: None  # done when no other instance can be alive


class AlreadyRunningError(WorldError):
    """Another instance of the component holds its lock."""


def take_lock(path: Path) -> int:
    """The locked descriptor; raises AlreadyRunningError when somebody holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise AlreadyRunningError(f"{path.stem} is already running") from error
    return descriptor


def spawn(
    layout: Layout, component: Component, command: Command, *, lock: bool = True
) -> subprocess.Popen[bytes]:
    """Start a component in a session of its own, with its log file as output."""
    name = component.name
    environment = {
        **base_environment(command.user),
        **command.environment,
        MARKER: f"{layout.uid}/{name}",
        ROLE: component.role,
        SETTINGS: component.settings_hash,
    }
    who = identity(command.user)
    descriptor = take_lock(layout.lock_file(name)) if lock else None
    log = os.open(
        layout.log_file(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
    )
    try:
        command.under_lock()
        return subprocess.Popen(
            command.argv,
            env=environment,
            cwd=command.folder or layout.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=() if descriptor is None else (descriptor,),
            user=who.user,
            group=who.group,
            extra_groups=who.groups,
        )
    except OSError as error:
        raise WorldError(f"{name}: cannot start {command.argv[0]}: {error.strerror}") from error
    finally:
        os.close(log)
        if descriptor is not None:
            os.close(descriptor)


class Identity(NamedTuple):
    """Arguments of Popen that drop to another account; None = keep ours."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] | None = None


def identity(user: str | None) -> Identity:
    """How to become that user, without any of our groups."""
    if user is None:
        return Identity()
    entry = pwd.getpwnam(user)
    return Identity(entry.pw_uid, entry.pw_gid, ())


def base_environment(user: str | None = None) -> dict[str, str]:
    """A small clean environment: nothing of the caller's shell leaks into the components."""
    home = pwd.getpwnam(user).pw_dir if user else os.environ.get("HOME", "/")
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {"PATH": f"{path}:/usr/sbin:/sbin", "LANG": "C.UTF-8", "HOME": home}


def give_to(path: Path, user: str | None) -> None:
    """Make a folder belong to the account that a component runs under."""
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def last_line(path: Path, prefer: Sequence[str] = ("FATAL", "Error", "ERROR", "error")) -> str:
    """The most telling line near the end of a log, for a person; at most 300 characters."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    lines = [line for line in lines if line]
    for line in reversed(lines[-20:]):
        if any(word in line for word in prefer):
            return line[:300]
    return lines[-1][:300] if lines else ""
