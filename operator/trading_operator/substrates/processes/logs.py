"""Log files of the components, kept from growing without bound."""

from __future__ import annotations

import os
from pathlib import Path

from trading_operator.substrates.processes.layout import Layout

LOG_BYTES_MAX = 32 << 20
KEPT_BYTES = 1 << 20


def shorten_logs(layout: Layout) -> None:
    """Cut logs that grew too large to their newest part.

    They are opened for appending, so a process goes on writing at the new end; a line written in
    between is lost, which is why no log is a record of anything.
    """
    for path in layout.logs_folder.glob("*.log"):
        try:
            if path.stat().st_size > LOG_BYTES_MAX:
                _shorten(path)
        except OSError:
            continue


def _shorten(path: Path) -> None:
    with path.open("rb+") as file:
        file.seek(-KEPT_BYTES, os.SEEK_END)
        newest = file.read()
        path.with_suffix(".log.1").write_bytes(newest)
        file.truncate(0)
