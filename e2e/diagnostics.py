"""What is kept of a run that failed, in build/e2e-diagnostics."""

from __future__ import annotations

import shutil
from pathlib import Path

from operator_process import ROOT

DIAGNOSTICS = ROOT / "build" / "e2e-diagnostics"


def keep_logs(folder: Path, name: str) -> None:
    """The logs of the parts that ran in a folder."""
    kept = DIAGNOSTICS / name
    kept.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        shutil.copy2(log, kept)
