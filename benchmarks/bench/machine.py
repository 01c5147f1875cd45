"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.driver import ROOT
from trading_operator.substrates.processes.postgres import postgres_folder


def machine() -> dict[str, str | int | float]:
    """Processor, cores, memory, kernel, versions, and how long an fsync takes here."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "memory_gigabytes": round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1
        ),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "postgresql": _postgresql_version(),
        "fsync_microseconds": fsync_microseconds(),
        "compiler": _first_line(["c++", "--version"]),
    }


def commit() -> str:
    """The commit that is measured, marked when the working tree differs from it."""
    head = _first_line(["git", "-C", str(ROOT), "rev-parse", "HEAD"])
    changed = subprocess.run(
        ["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no", "--",
         "backend", "crds", "engine", "operator", "benchmarks", ":!benchmarks/results"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return f"{head}{' with local changes' if changed else ''}"


def fsync_microseconds() -> float:
    """Of one fdatasync of 8 kB, by pg_test_fsync; 0 when it cannot be measured."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        done = subprocess.run(
            [postgres_folder() / "pg_test_fsync", "-s", "1", "-f", f"{folder}/probe"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    found = re.search(
        r"^\s+fdatasync\s+[\d.]+ ops/sec\s+([\d.]+) usecs/op", done.stdout, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _postgresql_version() -> str:
    return _first_line([str(postgres_folder() / "postgres"), "--version"])


def _first_line(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return "unknown"
    return done.stdout.splitlines()[0].strip() if done.stdout else "unknown"
