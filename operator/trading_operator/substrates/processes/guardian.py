"""Starts the supervisor anew when it was killed or hangs.

Does nothing else, so nothing else can break it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from trading_operator.substrates.processes.keepers import (
    GUARDIAN,
    SUPERVISOR,
    heartbeat_age_seconds,
    is_kept,
    keeper_pid,
    start_keeper,
    take_keeper_lock,
    wants_to_run,
)
from trading_operator.substrates.processes.layout import Layout

LOOK_SECONDS = 0.25
HEARTBEAT_SECONDS_MAX = 60.0
RETRY_SECONDS_MAX = 10.0


def main() -> int:
    """Watch until the cluster goes down."""
    layout = Layout(Path(sys.argv[1]))
    if take_keeper_lock(layout, GUARDIAN) is None:
        return 0
    watch(layout)
    return 0


def watch(layout: Layout) -> None:
    """Look, start, wait longer after each quick end; returns when `down` is complete."""
    child: subprocess.Popen[bytes] | None = None
    started = 0.0
    delay_seconds = LOOK_SECONDS
    while wants_to_run(layout):
        time.sleep(LOOK_SECONDS)
        if child is not None:
            child.poll()
        now = time.monotonic()
        if is_kept(layout, SUPERVISOR):
            if now - started > RETRY_SECONDS_MAX:
                delay_seconds = LOOK_SECONDS
            end_when_hung(layout)
        elif wants_to_run(layout) and now - started >= delay_seconds:
            is_still_starting = child is not None and child.returncode is None
            if is_still_starting and now - started < RETRY_SECONDS_MAX:
                continue
            child, started = start_keeper(layout, SUPERVISOR), now
            delay_seconds = min(RETRY_SECONDS_MAX, 2 * delay_seconds)


def end_when_hung(layout: Layout) -> None:
    """Kill a supervisor that holds its lock but has not touched it for a minute."""
    if heartbeat_age_seconds(layout.lock_file(SUPERVISOR)) < HEARTBEAT_SECONDS_MAX:
        return
    pid = keeper_pid(layout, SUPERVISOR)
    # The lock was held a moment ago, so the id in it is not an old one.
    if pid is not None and is_kept(layout, SUPERVISOR):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
