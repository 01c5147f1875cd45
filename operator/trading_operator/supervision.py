"""Wires substrate, loop and supervisor together for one data folder."""

from __future__ import annotations

import signal
import time

from trading_operator.effects import Effects
from trading_operator.reconcile import Reconciler
from trading_operator.substrates.processes.apply import ProcessesSubstrate
from trading_operator.substrates.processes.commands import PROGRAMS, Programs
from trading_operator.substrates.processes.keepers import SUPERVISOR, take_keeper_lock
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.moves import MoveFiles
from trading_operator.substrates.processes.store import Store
from trading_operator.substrates.processes.supervisor import Supervisor


async def supervise(
    layout: Layout, *, is_foreground: bool = False, programs: Programs = PROGRAMS
) -> None:
    """Run the supervisor of one data folder; returns at once when another one runs."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # "look now" may come before we listen for it
    if take_keeper_lock(layout, SUPERVISOR) is None:
        return
    store = Store(layout)
    substrate = ProcessesSubstrate(layout, time.time, programs)
    moves = MoveFiles(layout)
    reconciler = Reconciler(
        substrate, Effects(substrate.apply), store.report, moves.report, time.time
    )
    await Supervisor(substrate, store, reconciler.visit, is_foreground=is_foreground).run()
