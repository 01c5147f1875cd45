"""`tradingctl simulate`: traces, reports, the picture, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from trading_contract.errors import UserError
from trading_operator.cli.__main__ import main, parser
from trading_operator.cli.simulate_arguments import STRATEGY_NAMES, TRACE_NAMES
from trading_operator.simulation.strategies import STRATEGIES
from trading_operator.simulation.traces import TRACES, trace_from_csv

SMALL = ["--partitions", "3", "--symbols", "60", "--hours", "0.1"]


def simulate(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs the command."""
    monkeypatch.setattr(sys, "argv", ["tradingctl", "simulate", *SMALL, *arguments])
    return main()


def test_the_names_in_the_help_are_those_there_are() -> None:
    assert tuple(TRACES) == TRACE_NAMES
    assert tuple(STRATEGIES) == STRATEGY_NAMES
    assert "simulate" in parser().format_help()


def test_a_run_tells_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(monkeypatch, "--strategy", "all", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["strategy"] for each in told] == list(STRATEGIES)
    assert told[0]["invariants_broken"] == []
    assert told[0]["orders_served_share"] > 0.9
    assert simulate(monkeypatch) == 0
    assert capsys.readouterr().out.startswith("strategy  served")


def test_the_picture_is_an_svg_with_all_panels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "run.svg"
    assert simulate(monkeypatch, "--trace", "hot-symbol", "--plot", str(path)) == 0
    root = ET.fromstring(path.read_text())
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "hot-symbol, seed 1: planner" in texts
    assert {"orders per second", "parts that are ready", "pause of each move, ms"} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 8


def test_a_persons_own_trace_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "load.csv"
    path.write_text("seconds,factor,rank,factor_of_symbol\n0,1,,\n60,2,0,5\n120,1,,\n")
    assert simulate(monkeypatch, "--trace", str(path), "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["seconds"] == 175.0
    trace = trace_from_csv(path.read_text(), "load")
    assert [trace.demand(t) for t in (0, 59, 60, 130, 1e9)] == [1, 1, 2, 1, 1]
    assert [dict(trace.hot(t)) for t in (0, 60, 120)] == [{}, {0: 5.0}, {}]


REFUSED = {
    "time,load\n0,1\n": "t:1: begin with the line seconds,factor",
    "seconds,factor\n0,1\n60,\n120,1\n": "t:3: a hole",
    "seconds,factor\n0,1\n60,2\n180,1\n": "t:4: a hole: 120 s after the line before",
    "seconds,factor\n0,1\n\n60,1\n": "t:3: a hole",
    "seconds,factor\n0,1\n60,nan\n": "t:3: numbers must be finite",
    "seconds,factor\n0,1\n60,-2\n": "t:3: numbers must be finite and not negative",
    "seconds,factor\n0,1\n60,much\n": "t:3: 60, much: not all of these are numbers",
    "seconds,factor\n5,1\n60,2\n": "t:2: the first line must be of second 0",
    "seconds,factor\n0,1\n0,2\n": "t:3: times must rise",
    "seconds,factor\n0,1\n": "t: at least two lines",
    "seconds,factor,rank,factor_of_symbol\n0,1,3,\n": "t:2: rank (a whole number) and factor",
    "": "t: at least two lines",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_trace_with_holes_or_nonsense_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(UserError) as refusal:
        trace_from_csv(text, "t")
    assert REFUSED[text] in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--trace", "nowhere.csv"], "neither a file nor one of constant"),
        (["--strategy", "best"], "--strategy: one of planner"),
        (["--symbols", "0"], "--symbols: 1 to 100,000"),
        (["--hours", "-1"], "--hours: more than 0"),
    ],
)
def test_nonsense_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str],
    told: str,
) -> None:  # fmt: skip
    assert simulate(monkeypatch, *arguments) == 2
    assert told in capsys.readouterr().err
