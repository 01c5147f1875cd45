"""A TCP proxy in front of PostgreSQL that holds one durable write, or its answer, until told."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Literal

from trading_engine.tests.integration.forwarding import (
    ForwardingProxy,
    before_commit_and_rest,
    connected,
    hang_up,
)

Moment = Literal["before", "after"]
WAIT_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Write:
    """A durable write, by what its client sends: a statement, and what makes it durable.

    `nth`: of this kind since the gate was armed.
    """

    statement: bytes
    is_transaction: bool = True  # the next COMMIT of the same connection; else the statement itself
    nth: int = 1


@dataclass
class Gate:
    """One stop at one write: before the server hears of it, or after it has answered."""

    write: Write
    moment: Moment
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    is_cut: bool = False
    seen: int = 0

    def open(self) -> None:
        """What was held goes on, unless its connection is gone."""
        self.opened.set()

    def cut(self) -> None:
        """What was held is lost, and its connection with it."""
        self.is_cut = True
        self.opened.set()

    def hold(self) -> bool:
        """Wait for `open`; False: drop it."""
        self.reached.set()
        self.opened.wait(WAIT_SECONDS_MAX)
        return not self.is_cut


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.is_within = False  # the statement was sent, its COMMIT was not
        self.answer_gate: Gate | None = None

    def hang_up(self) -> None:
        hang_up(self.client, self.server)


class GateProxy(ForwardingProxy):
    """Forwards bytes; stops at the write it is armed with, once."""

    def __init__(self, port: int) -> None:
        self._gate: Gate | None = None
        super().__init__(port)

    def arm(self, write: Write, moment: Moment) -> Gate:
        """From now on, look for it."""
        self._gate = gate = Gate(write, moment)
        return gate

    def _serve(self, client: socket.socket) -> None:
        try:
            server = connected(self._server_port)
        except OSError:  # it is down
            client.close()
            return
        link = _Link(client, server)
        threading.Thread(target=self._answers, args=(link,), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                if not all(self._pass_on(link, part) for part in before_commit_and_rest(data)):
                    break
        link.hang_up()

    def _pass_on(self, link: _Link, data: bytes) -> bool:
        """False: what was held is dropped."""
        gate = self._gate_at(link, data)
        if gate is not None and gate.moment == "after":
            link.answer_gate = gate
        elif gate is not None and not gate.hold():
            return False
        link.server.sendall(data)
        return True

    def _gate_at(self, link: _Link, data: bytes) -> Gate | None:
        """The gate, if this is what it waits for."""
        gate = self._gate
        if gate is None:
            return None
        write = gate.write
        if write.statement in data:
            link.is_within = True
        ends = not write.is_transaction or (data[:1] in b"PQ" and b"COMMIT" in data[:40])
        if not (link.is_within and ends):
            return None
        link.is_within = False
        gate.seen += 1
        if gate.seen < write.nth:
            return None
        self._gate = None
        return gate

    def _answers(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.server.recv(1 << 20):
                gate, link.answer_gate = link.answer_gate, None
                if gate is not None and not gate.hold():
                    break
                link.client.sendall(data)
        link.hang_up()
