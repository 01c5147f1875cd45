"""The tapes of core_benchmark through the binding: one call per batch, packed bytes in and out.

    python benchmarks/core/batch_from_python.py PATH_OF_core_benchmark [--batch N] [--runs N]

Prints one line of JSON per tape and batch size; batch 0 means the whole tape in one call.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from trading_engine import _core


def _run(filling: bytes, measured: bytes, batch: int) -> tuple[float, float, _core.MatchingEngine]:
    engine = _core.MatchingEngine()
    engine.add_symbol()
    engine.apply(filling)
    size = batch * _core.COMMAND_BYTES or len(measured)
    view = memoryview(measured)
    start, processor_start = time.perf_counter(), time.process_time()
    for at in range(0, len(measured), size):
        engine.apply(view[at : at + size])
    return time.perf_counter() - start, time.process_time() - processor_start, engine


def _report(name: str, filling: bytes, measured: bytes, batch: int, runs: int) -> None:
    done = [_run(filling, measured, batch) for _ in range(runs)]
    messages = len(measured) // _core.COMMAND_BYTES
    seconds = statistics.median(run[0] for run in done)
    engine = done[-1][2]
    row = {
        "name": name,
        "messages": messages,
        "batch": batch or messages,
        "seconds": round(seconds, 4),
        "messages_per_second": round(messages / seconds),
        "messages_per_processor_second": round(
            messages / statistics.median(run[1] for run in done)
        ),
        "runs": runs,
        "resting": engine.open_orders(),
        "trades": engine.counters(0)[0],
        "state_hash": f"{engine.state_hash(0):016x}",
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Write the tapes with core_benchmark, then run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("core_benchmark", type=Path)
    parser.add_argument("--batch", type=int, action="append", help="default: 512 and 0")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([arguments.core_benchmark, "--write-tapes", folder], check=True)
        for measured in sorted(Path(folder).glob("*.measured")):
            filling = measured.with_suffix(".filling").read_bytes()
            for batch in arguments.batch or [512, 0]:
                tape = measured.read_bytes()
                _report(measured.stem, filling, tape, batch, arguments.runs)


if __name__ == "__main__":
    main()
