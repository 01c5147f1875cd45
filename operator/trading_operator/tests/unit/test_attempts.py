"""Promises of the supervisor's memory: backoff, stops that are no failures, nothing that counts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from trading_operator.planner.observed import ProcessSeen
from trading_operator.substrates.processes.attempts import Attempts, retry_delay_seconds
from trading_operator.substrates.processes.layout import Layout


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(tmp_path: Path, clock: Clock) -> Attempts:
    layout = Layout(tmp_path)
    layout.make()
    return Attempts(layout, clock)


def seen(pid: int) -> dict[str, ProcessSeen]:
    return {"replica-0": ProcessSeen("replica-0", "replica", pid, "hash")}


def test_the_first_end_is_answered_at_once_and_later_ones_wait_longer() -> None:
    delays = [retry_delay_seconds(count) for count in range(1, 12)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert max(delays) <= 15


def test_quick_ends_in_a_row_are_counted_and_a_long_life_forgives(
    attempts: Attempts, clock: Clock
) -> None:
    for pid in (11, 12, 13):
        attempts.compare(seen(pid))
        clock.now += 1
        attempts.compare({})
    assert attempts.failures["replica-0"].count == 3
    assert attempts.failures["replica-0"].retry_at > clock.now
    attempts.compare(seen(14))
    clock.now += 11
    attempts.compare(seen(14))
    assert attempts.failures == {}


def test_an_end_that_was_asked_for_is_no_failure(attempts: Attempts, clock: Clock) -> None:
    attempts.compare(seen(11))
    attempts.asked_to_stop("replica-0", 11)
    clock.now += 5
    assert attempts.compare(seen(11))["replica-0"].stopping_since == 1000.0
    attempts.compare({})
    assert attempts.failures == {}


def test_a_new_process_does_not_inherit_that_the_old_one_is_stopping(attempts: Attempts) -> None:
    attempts.compare(seen(11))
    attempts.asked_to_stop("replica-0", 11)
    assert attempts.compare(seen(12))["replica-0"].stopping_since is None


def test_a_component_that_was_not_started_by_us_is_adopted(attempts: Attempts) -> None:
    assert attempts.compare(seen(11)) == seen(11)
    assert attempts.failures == {}


def test_the_reason_of_an_end_comes_from_the_log(attempts: Attempts, tmp_path: Path) -> None:
    Layout(tmp_path).log_file("replica-0").write_text("one\nFATAL: no such thing\ntail\n")
    child = subprocess.Popen(["/bin/sh", "-c", "exit 3"])
    attempts.started("replica-0", child)
    child.wait()
    attempts.compare({})
    text = attempts.failures["replica-0"].text
    assert "code 3" in text
    assert "no such thing" in text
