"""What the owner of a slot, and who would be one, may do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trading_contract.move_protocol import owner, steps
from trading_contract.move_protocol.owner import Answer, Owner, Phase, Told, Transaction
from trading_contract.move_protocol.recovery import Action
from trading_contract.move_protocol.rows import SlotState
from trading_contract.tests.move_world import server as pg
from trading_contract.tests.move_world.server import NOBODY
from trading_contract.tests.move_world.statements import (
    FENCED,
    Commit,
    Statement,
    Take,
    rows_of,
)
from trading_contract.tests.move_world.world import (
    SHARDS,
    Core,
    Limits,
    Move,
    World,
    cut_off,
    is_newest,
    pair_of,
    strangers,
    told_all,
    with_engine,
    with_server,
)


def running(world: World, n: int, mine: Owner, limits: Limits, core: Core) -> Iterator[Move]:
    match mine.phase:
        case Phase.LOOKING:
            yield from _looking(world, n, mine, limits, core)
        case Phase.SERVING:
            yield from _committing(world, n, mine, limits, core)
        case Phase.WAITING:
            assert mine.sent is not None
            after = cut_off(world, n, limits)
            doubting, told, _ = core.answered(mine, Answer.LOST)
            engine = world.engines[n]._replace(owner=doubting)
            yield Move(f"engine {n} is cut off", told_all(with_engine(after, n, engine), told))
        case Phase.DOUBT:
            yield from _resolving(world, n, mine, core)
        case Phase.GONE:
            pass


def _looking(world: World, n: int, mine: Owner, limits: Limits, core: Core) -> Iterator[Move]:
    engine = world.engines[n]
    for at, server in enumerate(world.servers):
        row = server.row
        if row is None or pg.is_locked(server):
            continue
        living = row.state is SlotState.ACTIVE
        if not (living or core.takes_sealed) or not is_newest(world, row):
            continue
        opened = core.looked(mine, SHARDS[at], row)
        if opened == mine:
            yield from _taking(world, n, at, limits)
            continue
        after = with_server(world, at, pg.made_durable(server))
        seen = server.data.seen if mine.chain is None else engine.seen
        if engine.follows is not None:
            replayed = len(engine.follows), engine.follows
            if not core.may_open(row, mine.me, replayed):
                follower = engine._replace(follows=row.chain)
                yield Move(f"engine {n} catches up", with_engine(world, n, follower))
                continue
            opened = replace(opened, sequence=replayed[0], chain=replayed[1])
            seen = rows_of(engine.follows).seen
        engine_after = engine._replace(owner=opened, seen=seen, follows=None)
        yield Move(f"engine {n} reads {SHARDS[at]}", with_engine(after, n, engine_after))
    if core.resumes_by_clock and mine.chain is not None:
        back = replace(mine, phase=Phase.SERVING)
        yield Move(f"engine {n} resumes", with_engine(world, n, engine._replace(owner=back)))


def _taking(world: World, n: int, at: int, limits: Limits) -> Iterator[Move]:
    """What one does about a slot that is another's: take it over, or follow it."""
    engine, server = world.engines[n], world.servers[at]
    row, mine = server.row, engine.owner
    if mine is None or row is None or mine.chain is not None or row.owner == mine.me:
        return
    if strangers(world) < limits.strangers:
        after = with_server(world, at, pg.sent(server, NOBODY, Take(row.epoch, mine.me)))
        yield Move(f"engine {n} takes {SHARDS[at]}", after)
    if limits.engine_moves and engine.follows != row.chain:
        follower = engine._replace(follows=row.chain)
        yield Move(f"engine {n} follows", with_engine(world, n, follower))


