"""No disk space under the data folder: said in one line, refused cleanly, over by itself."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exchange import SPEC, Exchange, Trader

WAIT_SECONDS_MAX = 90.0
DISK_MEGABYTES = 1200  # the cluster takes about 300; a shard is not started below 256
REFUSALS = {503, 504}


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system of its own."""
    folder = Path(tempfile.mkdtemp(prefix="tc-e2e-disk-", dir="/var/tmp"))
    options = f"size={DISK_MEGABYTES}m,mode=0755"
    command = ["mount", "-t", "tmpfs", "-o", options, "tc-e2e-disk", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        folder.rmdir()
        pytest.skip("there is no program `mount`")
    if done.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
def on_disk(disk: Path) -> Iterator[Exchange]:
    """A Ready cluster on it."""
    running = Exchange(disk / "home", "small")
    try:
        running.ctl("up", "-f", str(SPEC))
        yield running
    finally:
        running.ctl("down")


def fill(disk: Path) -> Path:
    """Leave no byte free; returns what to remove."""
    path = disk / "filler"
    space = os.statvfs(disk)
    blocks = repeat(bytes(1 << 16))
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize // 2)
        file.seek(0, os.SEEK_END)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            file.writelines(blocks)
    return path


def wait(what: str, exchange: Exchange, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first status for which it holds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        status = exchange.status()
        if holds(status):
            return status
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come: {status}")


def pid(status: dict[str, Any], name: str) -> int:
    """The process id of a component; 0 when it does not run."""
    return sum(each["pid"] for each in status["processes"] if each["name"] == name)


def another(name: str, exchange: Exchange) -> dict[str, Any]:
    """Kill a component; the status that has another one in its place."""
    before = pid(exchange.status(), name)
    os.kill(before, signal.SIGKILL)
    return wait(f"another {name}", exchange, lambda now: pid(now, name) not in (0, before))


def is_stalled(status: dict[str, Any]) -> bool:
    """Whether it says that the disk is full, and the way out."""
    return any(
        each["type"] == "Stalled" and each["status"] == "True"
        and each["reason"] == "StorageFull" and "free some" in each["message"]
        for each in status["conditions"]
    )  # fmt: skip


def log_is_used_up(exchange: Exchange) -> None:
    """Make each shard need another file of its log."""
    for conninfo in exchange.shard_conninfos():
        with psycopg.connect(conninfo, autocommit=True) as shard:
            shard.execute("SELECT pg_switch_wal()")


def test_a_full_disk_is_told_and_over_when_there_is_space(disk: Path, on_disk: Exchange) -> None:
    trader = Trader(on_disk.rest, on_disk.create_key("full"))
    acknowledged = [trader.place("BTCUSDT", "BUY", "0.001", "30000.00")["orderId"]]
    filler = fill(disk)
    wait("a word about the full disk", on_disk, is_stalled)

    # What needs no space is done as ever, even a dead supervisor comes back.
    second: dict[str, Any] = {}
    for name in ("replica-0", "load-balancer", "supervisor"):
        second = another(name, on_disk)

    log_is_used_up(on_disk)
    for number in range(20):
        answer = trader.signed(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
            quantity="0.001", price="30000.00", newClientOrderId=f"full-{number}",
        )  # fmt: skip
        assert answer.status_code in {200, *REFUSALS}, answer.text
        if answer.status_code == 200:
            acknowledged.append(answer.json()["orderId"])

    filler.unlink()
    on_disk.wait_ready()
    assert pid(on_disk.status(), "supervisor") == pid(second, "supervisor")
    assert "Traceback" not in (on_disk.home / "small" / "logs" / "supervisor.log").read_text()
    acknowledged.append(trader.place("BTCUSDT", "BUY", "0.001", "30000.00")["orderId"])
    kept = {each["orderId"] for each in trader.signed("GET", "openOrders").json()}
    assert set(acknowledged) <= kept
    trader.http.close()


def test_a_full_disk_can_be_left(disk: Path, on_disk: Exchange) -> None:
    filler = fill(disk)
    with pytest.raises(AssertionError, match=r"tradingctl: no disk space: .* free some"):
        on_disk.ctl("keys", "create", "none")
    on_disk.ctl("down")
    assert {each["pid"] for each in on_disk.status()["processes"]} <= {0}
    filler.unlink()
    on_disk.ctl("up", "-f", str(SPEC))
