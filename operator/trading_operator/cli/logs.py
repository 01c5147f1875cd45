"""`tradingctl logs`: what the components wrote."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from trading_contract.errors import UserError
from trading_operator.cli.clusters import find_cluster

TAIL_BYTES = 16 << 10
LOOK_SECONDS = 0.25


def logs(arguments: argparse.Namespace) -> int:
    """The end of one component's log, or of all; with -f what is added from now on."""
    folder = find_cluster(arguments).logs_folder
    known = sorted(path.stem for path in folder.glob("*.log"))
    if arguments.component and arguments.component not in known:
        raise UserError(f"COMPONENT: {arguments.component} has no log; there: {', '.join(known)}")
    names = [arguments.component] if arguments.component else known
    places = {name: _show(folder / f"{name}.log", name, len(names) > 1) for name in names}
    while arguments.follow:
        time.sleep(LOOK_SECONDS)
        for name in names:
            path = folder / f"{name}.log"
            if path.exists() and path.stat().st_size != places[name]:
                places[name] = _show(path, name, len(names) > 1, places[name])
    return 0


def _show(path: Path, name: str, with_name: bool, since: int | None = None) -> int:
    size = path.stat().st_size
    begin = max(0, size - TAIL_BYTES) if since is None else (since if since <= size else 0)
    with path.open("rb") as file:
        file.seek(begin)
        lines = file.read(size - begin).decode(errors="replace").splitlines()
    if since is None and begin > 0:
        lines = lines[1:]
    prefix = f"{name:16} " if with_name else ""
    for line in lines:
        print(f"{prefix}{line}")
    sys.stdout.flush()
    return size
