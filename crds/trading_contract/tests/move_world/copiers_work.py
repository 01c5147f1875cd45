"""What an engine that copies a slot's hot state may do next."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.move_protocol.owner import Phase
from trading_contract.move_protocol.recovery import Action
from trading_contract.move_protocol.rows import SlotState
from trading_contract.tests.move_world import server as pg
from trading_contract.tests.move_world.statements import (
    CopyPart,
    FinishCopy,
    Prepare,
    Statement,
    rows_of,
)
from trading_contract.tests.move_world.world import (
    MOVER,
    MOVES,
    SHARDS,
    Copy,
    Core,
    Engine,
    Limits,
    Move,
    World,
    cut_off,
    pair_of,
    with_engine,
    with_server,
)


def copying(world: World, n: int, engine: Engine, limits: Limits, core: Core) -> Iterator[Move]:
    mine, copy = engine.owner, engine.copy
    assert mine is not None
    if copy is None:
        if mine.phase is Phase.SERVING:
            yield from _preparing(world, n, engine, core)
        return
    at = SHARDS.index(copy.target)
    if any(s.client == MOVER + n for server in world.servers for s in server.sessions):
        after = with_engine(cut_off(world, MOVER + n, limits), n, engine._replace(copy=None))
        yield Move(f"engine {n} loses its copy's connection", after)
        return
    target = world.servers[at]
    source = world.servers[1 - at]
    if copy.stage == 1 and source.row is not None:
        taken = copy._replace(stage=2, snapshot=source.row.chain)
        parts = rows_of(source.row.chain).parts
        program: tuple[Statement, ...] = (CopyPart(MOVES[copy.move], 0, parts[0]),)
    elif copy.stage == 2 and (source.row is not None or copy.snapshot):
        snapshot = copy.snapshot
        if core.resumes_copies and source.row is not None:
            snapshot = source.row.chain
        taken = copy._replace(stage=3)
        data = rows_of(snapshot)
        program = (
            CopyPart(MOVES[copy.move], 1, data.parts[1], data.seen if core.copies_seen else b""),
            FinishCopy(MOVES[copy.move], len(snapshot), snapshot),
        )
    else:
        return
    after = with_server(world, at, pg.sent(target, MOVER + n, *program))
    yield Move(
        f"engine {n} copies, part {copy.stage}", with_engine(after, n, engine._replace(copy=taken))
    )


def _preparing(world: World, n: int, engine: Engine, core: Core) -> Iterator[Move]:
    pair, (source, target) = pair_of(world)
    if engine.owner is None or source != engine.owner.shard or not world.left.moves:
        return
    if core.recover(pair).forward is not Action.PREPARE:
        return
    name = target or next(shard for shard in SHARDS if shard != source)
    at = SHARDS.index(name)
    move = len(MOVES) - world.left.moves
    row = world.servers[at].row
    found = None if row is None else (row.state, row.epoch, row.move_id)
    copied = row is not None and row.state is SlotState.FOLLOWER
    program = Prepare(MOVES[move], engine.owner.me, found)
    after = with_server(world, at, pg.sent(world.servers[at], MOVER + n, program))
    copy = Copy(move, name, 3 if copied else 0)
    left = world.left._replace(moves=world.left.moves - 1)
    yield Move(
        f"engine {n} prepares {name}",
        with_engine(after, n, engine._replace(copy=copy))._replace(left=left),
    )
