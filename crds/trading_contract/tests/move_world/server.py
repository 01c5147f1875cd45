"""A model of one PostgreSQL server, as far as one row of `slot_owner` and its transactions go.

A session holds one transaction that its client sent. Its statements wait for the row's lock, see
the row as it stands once they have it, and keep the lock until the end. A client may die: what it
sent lives on. Everything is a value, so that a search can branch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from trading_contract.move_protocol.rows import SlotRow
from trading_contract.tests.move_world.statements import (
    EMPTY,
    Data,
    Refused,
    Slot,
    Statement,
    apply,
)

NOBODY = -1
DONE = ""


class Session(NamedTuple):
    """One transaction. `client` NOBODY: it died or was cut off, nobody hears the end."""

    client: int
    statements: tuple[Statement, ...]
    working: Slot | None = None  # not None: it has the lock, and this is what it would commit


class Server(NamedTuple):
    """`durable`: what a failover would go back to, where that differs from what is seen."""

    row: SlotRow | None = None
    data: Data = EMPTY
    sessions: tuple[Session, ...] = ()
    durable: Slot | None = None


Apply = Callable[[Statement, SlotRow | None, Data], Slot]


class Rules(NamedTuple):
    """How statements behave; mutants change this."""

    apply: Apply = apply
    locks: bool = True  # statements lock the row, and see it as it is then
    raises: bool = True  # a refused statement ends its transaction


RULES = Rules()


def _order(session: Session) -> tuple[int, int]:
    return session.client, hash(session)


def sent(server: Server, client: int, *statements: Statement) -> Server:
    """A transaction reaches the server's input buffer."""
    sessions = (*server.sessions, Session(client, statements))
    return server._replace(sessions=tuple(sorted(sessions, key=_order)))


def without(server: Server, session: Session) -> Server:
    """The transaction is gone: ended, rolled back, or never arrived."""
    sessions = list(server.sessions)
    sessions.remove(session)
    return server._replace(sessions=tuple(sessions))


def orphaned(server: Server, session: Session) -> Server:
    """The client died or its connection was cut; what it sent lives on."""
    left = without(server, session)
    sessions = (*left.sessions, session._replace(client=NOBODY))
    return left._replace(sessions=tuple(sorted(sessions, key=_order)))


def is_locked(server: Server) -> bool:
    """Whether a transaction has the row's lock."""
    return any(session.working is not None for session in server.sessions)


def can_go_on(server: Server, session: Session, rules: Rules = RULES) -> bool:
    """Whether the session's next step need not wait for another's lock."""
    return session.working is not None or not (rules.locks and is_locked(server))


def ended(server: Server, session: Session, rules: Rules = RULES) -> tuple[Server, str]:
    """All of a transaction at once: the same to everybody who takes the lock before he looks."""
    after, code = go_on(server, session, rules)
    if code is not None:
        return after, code
    (working,) = (s for s in after.sessions if s.working is not None)
    committed, code = go_on(after, working, rules)
    assert code is not None
    return committed, code


def go_on(server: Server, session: Session, rules: Rules = RULES) -> tuple[Server, str | None]:
    """Run its statements, or commit. The answer: None = not ended yet, DONE, or an SQLSTATE."""
    if session.working is not None:
        row, data = session.working
        ended = without(server, session)
        if not rules.locks:
            row, data = _overwritten(server, session)
        return ended._replace(row=row, data=data, durable=None), DONE
    slot = server.row, server.data
    for statement in session.statements:
        try:
            slot = rules.apply(statement, *slot)
        except Refused as refusal:
            if rules.raises:
                return without(server, session), refusal.code
            slot = slot[0], Data(slot[1].parts, slot[1].seen + b"\xff")  # rows without a fence
    after = without(server, session)
    sessions = (*after.sessions, session._replace(working=slot))
    return after._replace(sessions=tuple(sorted(sessions, key=_order))), None


def _overwritten(server: Server, session: Session) -> Slot:
    """A fence that only looked: it writes what it decided on the row as it is by now."""
    assert session.working is not None
    row, data = session.working
    if row is None or server.row is None:
        return session.working
    return replace(server.row, last_seq=row.last_seq, chain=row.chain), data


def locked_read(server: Server) -> SlotRow | None:
    """`SELECT .. FOR UPDATE; COMMIT`: only while nobody has the lock. What is seen is durable."""
    assert not is_locked(server)
    return server.row


def made_durable(server: Server) -> Server:
    """After any commit that was acknowledged without a warning."""
    return server._replace(durable=None)


def shown_after_restart(server: Server, session: Session, rules: Rules = RULES) -> Server:
    """The server restarts while a commit waits for the standby: it shows, and may not last."""
    before = (server.row, server.data) if server.durable is None else server.durable
    after, _ = go_on(server, session, rules) if session.working else ended(server, session, rules)
    return restarted(after)._replace(durable=before)


def restarted(server: Server) -> Server:
    """All transactions under way are gone with their connections."""
    return server._replace(sessions=())


def failed_over(server: Server) -> Server:
    """The standby is the primary now: what was not replicated is lost."""
    row, data = (server.row, server.data) if server.durable is None else server.durable
    return Server(row, data)
