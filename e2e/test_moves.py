"""Symbols move between partitions and shards while clients trade on them, and nobody notices."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange import Exchange, brought_up
from judged import crowd_of, judge, pid_of, unclear_after_one_retry, wait_for_acknowledgements
from reading import Reader

EXAMPLE = Path(__file__).parents[1] / "examples" / "09-moves" / "cluster.yaml"
RATE = 100  # calls a second of each of the two clients


@pytest.fixture
def moving() -> Iterator[Exchange]:
    """The example's cluster, for one test alone: its whole history is judged."""
    with brought_up("moving", EXAMPLE) as running:
        yield running


def scaled(folder: Path, **counts: int) -> str:
    """The example with another number of partitions or shards."""
    document = yaml.safe_load(EXAMPLE.read_text())
    document["spec"] |= {tier: {"count": count} for tier, count in counts.items()}
    path = folder / ("-".join(f"{tier}-{count}" for tier, count in counts.items()) + ".yaml")
    path.write_text(yaml.safe_dump(document))
    return str(path)


def owner_of(exchange: Exchange, symbol: str, tier: str = "partition") -> str:
    """The partition, or the shard, that the status says."""
    slots = exchange.status()["slots"]
    return next(str(s[tier]) for s in slots if s["first"] <= symbol < s["past"])


def partitions_of(exchange: Exchange) -> set[str]:
    """Who owns anything."""
    return {slot["partition"] for slot in exchange.status()["slots"]}


def shards_of(exchange: Exchange) -> set[str]:
    """Which shards own anything."""
    return {slot["shard"] for slot in exchange.status()["slots"]}


def until(holds: Callable[[], bool], what: str, seconds_max: float = 120) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds_max} s: {what}"
        time.sleep(0.2)


def moves_of(exchange: Exchange) -> list[dict[str, Any]]:
    """`tradingctl moves -o json`."""
    found: list[dict[str, Any]] = json.loads(exchange.ctl("moves", "-o", "json"))["moves"]
    return found


def nobody_noticed(exchange: Exchange, folder: Path, accounts: dict[str, int]) -> None:
    """All laws hold, and every call was clear after one retry at the latest."""
    assert unclear_after_one_retry(folder, accounts) == []
    judge(exchange, folder, accounts)


def all_but_the_last_stayed(exchange: Exchange) -> None:
    """Every move was verified, told its pause, and is done; the one named "last" went back."""
    for each in moves_of(exchange):
        status = each["status"]
        assert status["state"] == ("Reversed" if each["metadata"]["name"] == "last" else "Done")
        assert status["verified"], each
        assert status["pauseMilliseconds"] > 0, each


def test_a_symbol_moves_there_and_back_under_load(moving: Exchange, tmp_path: Path) -> None:
    crowd, accounts = crowd_of(moving, tmp_path, "m", RATE)
    home = owner_of(moving, "BTCUSDT")
    other = "partition-1" if home == "partition-0" else "partition-0"
    with crowd:
        wait_for_acknowledgements(crowd, 200, 30)
        for number in range(3):
            for target in (other, home):
                name = f"m-{number}-{target}"
                moving.ctl("move", "BTCUSDT", "--to", target, "--as", name, "--wait")
                assert owner_of(moving, "BTCUSDT") == target
                wait_for_acknowledgements(crowd, 100, 30)
        moving.ctl("move", "BTCUSDT", "--to", other, "--as", "last", "--wait")
        moving.ctl("moves", "reverse", "last", "--wait")
        assert owner_of(moving, "BTCUSDT") == home
        wait_for_acknowledgements(crowd, 100, 30)
    all_but_the_last_stayed(moving)
    nobody_noticed(moving, tmp_path, accounts)


def test_partitions_come_and_go_under_load(moving: Exchange, tmp_path: Path) -> None:
    crowd, accounts = crowd_of(moving, tmp_path, "s", RATE)
    with crowd:
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("apply", "-f", scaled(tmp_path, partitions=4))
        until(lambda: len(partitions_of(moving)) == 4, "four partitions own something")
        moving.wait_ready()
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("apply", "-f", str(EXAMPLE))
        until(lambda: partitions_of(moving) == {"partition-0", "partition-1"}, "two are empty")
        moving.wait_ready()
        names = {each["name"] for each in moving.status()["processes"]}
        assert not {"partition-2", "partition-3"} & names
        wait_for_acknowledgements(crowd, 200, 30)
    nobody_noticed(moving, tmp_path, accounts)


def test_a_supervisor_that_is_killed_in_the_middle_goes_on_where_it_was(
    moving: Exchange, tmp_path: Path
) -> None:
    crowd, accounts = crowd_of(moving, tmp_path, "k", RATE)
    with crowd:
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("apply", "-f", scaled(tmp_path, partitions=3))
        until(lambda: bool(moving.topology().get("moves")), "a move is ordered")
        os.kill(pid_of(moving, "supervisor"), signal.SIGKILL)
        until(lambda: len(partitions_of(moving)) == 3, "three partitions own something")
        moving.wait_ready()
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("drain", "partition-1", "--wait")
        until(lambda: "partition-1" not in partitions_of(moving), "it is empty")
        moving.ctl("undrain", "partition-1")
        until(lambda: "partition-1" in partitions_of(moving), "it has symbols again")
        wait_for_acknowledgements(crowd, 200, 30)
    nobody_noticed(moving, tmp_path, accounts)


