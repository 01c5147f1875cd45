"""The matching core alone, and through one call per batch from Python, on the same tapes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.driver import BUILD
from bench.figures import Figure
from bench.processes import BenchError

BATCH = 512
DEEP_10K, DEEP_1M = "deep-10k", "deep-1m"


@dataclass
class CoreFigures:
    """Messages per second with 10 k and with 1 M resting orders; the sides take turns."""

    runs: int
    is_quick: bool
    say: Callable[[str], None]

    def measure(self) -> list[Figure]:
        """Each run builds its book anew; both sides must end in the same state."""
        deep: list[dict[str, Any]] = []
        shallow: list[dict[str, Any]] = []
        python: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory(prefix="tc-tapes-", dir="/var/tmp") as folder:
            _run([str(_binary()), "--only", DEEP_10K, "--write-tapes", folder])
            for number in range(self.runs):
                shallow.append(_core(DEEP_10K))
                python.append(_python(Path(folder)))
                deep.append(_core(DEEP_1M))
                self.say(
                    f"core, run {number + 1}: 10k {_rate(shallow[-1]):,.0f}/s,"
                    f" from Python {_rate(python[-1]):,.0f}/s, 1M {_rate(deep[-1]):,.0f}/s"
                )
                if python[-1]["state_hash"] != shallow[-1]["state_hash"]:
                    raise BenchError("the core and its binding end in different states")
        core = [_rate(run) for run in shallow]
        return [
            Figure("core_messages_per_second_10k", "messages/s", core, details=_details(shallow)),
            Figure(
                "core_messages_per_second_1m", "messages/s", [_rate(run) for run in deep],
                details=_details(deep),
            ),
            Figure(
                "core_python_batch_messages_per_second", "messages/s",
                [_rate(run) for run in python], "the core alone, 10 k resting", core,
                {"batch": BATCH, "resting": shallow[0]["resting"]},
            ),
        ]  # fmt: skip


def _details(runs: list[dict[str, Any]]) -> dict[str, Any]:
    last = runs[-1]
    shown = {key: last[key] for key in ("messages", "batch", "resting", "trades", "accounts")}
    return {**shown, "tape": last["name"], "state_hash": last["state_hash"]}


def _rate(run: dict[str, Any]) -> float:
    return float(run["messages_per_second"])


def _core(tape: str) -> dict[str, Any]:
    argv = [str(_binary()), "--runs", "1", "--batch", str(BATCH), "--only", tape]
    return _parsed(_run(argv))


def _python(folder: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("core_python.py")
    tapes = [str(folder / f"{DEEP_10K}.{part}") for part in ("filling", "measured")]
    return _parsed(_run([sys.executable, str(script), *tapes, str(BATCH)]))


def _parsed(text: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(text)
    return result


def _binary() -> Path:
    return BUILD / "benchmarks" / "core" / "core_benchmark"


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)} -> {done.returncode}: {done.stderr.strip()}")
    return done.stdout
