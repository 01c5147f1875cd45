"""Cells of the matrix: a move between partitions stops at a durable write, and a fault hits it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress

from trading_engine.tests.integration.fault_cells import FREEZE_SECONDS, Cell, every_cell
from trading_engine.tests.integration.gate_proxy import Gate, GateProxy, Write
from trading_engine.tests.integration.moving_load import Load, check
from trading_engine.tests.integration.moving_site import Pair, Start, wait_for
from trading_engine.tests.integration.partition_process import Site
from trading_engine.tests.integration.wire_client import WireClient

FATAL_STATUS = 70
SOURCE, TARGET = "p0", "p1"
SLOT = 2
# In the order of a move: the target tells where it is, the source logs a digest and decides.
WRITES = {
    "tell": Write(b"INSERT INTO slot_follower", is_transaction=False),
    "digest": Write(b"log_digest"),
    "decide": Write(b"hand_over"),
}


class GatedPair(Pair):
    """Both partitions reach their shard through a proxy; clients do not wait long."""

    def __init__(self, site: Site, start: Start, proxy: GateProxy) -> None:
        super().__init__(site, start)
        self.proxy = proxy
        for name in (SOURCE, TARGET):
            self.start(name)

    def client(self, name: str) -> WireClient:
        """A greeted connection."""
        made = super().client(name)
        made.socket.settimeout(2)
        return made

    def signal(self, name: str, number: signal.Signals) -> None:
        """To a partition."""
        self.processes[name].process.send_signal(number)

    def owned(self, name: str) -> list[int]:
        """Slots that a partition serves; none while it does not answer."""
        with suppress(OSError):
            return [slot["id"] for slot in self.status(name)["slots"]]
        return []

    def keep(self) -> None:
        """Start the source anew where it was shut out with orders of the slot in its hands."""
        ended = self.processes[SOURCE]
        if ended.process.poll() == FATAL_STATUS:
            assert "another owner" in ended.log or "went on without us" in ended.log
            self.start(SOURCE, ready=False)


Fault = Callable[[GatedPair, Gate], None]


def _kill(pair: GatedPair, gate: Gate, name: str) -> None:
    pair.processes[name].kill()
    gate.open()
    pair.start(name, ready=False)


def kill_source(pair: GatedPair, gate: Gate) -> None:
    """kill -9 of the owner; what it had sent still arrives."""
    _kill(pair, gate, SOURCE)


def kill_target(pair: GatedPair, gate: Gate) -> None:
    """kill -9 of the follower."""
    _kill(pair, gate, TARGET)


def _freeze(pair: GatedPair, gate: Gate, name: str) -> None:
    pair.signal(name, signal.SIGSTOP)
    gate.open()
    time.sleep(FREEZE_SECONDS)
    pair.signal(name, signal.SIGCONT)


def freeze_source(pair: GatedPair, gate: Gate) -> None:
    """SIGSTOP, and CONT five seconds later."""
    _freeze(pair, gate, SOURCE)


def freeze_target(pair: GatedPair, gate: Gate) -> None:
    """The same of the follower."""
    _freeze(pair, gate, TARGET)


def replace_source(pair: GatedPair, gate: Gate) -> None:
    """Frozen, cut off, its slot placed on the target instead of moved there, as the operator does.

    Awake again it tries, and is shut out.
    """
    mine = f"FROM pg_stat_activity WHERE application_name LIKE 'engine/{SOURCE}/%'"
    pair.signal(SOURCE, signal.SIGSTOP)
    pair.rows(f"SELECT pg_terminate_backend(pid) {mine}")
    wait_for(lambda: pair.rows(f"SELECT count(*) {mine}") == [(0,)])
    slots = tuple(
        s.model_copy(update={"partition": TARGET, "epoch": 1}) if s.id == SLOT else s
        for s in pair.site.topology.slots
    )
    pair.site.write(slots=slots, moves=())
    gate.open()
    wait_for(lambda: pair.owned(TARGET) == [SLOT], 60)
    pair.signal(SOURCE, signal.SIGCONT)


def cut(_: GatedPair, gate: Gate) -> None:
    """The connection is lost: the write with it, or its answer."""
    gate.cut()


def crash_shard(pair: GatedPair, gate: Gate) -> None:
    """The shard's server crashes and comes back."""
    server = pair.site.servers[0]
    server.kill(signal.SIGQUIT)
    gate.open()
    server.start()


FAULTS: dict[str, Fault] = {
    "kill source": kill_source, "kill target": kill_target, "freeze source": freeze_source,
    "freeze target": freeze_target, "replace source": replace_source, "cut": cut,
    "crash shard": crash_shard,
}  # fmt: skip


ALL = every_cell(WRITES, FAULTS)


def run(cell: Cell, pair: GatedPair) -> None:
    """Move under load, with the fault; it ends by itself, and nothing is lost or doubled."""
    with Load(pair, ("MSFT", "ZZZ", "AAPL")) as load:
        wait_for(lambda: load.count() > 30)
        gate = pair.proxy.arm(WRITES[cell.point], cell.moment)
        move = pair.order("engine", (SLOT,), SOURCE, target_partition=TARGET)
        assert gate.reached.wait(30), pair.processes[SOURCE].log[-3000:]
        FAULTS[cell.fault](pair, gate)
        wait_for(lambda: pair.owned(TARGET) or pair.told(TARGET, move).get("problem"), 60)
        told = pair.told(TARGET, move)
        goal = load.count() + 50
        wait_for(lambda: load.count() > goal)
        pair.fold(move)
        goal = load.count() + 50
        wait_for(lambda: load.count() > goal)
    check(load)
    assert not told.get("problem"), told
    wait_for(lambda: _is_settled(pair))
    assert pair.rows("SELECT partition FROM slot_owner ORDER BY slot_id") == [(SOURCE,), (TARGET,)]
    wait_for(lambda: pair.rows("SELECT count(*) FROM slot_follower WHERE told_at >"
                               " clock_timestamp() - interval '1 s'") == [(0,)])  # fmt: skip


def _is_settled(pair: GatedPair) -> bool:
    pair.keep()
    return (pair.owned(SOURCE), pair.owned(TARGET)) == ([1], [SLOT])