def test_partitions_restart_empty_for_other_settings(moving: Exchange, tmp_path: Path) -> None:
    crowd, accounts = crowd_of(moving, tmp_path, "r", RATE)
    document = yaml.safe_load(EXAMPLE.read_text())
    document["spec"]["observability"] = {"logLevel": "warning"}
    path = tmp_path / "quieter.yaml"
    path.write_text(yaml.safe_dump(document))
    before = {name: pid_of(moving, name) for name in ("partition-0", "partition-1")}
    with crowd:
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("apply", "-f", str(path), "--wait", "--timeout", "150")
        until(lambda: len(partitions_of(moving)) == 2, "both have symbols again")
        wait_for_acknowledgements(crowd, 200, 30)
    assert all(pid_of(moving, name) != pid for name, pid in before.items())
    asked = [each for each in moves_of(moving) if each["spec"]["requestedBy"] == "Planner"]
    assert {each["spec"]["toPartition"] for each in asked} == {"partition-0", "partition-1"}
    assert {each["status"]["state"] for each in asked} == {"Done"}
    judge(moving, tmp_path, accounts)  # replicas restart too: a call may need another retry


def test_a_symbol_changes_its_shard_and_comes_back_under_load(
    moving: Exchange, tmp_path: Path
) -> None:
    moving.ctl("apply", "-f", scaled(tmp_path, shards=2), "--wait")
    until(lambda: len(shards_of(moving)) == 2, "both shards own something")
    crowd, accounts = crowd_of(moving, tmp_path, "x", RATE)
    home, partition = (owner_of(moving, "BTCUSDT", tier) for tier in ("shard", "partition"))
    other = "shard-1" if home == "shard-0" else "shard-0"
    reader = Reader(moving, ["BTCUSDT", "ETHUSDT", "LTCUSDT"])
    with crowd, reader:
        wait_for_acknowledgements(crowd, 200, 30)
        for number in range(2):
            for target in (other, home):  # the one after ends the soak of the one before
                name = f"x-{number}-{target}"
                moving.ctl("move", "BTCUSDT", "--to", target, "--as", name, "--wait")
                assert owner_of(moving, "BTCUSDT", "shard") == target
                wait_for_acknowledgements(crowd, 100, 30)
        moving.ctl("move", "BTCUSDT", "--to", other, "--as", "last", "--wait")
        wait_for_acknowledgements(crowd, 100, 30)
        moving.ctl("moves", "reverse", "last", "--wait")
        assert owner_of(moving, "BTCUSDT", "shard") == home
        wait_for_acknowledgements(crowd, 100, 30)
    assert owner_of(moving, "BTCUSDT") == partition
    assert reader.wrong == []
    assert reader.readings > 100 and reader.trades() > 20
    all_but_the_last_stayed(moving)
    nobody_noticed(moving, tmp_path, accounts)


def test_shards_come_and_go_under_load(moving: Exchange, tmp_path: Path) -> None:
    crowd, accounts = crowd_of(moving, tmp_path, "h", RATE)
    with crowd:
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("apply", "-f", scaled(tmp_path, shards=2))
        until(lambda: shards_of(moving) == {"shard-0", "shard-1"}, "both shards own something")
        moving.wait_ready()
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("apply", "-f", str(EXAMPLE))
        until(lambda: bool(moving.topology().get("moves")), "a move is ordered")
        os.kill(pid_of(moving, "supervisor"), signal.SIGKILL)
        until(lambda: shards_of(moving) == {"shard-0"}, "one is empty")
        moving.wait_ready()
        assert "shard-1" not in {each["name"] for each in moving.status()["processes"]}
        wait_for_acknowledgements(crowd, 200, 30)
    nobody_noticed(moving, tmp_path, accounts)


@pytest.mark.parametrize(
    ("victim", "how"),
    [("replica-0", signal.SIGKILL), ("shard-0", signal.SIGQUIT), ("shard-1", signal.SIGINT)],
)
def test_a_shard_move_ends_by_itself_when_a_backend_or_a_shard_restarts_meanwhile(
    moving: Exchange, tmp_path: Path, victim: str, how: signal.Signals
) -> None:
    moving.ctl("apply", "-f", scaled(tmp_path, shards=2), "--wait")
    until(lambda: len(shards_of(moving)) == 2, "both shards own something")
    crowd, accounts = crowd_of(moving, tmp_path, "v", RATE)
    other = "shard-1" if owner_of(moving, "BTCUSDT", "shard") == "shard-0" else "shard-0"
    before = pid_of(moving, victim)
    with crowd:
        wait_for_acknowledgements(crowd, 200, 30)
        moving.ctl("move", "BTCUSDT", "--to", other, "--as", "hit")
        until(lambda: bool(moving.topology().get("moves")), "the move is ordered")
        os.kill(before, how)
        until(lambda: owner_of(moving, "BTCUSDT", "shard") == other, "it is there", 180)
        moving.wait_ready()
        wait_for_acknowledgements(crowd, 200, 30)
    assert pid_of(moving, victim) != before
    (hit,) = (each for each in moves_of(moving) if each["metadata"]["name"] == "hit")
    assert hit["status"]["verified"]
    judge(moving, tmp_path, accounts)  # while a shard restarts one retry is not enough
