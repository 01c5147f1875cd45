"""Of which class tasks are, for tests; and whether this account may ask for real time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from trading_engine.scheduling import come_at_once

USUAL = os.SCHED_OTHER
REAL_TIME = os.SCHED_RR


def in_a_thread(work: Callable[[], None]) -> None:
    """So that this one stays as it is."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def is_granted() -> bool:
    """Whether this account may ask for real time."""
    found: list[bool] = []
    in_a_thread(lambda: found.append(come_at_once()))
    return found[0]


needs_real_time = pytest.mark.skipif(
    not is_granted(), reason="this account may not ask for real time: RLIMIT_RTPRIO is 0"
)


def scheduled(task: int = 0) -> int:
    """The class of a task."""
    return os.sched_getscheduler(task) & ~os.SCHED_RESET_ON_FORK
