"""`tradingctl down`: stops everything in order; the data stays unless --purge is said."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from contextlib import suppress

from trading_contract.errors import UserError, WorldError
from trading_operator.cli.clusters import find_cluster, unregister
from trading_operator.substrates.processes.keepers import (
    GUARDIAN,
    SUPERVISOR,
    is_kept,
    keeper_pid,
    nudge,
    start_keeper,
)
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.proc import ProcessTable
from trading_operator.substrates.processes.store import DOWN, Store

LOOK_SECONDS = 0.1
HUNG_SECONDS = 20.0


def down(arguments: argparse.Namespace) -> int:
    """Stop all processes; with --purge remove the data folder too."""
    layout = find_cluster(arguments)
    if arguments.purge and not arguments.yes:
        _ask(layout)
    _stop(layout, arguments.timeout)
    if arguments.purge:
        unregister(layout)
        shutil.rmtree(layout.root)
        print(f"removed {layout.root}")
    else:
        print(f"stopped; the data stays in {layout.root}")
    return 0


def _ask(layout: Layout) -> None:
    if not sys.stdin.isatty():
        raise UserError("--purge removes all data: say --yes as well")
    answer = input(f"remove all data in {layout.root}? Type yes: ")
    if answer.strip() != "yes":
        raise UserError("nothing was removed")


def _stop(layout: Layout, timeout_seconds: float) -> None:
    store = Store(layout)
    begun = time.monotonic()
    running = ProcessTable(layout.uid).look()
    if store.wish() is None and not running:
        return
    store.set_wish(DOWN)
    if not is_kept(layout, SUPERVISOR):
        start_keeper(layout, SUPERVISOR)
    nudge(layout)
    while store.wish() is not None or is_kept(layout, SUPERVISOR) or is_kept(layout, GUARDIAN):
        if time.monotonic() - begun > timeout_seconds:
            left = ", ".join(sorted(ProcessTable(layout.uid).look()))
            raise WorldError(f"still running after {timeout_seconds:.0f} s: {left}")
        if time.monotonic() - begun > HUNG_SECONDS and store.wish() is None:
            _end_guardian(layout)
        time.sleep(LOOK_SECONDS)


def _end_guardian(layout: Layout) -> None:
    """It ends by itself unless it was stopped (SIGSTOP) or the machine sleeps."""
    pid = keeper_pid(layout, GUARDIAN)
    if pid is not None and is_kept(layout, GUARDIAN):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
