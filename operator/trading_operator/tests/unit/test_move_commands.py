"""`tradingctl move`, `moves` and `drain`: what they write, and what they refuse in one line."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from trading_contract.symbolmove import MoveReason, MoveState, SymbolMoveStatus
from trading_operator.cli.__main__ import main
from trading_operator.planner.topology import topology_text
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.moves import HISTORY_MAX, MoveFiles
from trading_operator.substrates.processes.store import Store
from trading_operator.tests.builders import cluster, converged
from trading_operator.tests.scenes import LETTERS, move

WANTED = cluster(LETTERS, partitions={"count": 2})


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A cluster of two partitions in which nothing runs."""
    monkeypatch.setenv("TRADINGCTL_HOME", str(tmp_path))
    made = Layout(tmp_path / "tested")
    made.make()
    Store(made).replace(WANTED)
    topology = converged(WANTED).topology
    assert topology is not None
    made.topology_file.write_text(topology_text(topology))
    return made


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tradingctl", *words])
    return main()


def test_a_move_is_a_file_with_all_that_was_said(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("AUSDT,C..F", "--to", "partition-1", "--reason", "busy", "--manual")
    assert run(monkeypatch, "move", *words, "--max-pause-milliseconds", "50") == 0
    assert capsys.readouterr().out == "ausdt-c-f-to-partition-1 created\n"
    (made,) = MoveFiles(layout).read() or ()
    assert made.spec.symbols == ("AUSDT", "C..F")
    assert (made.spec.target, made.spec.reason, made.spec.approval) == (
        "partition-1", "busy", "Manual",
    )  # fmt: skip
    assert made.spec.max_pause_milliseconds == 50
    assert made.metadata.uid
    assert run(monkeypatch, "move", *words) == 0  # another one, by another name
    assert len(MoveFiles(layout).read() or ()) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("NOSUCH", "--to", "partition-1"), "NOSUCH is not listed"),
        (("btc", "--to", "partition-1"), "SYMBOLS"),
        (("F..A", "--to", "partition-1"), "F..A"),
        (("AUSDT", "A..C", "--to", "partition-1"), "overlap"),
        (("AUSDT", "--to", "partition-0"), "owns all of it already"),
        (("AUSDT", "--to", "partition-9"), "partition-9 does not exist"),
        (("AUSDT", "--to", "shard-0"), "shard-0 owns all of it already"),
        (("AUSDT", "--to", "shard-1"), "shard-1 does not exist (there are: shard-0)"),
        (("AUSDT", "--to", "mars"), "--to"),
        (
            ("AUSDT", "--to", "partition-1", "--max-pause-milliseconds", "1"),
            "--max-pause-milliseconds",
        ),
    ],
)
def test_nonsense_is_refused_in_one_line_and_leaves_no_file(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    assert run(monkeypatch, "move", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert MoveFiles(layout).read() == ()


def test_moves_are_listed_approved_cancelled_reversed_and_forgotten(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = MoveFiles(layout)
    assert run(monkeypatch, "moves") == 0
    assert "no moves" in capsys.readouterr().out
    run(monkeypatch, "move", "AUSDT", "--to", "partition-1", "--manual", "--as", "mine")
    assert run(monkeypatch, "moves", "approve", "mine") == 0
    assert files.get("mine").spec.approved
    assert files.get("mine").metadata.generation == 2
    assert run(monkeypatch, "moves", "cancel", "mine") == 0
    assert files.get("mine").spec.cancel
    assert run(monkeypatch, "moves", "forget", "mine") == 2
    done = SymbolMoveStatus(
        state=MoveState.DONE, reason=MoveReason.COMPLETED.value, pause_milliseconds=12.25,
        finished_time="2027-01-15T08:00:00Z", percent=100, observed_generation=3,
    )  # fmt: skip
    files.report({"mine": done, "gone": done})
    assert run(monkeypatch, "moves", "cancel", "mine") == 2
    assert "reverse" in capsys.readouterr().err
    assert run(monkeypatch, "moves", "reverse", "mine") == 0
    assert files.get("mine").spec.reverse
    capsys.readouterr()
    assert run(monkeypatch, "moves") == 0
    assert "12.2 ms" in capsys.readouterr().out
    assert run(monkeypatch, "moves", "-o", "json") == 0
    (shown,) = json.loads(capsys.readouterr().out)["moves"]
    assert shown["status"]["state"] == "Done"
    assert run(monkeypatch, "moves", "forget", "mine") == 0
    assert run(monkeypatch, "moves", "forget", "mine") == 2
    assert "there is no move mine" in capsys.readouterr().err
    assert list(layout.moves_folder.glob("**/*.json")) == []


def test_waiting_ends_with_the_move(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = MoveFiles(layout)
    for state, code in ((MoveState.DONE, 0), (MoveState.FAILED, 1)):
        status = SymbolMoveStatus(
            state=state, message="told", observed_generation=1, pause_milliseconds=3
        )

        def end(name: str = state.value.lower(), status: SymbolMoveStatus = status) -> None:
            while not (files.read() or ()) or name not in {
                m.metadata.name for m in files.read() or ()
            }:
                time.sleep(0.01)
            files.report({name: status})

        ender = threading.Thread(target=end)
        ender.start()
        name = state.value.lower()
        words = ("AUSDT", "--to", "partition-1", "--wait", "--as", name, "--timeout", "20")
        assert run(monkeypatch, "move", *words) == code
        ender.join()
        assert f"{state.value}  pause 3.0 ms  told" in capsys.readouterr().err


def test_a_status_shows_what_is_on_its_way(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "move", "AUSDT", "--to", "partition-1", "--as", "mine")
    capsys.readouterr()
    assert run(monkeypatch, "status") == 0
    assert "mine" in capsys.readouterr().out


def test_draining_is_in_the_specification_and_can_be_taken_back(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "drain", "partition-1") == 0
    stored = Store(layout).cluster()
    assert stored is not None
    assert stored.spec.partitions.drained == ("partition-1",)
    assert stored.metadata.generation == 2
    assert run(monkeypatch, "drain", "partition-0") == 2
    assert "leave one partition out" in capsys.readouterr().err
    assert run(monkeypatch, "drain", "partition-7") == 2
    assert "partition-7 does not exist" in capsys.readouterr().err
    assert run(monkeypatch, "undrain", "partition-1") == 0
    assert run(monkeypatch, "undrain", "partition-1") == 2
    stored = Store(layout).cluster()
    assert stored is not None
    assert stored.spec.partitions.drained == ()


def test_shards_are_drained_with_the_same_words(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "drain", "shard-0") == 2
    assert "leave one shard out" in capsys.readouterr().err
    Store(layout).replace(cluster(shards={"count": 2}))
    assert run(monkeypatch, "drain", "shard-1") == 0
    assert "spec.shards.drained" in capsys.readouterr().out
    stored = Store(layout).cluster()
    assert stored is not None
    assert (stored.spec.shards.drained, stored.spec.partitions.drained) == (("shard-1",), ())
    assert run(monkeypatch, "undrain", "shard-1") == 0
    assert run(monkeypatch, "undrain", "shard-1") == 2
    assert "WHERE: shard-1 is not drained" in capsys.readouterr().err


def test_a_file_that_is_no_move_is_left_out(layout: Layout) -> None:
    files = MoveFiles(layout)
    files.create("good", move().spec)
    (layout.moves_folder / "bad.json").write_text("{")
    assert [each.metadata.name for each in files.read() or ()] == ["good"]


def test_the_history_of_people_is_bounded(layout: Layout) -> None:
    files = MoveFiles(layout)
    for number in range(HISTORY_MAX + 2):
        name = f"m{number:03}"
        files.create(name, move().spec)
        ended = f"2027-01-15T08:00:00.{number:03}Z"
        files.report({name: SymbolMoveStatus(state=MoveState.DONE, finished_time=ended)})
    kept = [each.metadata.name for each in files.read() or ()]
    assert len(kept) == HISTORY_MAX
    assert kept[0] == "m002"


def test_statuses_are_written_only_when_they_differ(layout: Layout) -> None:
    files = MoveFiles(layout)
    files.create("mine", move().spec)
    status = SymbolMoveStatus(state=MoveState.MOVING)
    files.report({"mine": status})
    before = layout.move_status_file("mine").stat().st_ino
    files.report({"mine": status})
    assert layout.move_status_file("mine").stat().st_ino == before
    files.report({"mine": SymbolMoveStatus(state=MoveState.DONE)})
    assert layout.move_status_file("mine").stat().st_ino != before
