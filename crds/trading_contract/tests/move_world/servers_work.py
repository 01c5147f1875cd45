"""What the shards may do next with the transactions that were sent to them."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.move_protocol.owner import Answer
from trading_contract.tests.move_world import server as pg
from trading_contract.tests.move_world.owners_work import after_owner, answered
from trading_contract.tests.move_world.server import NOBODY
from trading_contract.tests.move_world.world import (
    ENGINES,
    MOVER,
    SHARDS,
    Core,
    Limits,
    Move,
    World,
    with_engine,
    with_server,
)


def serving(world: World, at: int, limits: Limits, core: Core) -> Iterator[Move]:
    server = world.servers[at]
    for session in dict.fromkeys(server.sessions):
        who = f"{SHARDS[at]}, client {session.client}"
        if session.working is None and session.client == NOBODY:
            yield Move(f"{who}: never arrived", with_server(world, at, pg.without(server, session)))
        if not pg.can_go_on(server, session, core.sql):
            continue
        after, code = (pg.go_on if limits.locks_apart else pg.ended)(server, session, core.sql)
        next_world = with_server(world, at, after)
        if code is None:
            yield Move(f"{who}: executed", next_world)
            continue
        yield Move(f"{who}: {code or 'committed'}", _heard(next_world, session.client, code, core))
        if code == pg.DONE and world.left.failovers:
            yield from _failing_over(world, at, session, core)
    if server.durable is not None:
        over = with_server(world, at, pg.failed_over(server))
        for session in server.sessions:
            over = _lost(over, session.client, core)
        yield Move(f"{SHARDS[at]} fails over", over)
        yield Move(f"{SHARDS[at]} is replicated", with_server(world, at, pg.made_durable(server)))


def _heard(world: World, client: int, code: str, core: Core) -> World:
    if client == NOBODY:
        return world
    if client >= MOVER:
        return copied(world, client - MOVER, code)
    return answered(world, client, code, core)


def _failing_over(world: World, at: int, session: pg.Session, core: Core) -> Iterator[Move]:
    """The commit is on one disk only: it shows after a restart, or was told with a warning."""
    server = world.servers[at]
    world = world._replace(left=world.left._replace(failovers=world.left.failovers - 1))
    shown = pg.shown_after_restart(server, session, core.sql)
    after = with_server(world, at, shown)
    for other in server.sessions:
        after = _lost(after, other.client, core)
    yield Move(f"{SHARDS[at]} restarts and shows a commit", after)
    if session.client in range(ENGINES):
        warned = pg.ended(server, session, core.sql)[0]
        before = (server.row, server.data) if server.durable is None else server.durable
        after = with_server(world, at, warned._replace(durable=before))
        yield Move(f"{SHARDS[at]} warns", answered(after, session.client, "01000", core))


def _lost(world: World, client: int, core: Core) -> World:
    if client == NOBODY:
        return world
    if client >= MOVER:
        return with_engine(world, client - MOVER, world.engines[client - MOVER]._replace(copy=None))
    mine = world.engines[client].owner
    assert mine is not None
    return after_owner(world, client, core.answered(mine, Answer.LOST), core)


def copied(world: World, n: int, code: str) -> World:
    engine = world.engines[n]
    copy = engine.copy
    if copy is None or code != pg.DONE or copy.stage == 3:
        return with_engine(world, n, engine._replace(copy=None))
    return with_engine(world, n, engine._replace(copy=copy._replace(stage=max(copy.stage, 1))))
