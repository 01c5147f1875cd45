"""How idle this machine is: by made-up counters, and by those of the kernel."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from trading_engine.moving.idle_time import IdleTime

BEGIN = "cpu  100 0 100 1000 50 0 0 0 0 0\ncpu0 1 2 3\n"


@pytest.fixture
def statistics(tmp_path: Path) -> Path:
    """The file, as it was at first."""
    file = tmp_path / "stat"
    file.write_text(BEGIN)
    return file


@pytest.mark.parametrize(
    ("later", "share"),
    [
        ("cpu  100 0 100 1100 50 0 0 0 0 0", 1.0),
        ("cpu  200 0 100 1000 50 0 0 0 0 0", 0.0),
        ("cpu  120 10 110 1020 70 10 10 20 9 9", 1 / 3),  # waiting for a disk is idle, stolen not
        (BEGIN, None),  # just now
        ("cpu  100 0 100", None),
        ("cpu  a b c d e f g h", None),
        ("", None),
    ],
)
def test_the_share_of_the_time_since_the_last_look(
    statistics: Path, later: str, share: float | None
) -> None:
    idle = IdleTime(statistics)
    statistics.write_text(later)
    assert idle.share() == (None if share is None else pytest.approx(share))


def test_each_look_begins_anew(statistics: Path) -> None:
    idle = IdleTime(statistics)
    statistics.write_text("cpu  200 0 100 1000 50 0 0 0 0 0")
    assert idle.share() == 0.0
    statistics.write_text("cpu  200 0 100 1100 50 0 0 0 0 0")
    assert idle.share() == 1.0


def test_where_the_kernel_does_not_tell_nothing_is_known(tmp_path: Path) -> None:
    idle = IdleTime(tmp_path / "stat")
    assert idle.share() is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the kernel tells nothing here")
def test_of_this_machine_a_share_is_told() -> None:
    idle = IdleTime()
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        pass
    share = idle.share()
    assert share is not None
    assert 0.0 <= share < 1.0
