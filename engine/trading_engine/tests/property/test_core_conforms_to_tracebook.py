"""tracebook-conformance, seed 42: fifo-full-v1 and its three self-trade cases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CANDIDATE = f"{sys.executable} -m trading_engine.tests.tracebook_adapter"


def _tracebook(*arguments: str) -> None:
    command = [sys.executable, "-m", "tracebook.conformance.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_core_qualifies_for_fifo_full_v1(tmp_path: Path) -> None:
    _tracebook(
        "qualify",
        *("--profile", "fifo-full-v1", "--seed", "42"),
        *("--traces", "25", "--events-per-trace", "200"),
        *("--candidate-cmd", CANDIDATE, "--output-dir", str(tmp_path / "report")),
    )


@pytest.mark.parametrize(
    ("case", "policy"),
    [
        ("stp-cancel-resting", "CANCEL_RESTING"),
        ("stp-cancel-resting-deep", "CANCEL_RESTING"),
        ("stp-cancel-incoming", "CANCEL_INCOMING"),
    ],
)
def test_the_core_prevents_self_trades_as_tracebook_does(
    case: str, policy: str, tmp_path: Path
) -> None:
    suite = tmp_path / "suite"
    _tracebook("sample", str(suite), "--suite-version", "v2")
    _tracebook(
        "run",
        str(suite / f"{case}.jsonl"),
        *("--self-trade-policy", policy, "--candidate-cmd", CANDIDATE),
    )
