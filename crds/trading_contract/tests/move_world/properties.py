"""What must hold in every state of the small world, and between two that follow each other."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.move_protocol.owner import Phase
from trading_contract.move_protocol.recovery import Action
from trading_contract.move_protocol.rows import SlotRow, SlotState
from trading_contract.tests.move_world.operators_work import operations
from trading_contract.tests.move_world.server import Server
from trading_contract.tests.move_world.statements import (
    EMPTY,
    Commit,
    Data,
    Refused,
    Slot,
    Statement,
    rows_of,
)
from trading_contract.tests.move_world.world import SHARDS, Core, World, pair_of

LIVING = {SlotState.ACTIVE, SlotState.SEALED}


def head(world: World) -> SlotRow | None:
    """Where the slot lives: the ACTIVE row, else the sealed one that no target has replaced."""
    rows = [s.row for s in world.servers if s.row is not None and s.row.state in LIVING]
    if not rows:
        return None
    return max(rows, key=lambda row: (row.epoch, row.state is SlotState.ACTIVE))


def wrong(world: World, core: Core) -> Iterator[str]:
    """Broken laws of one state."""
    rows = [server.row for server in world.servers]
    if sum(row is not None and row.state is SlotState.ACTIVE for row in rows) > 1:
        yield "S1: two rows are ACTIVE"
    newest = head(world)
    if newest is None:
        yield "S1: the slot lives nowhere"
        return
    chain = newest.chain
    if len(set(chain)) != len(chain) or len(chain) != newest.last_seq:
        yield f"S4: doubled or missing: {list(chain)}"
    for command, fate in enumerate(world.fates, 1):
        if fate == "acknowledged" and command not in chain:
            yield f"S5: command {command} was acknowledged and is gone"
        if fate == "rejected" and command in chain:
            yield f"S6: command {command} was refused and is there"
    for name, server in zip(SHARDS, world.servers, strict=True):
        row = server.row
        if row is None:
            if server.data != EMPTY:
                yield f"S16: {name} has rows and no owner"
        elif row.is_copied and row.state is not SlotState.ABORTED:
            collected = row.state is SlotState.MOVED and server.data == EMPTY
            if not collected and server.data != rows_of(row.chain):
                yield f"S10: the rows of {name} are not those of its history"
        if row is not None and row.state is SlotState.MOVED and not row.verified:
            yield f"S19: {name} was cleaned up unverified"
    pair, _ = pair_of(world)
    plan = core.recover(pair)
    if Action.CALL_PERSON in {plan.forward, plan.back}:
        yield f"S18: a person is needed for {pair}"


def wrong_of_engines(world: World) -> Iterator[str]:
    """Broken laws of one state, as far as engines are in it."""
    newest = head(world)
    for n, engine in enumerate(world.engines):
        mine = engine.owner
        if mine is None or mine.phase is not Phase.SERVING:
            continue
        if newest is not None and mine.epoch > newest.epoch:
            yield f"S1: engine {n} serves an epoch that nobody has"
        lasting = all(server.durable is None for server in world.servers)
        if newest is None or not lasting or newest.state is not SlotState.ACTIVE:
            continue
        if mine.epoch == newest.epoch and mine.chain != newest.chain:
            yield f"S11: engine {n} serves from another history"


def wrong_change(before: World, after: World) -> Iterator[str]:
    """Broken laws of one thing that happened."""
    for name, old, new in zip(SHARDS, before.servers, after.servers, strict=True):
        if old.row is new.row:
            continue
        if old.row is None or new.row is None or old.durable is not None:
            continue  # a failover takes back what nobody was promised
        given = old.row.state is SlotState.ACTIVE and old.row.owner != new.row.owner
        if given and new.row.epoch <= old.row.epoch:
            yield f"S2: two owners of one epoch on {name}"
        sealed = old.row.state is SlotState.ACTIVE and new.row.state is SlotState.SEALED
        if sealed and old.row.move_id != new.row.move_id:
            yield f"L1: {name} is sealed for another move than it names"
        if new.row.chain != old.row.chain:
            yield from _stale(old, new)
        if new.row.epoch < old.row.epoch:
            yield f"S2: the epoch of {name} fell"
        if new.row.last_seq > old.row.last_seq and old.row.state is SlotState.ACTIVE:
            highest = head(before)
            if highest is not None and highest.epoch > new.row.epoch:
                yield f"S3: a commit of epoch {new.row.epoch} after {highest.epoch}"
        if new.row.last_seq > old.row.last_seq and old.row.state is SlotState.SEALED:
            yield "S3: a commit on a sealed row"
    if any(server.durable is not None for server in before.servers):
        return
    old_head, new_head = head(before), head(after)
    if old_head is None or new_head is None:
        return
    if not new_head.chain.startswith(old_head.chain):
        yield "S4: the slot's history changed"
    if new_head.epoch < old_head.epoch:
        yield "S2: the slot's epoch fell"


def _stale(old: Server, new: Server) -> Iterator[str]:
    ended = [session for session in old.sessions if session not in new.sessions]
    for session in ended if len(ended) == 1 else ():
        for statement in session.statements:
            if not isinstance(statement, Commit) or not statement.commands or old.row is None:
                continue
            if (statement.epoch, statement.me) != (old.row.epoch, old.row.owner):
                yield "S3: a commit of a zombie"


def problems_of(before: World, after: World, core: Core) -> list[str]:
    """All laws that one thing that happened broke."""
    return [*wrong_change(before, after), *wrong(after, core), *wrong_of_engines(after)]


def is_settled(world: World) -> bool:
    """Whether a move that began has ended, done or given up."""
    rows = [server.row for server in world.servers if server.row is not None]
    if any(row.state in {SlotState.SEALED, SlotState.PREPARED} for row in rows):
        return False
    active = [row for row in rows if row.state is SlotState.ACTIVE]
    aborted = [row for row in rows if row.state is SlotState.ABORTED]
    return len(active) == 1 and (not aborted or active[0].move_id is None)


def is_repeatable(world: World, core: Core) -> bool:
    """Every action of the table, done again on what it made, changes nothing more."""
    pair, names = pair_of(world)
    plan = core.recover(pair)
    for action in {plan.forward, plan.back}:
        for on_source, program in operations(action, pair, core):
            name = names[0] if on_source else names[1]
            assert name is not None
            server = world.servers[SHARDS.index(name)]
            once = _run(server.row, server.data, program, core)
            if once is not None and _run(*once, program, core) not in {None, once}:
                return False
    return True


def _run(
    row: SlotRow | None, data: Data, program: tuple[Statement, ...], core: Core
) -> Slot | None:
    try:
        for statement in program:
            row, data = core.sql.apply(statement, row, data)
    except Refused:
        return None
    return row, data
