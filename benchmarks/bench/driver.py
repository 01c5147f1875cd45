"""The load driver as a function: options in, result out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.processes import BenchError

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
CONNECTIONS = 40


@dataclass(frozen=True)
class Load:
    """One run of the driver."""

    mode: str
    url: str
    symbols: Sequence[str]
    prefix: str
    keys_file: Path | None = None
    duration_seconds: float = 4
    warmup_seconds: float = 1
    rate: float = 0
    seed: int = 1
    batch_size: int = 100
    in_flight: int = 64
    connections: int = CONNECTIONS
    cross_percent: int = 10
    cancel_percent: int = 0
    levels: int = 200
    orders_max: int = 50_000_000
    resends: int = 0  # mode rest: of an order whose answer is not clear
    record_file: Path | None = None  # for e2e/history


@dataclass(frozen=True)
class LoadResult:
    """What the driver counted."""

    orders_per_second: float
    acknowledged: int
    sent: int
    p50_milliseconds: float
    p99_milliseconds: float
    driver_cpu_microseconds: float
    orders_in_window: float
    errors: dict[str, int] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)


def build(log: Path) -> None:
    """Build the driver and the benchmark of the core when they are not there; minutes at first."""
    if (BUILD / "CMakeCache.txt").exists() and driver_binary().exists():
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        for argv in (
            ["cmake", "-S", str(ROOT), "-B", str(BUILD), "-DTRADING_BENCHMARKS=ON"],
            ["cmake", "--build", str(BUILD), "-j2"],
        ):
            if subprocess.run(argv, stdout=file, stderr=file, check=False).returncode != 0:
                raise BenchError(f"the driver cannot be built: see {log}")


def driver_binary() -> Path:
    """Where the build puts it."""
    return BUILD / "benchmarks" / "load_driver" / "load-driver"


def run_load(load: Load) -> LoadResult:
    """Run the driver once; raises BenchError when it could not run."""
    argv = [
        str(driver_binary()), "--mode", load.mode, "--url", load.url, "--json",
        "--symbols", ",".join(load.symbols), "--client-id-prefix", load.prefix,
        "--connections", str(load.connections), "--seed", str(load.seed),
        "--duration-seconds", str(load.duration_seconds),
        "--warmup-seconds", str(load.warmup_seconds),
        "--batch-size", str(load.batch_size), "--in-flight", str(load.in_flight),
        "--cross-percent", str(load.cross_percent), "--levels", str(load.levels),
        "--cancel-percent", str(load.cancel_percent), "--orders-max", str(load.orders_max),
        "--tick-size", "0.01", "--lot-size", "0.0001",
    ]  # fmt: skip
    if load.rate:
        argv += ["--rate", f"{load.rate:.1f}"]
    if load.resends:
        argv += ["--resends", str(load.resends)]
    if load.record_file is not None:
        argv += ["--record", str(load.record_file)]
    if load.keys_file is not None:
        argv += ["--keys-file", str(load.keys_file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        raise BenchError(f"{load.mode} at {load.url}: {done.stderr.strip()}")
    raw = json.loads(done.stdout)
    latency = raw["latency_microseconds"]
    return LoadResult(
        orders_per_second=raw["orders_per_second"],
        acknowledged=raw["orders_acknowledged"],
        sent=raw["orders_sent"],
        p50_milliseconds=latency["p50"] / 1000,
        p99_milliseconds=latency["p99"] / 1000,
        driver_cpu_microseconds=raw["cpu_microseconds_per_order"],
        orders_in_window=raw["orders_per_second"] * load.duration_seconds,
        errors=raw["errors"],
        raw=raw,
    )


def verify(result: LoadResult, stored: int, what: str) -> None:
    """A run counts only when every order was acknowledged and every acknowledged one is stored."""
    if result.errors:
        raise BenchError(f"{what}: errors {result.errors}; the run does not count")
    if not result.acknowledged or result.acknowledged != stored:
        raise BenchError(
            f"{what}: {result.acknowledged} orders were acknowledged, {stored} are stored"
        )
