"""Cells of the matrix: a move between shards stops at a durable write, and a fault hits it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial

from trading_engine.tests.integration.fault_cells import FREEZE_SECONDS, Cell, every_cell
from trading_engine.tests.integration.gate_proxy import Gate, GateProxy, Moment, Write
from trading_engine.tests.integration.moving_load import Load
from trading_engine.tests.integration.moving_site import wait_for
from trading_engine.tests.integration.partition_process import PartitionProcess
from trading_engine.tests.integration.postgres_server import PostgresServer, free_port
from trading_engine.tests.integration.shard_site import Shards, X, Y, check_orders
from trading_engine.tests.integration.wire_client import WireClient

FATAL_STATUS = 70
ENGINES = "FROM pg_stat_activity WHERE application_name LIKE 'engine/%'"
# In the order of a move: (shard, what is written there).
WRITES = {
    "prepare": (Y, Write(b"prepare_target", is_transaction=False)),
    "name": (X, Write(b"slot_step")),
    "copied": (Y, Write(b"finish_copy")),
    "seal": (X, Write(b"slot_step", nth=2)),
    "decide": (Y, Write(b"slot_step")),
    "follow": (X, Write(b"slot_step", nth=3)),
}


class Site(Shards):
    """Two shards behind proxies, each on a server of its own; clients that do not wait long."""

    proxies: tuple[GateProxy, GateProxy]

    def client(self, _name: str = "p0") -> WireClient:
        """A greeted connection."""
        made = super().client()
        made.socket.settimeout(2)
        return made

    def server(self, shard: str) -> PostgresServer:
        """Whose it is."""
        return self.site.servers[self.names.index(shard)]

    def arm(self, point: str, moment: Moment) -> Gate:
        """Stop at this write."""
        shard, write = WRITES[point]
        return self.proxies[self.names.index(shard)].arm(write, moment)

    def succeed(self) -> PartitionProcess:
        """Another incarnation takes over from one that is frozen; returns that."""
        frozen = self.process
        for shard in self.names:  # what a kubelet, or the supervisor, does with the dead
            self.rows(f"SELECT pg_terminate_backend(pid) {ENGINES}", shard)
            wait_for(partial(self._has_no_engines, shard))
        self.process = self._start(self.site, port=free_port(), **self._settings)
        return frozen

    def _has_no_engines(self, shard: str) -> bool:
        return self.rows(f"SELECT count(*) {ENGINES}", shard) == [(0,)]


Fault = Callable[[Site, Gate], None]


def kill(shards: Site, gate: Gate) -> None:
    """kill -9; what it had sent still arrives."""
    shards.process.kill()
    gate.open()
    shards.restart()


def freeze(shards: Site, gate: Gate) -> None:
    """SIGSTOP, and CONT five seconds later."""
    shards.process.process.send_signal(signal.SIGSTOP)
    gate.open()
    time.sleep(FREEZE_SECONDS)
    shards.process.process.send_signal(signal.SIGCONT)


def replace(shards: Site, gate: Gate) -> None:
    """Frozen, taken over from, and awake again: it tries, and is shut out."""
    shards.process.process.send_signal(signal.SIGSTOP)
    zombie = shards.succeed()
    gate.open()
    with shards.client() as client:
        owned = {slot["id"]: slot["epoch"] for slot in client.status()["slots"]}
    assert set(owned) == {1, 2}
    zombie.process.send_signal(signal.SIGCONT)
    assert zombie.wait_exit() == FATAL_STATUS
    assert "another owner" in zombie.log or "went on without us" in zombie.log, zombie.log[-3000:]


def cut(_: Site, gate: Gate) -> None:
    """The connection is lost: the write with it, or its answer."""
    gate.cut()


def _restart(shards: Site, gate: Gate, shard: str) -> None:
    server = shards.server(shard)
    server.kill(signal.SIGQUIT)
    gate.open()
    server.start()


def crash_source(shards: Site, gate: Gate) -> None:
    """The source's server crashes and comes back."""
    _restart(shards, gate, X)


def crash_target(shards: Site, gate: Gate) -> None:
    """The target's server does."""
    _restart(shards, gate, Y)


FAULTS: dict[str, Fault] = {
    "kill": kill, "freeze": freeze, "replace": replace, "cut": cut, "crash source": crash_source,
    "crash target": crash_target,
}  # fmt: skip


ALL = every_cell(WRITES, FAULTS)


def run(cell: Cell, shards: Site, slots: tuple[int, ...] = (2,)) -> None:
    """Move under load, with the fault; it ends by itself, and nothing is lost or doubled."""
    with Load(shards, ("MSFT", "ZZZ", "AAPL")) as load:  # type: ignore[arg-type]
        wait_for(lambda: load.count() > 30)
        gate = shards.arm(cell.point, cell.moment)
        move = shards.order(Y, slots)
        assert gate.reached.wait(30), shards.process.log[-3000:]
        FAULTS[cell.fault](shards, gate)
        wait_for(lambda: shards.told(move).get("state") in ("Done", "Failed"), 60)
        goal = load.count() + 50
        wait_for(lambda: load.count() > goal)
    check_orders(load, shards)
    told = shards.told(move)
    shards.cancel(move)
    for slot in slots:
        wait_for(lambda slot=slot: _is_at_rest(shards, slot), 60)  # type: ignore[misc]
    assert told["state"] == "Failed" or {shards.serving(slot) for slot in slots} == {Y}


def _is_at_rest(shards: Site, slot: int) -> bool:
    """One row serves, the other one can never again."""
    states = [state.split()[0] if state else "" for state in shards.states(slot)]
    return sorted(states) in (["ABORTED", "ACTIVE"], ["ACTIVE", "MOVED"])