def _committing(world: World, n: int, mine: Owner, limits: Limits, core: Core) -> Iterator[Move]:
    at = SHARDS.index(mine.shard)
    assert mine.chain is not None
    engine = world.engines[n]
    chosen: list[tuple[int, ...]] = [()]
    for command, fate in enumerate(world.fates, 1):
        if fate not in {"", "unknown"}:
            continue
        if command in engine.seen:
            again = told_all(world, Told(acknowledged=(command,)))
            yield Move(f"engine {n} answers {command} again", again)
        else:
            chosen.append((command,))
    for commands in chosen:
        chain = mine.chain + bytes(commands)
        end = (len(chain), chain)
        for step in (None, *_owner_steps(world, n, mine, end, limits, core)):
            if commands or step is not None:
                transaction = Transaction(
                    mine.shard, mine.epoch, mine.sequence, *end, commands, step
                )
                yield _send(world, n, at, owner.send(mine, transaction), core)


def _owner_steps(
    world: World, n: int, mine: Owner, end: tuple[int, bytes], limits: Limits, core: Core
) -> Iterator[steps.RowStep]:
    """Steps that may ride this batch. The owner read the rows some time ago: now, or before."""
    pair, (source, _) = pair_of(world)
    row = world.servers[SHARDS.index(mine.shard)].row
    if row is None or row.state is not SlotState.ACTIVE:
        return
    if limits.shard_moves and source == mine.shard:
        action = core.recover(pair).forward
        held = replace(row, epoch=mine.epoch, owner=mine.me)
        if action is Action.SET_MOVE and pair.target is not None:
            yield steps.set_move(held, pair.target.move_id)
        if action is Action.SEAL or (action is Action.SHADOW and row.move_id is not None):
            yield core.seal(held, mine.me, end)
    if limits.engine_moves and row.move_id is None:
        other = world.engines[1 - n].owner
        if other is not None and other.chain is None:
            held = replace(row, epoch=mine.epoch, owner=mine.me)
            yield core.hand_over(held, mine.me, other.me, end)


def _send(world: World, n: int, at: int, waiting: Owner, core: Core) -> Move:
    sent = waiting.sent
    assert sent is not None
    batch = Commit(waiting.me, sent.epoch, sent.previous, bytes(sent.commands), sent.chain)
    program: list[Statement] = [batch]
    if sent.step is not None:
        program.append(sent.step)
    after = with_server(world, at, pg.sent(world.servers[at], n, *program))
    after = with_engine(after, n, world.engines[n]._replace(owner=waiting))
    fates = list(after.fates)
    for command in sent.commands:
        again = fates[command - 1] in {"unknown", "sent again"}
        fates[command - 1] = "sent again" if again else "sent"
        if core.told_at_send:
            fates[command - 1] = "acknowledged"
    what = sent.step.name if sent.step is not None else "a batch"
    return Move(f"engine {n} sends {what} {sent.commands}", after._replace(fates=tuple(fates)))


def answered(world: World, n: int, code: str, core: Core) -> World:
    """The answer to the owner's transaction, heard at once: not heard is to be cut off before."""
    engine = world.engines[n]
    mine = engine.owner
    assert mine is not None
    answer = Answer.DONE if code == pg.DONE else Answer.STEP_REFUSED
    if code == FENCED:
        answer = Answer.FENCED
    if code == "01000":
        answer = Answer.WARNING
    return after_owner(world, n, core.answered(mine, answer), core)


def after_owner(
    world: World, n: int, told: tuple[Owner, Told, Transaction | None], core: Core
) -> World:
    after, heard, again = told
    engine = world.engines[n]
    seen = bytes(sorted({*engine.seen, *heard.acknowledged}))
    world = with_engine(told_all(world, heard), n, engine._replace(owner=after, seen=seen))
    if again is not None:
        at = SHARDS.index(again.shard)
        return _send(world, n, at, replace(after, sent=again), core).after
    return world


def _resolving(world: World, n: int, mine: Owner, core: Core) -> Iterator[Move]:
    sent = mine.sent
    assert sent is not None
    at = SHARDS.index(sent.shard)
    server = world.servers[at]
    if core.barrier:
        if pg.is_locked(server):
            return
        world = with_server(world, at, pg.made_durable(server))
    row = server.row
    there = None
    if row is not None and row.last_seq >= sent.sequence:
        there = row.chain[: sent.sequence]
    after = after_owner(world, n, core.resolved(mine, row, there), core)
    yield Move(f"engine {n} resolves its doubt", after)
