"""Everything that may happen next in the small world.

One slot, two shards, two engines of which one may be a zombie, and operators: whoever acts on the
two rows without memory is an operator here, and any number of crashes of one is nothing but what it
has sent. A wish is not modelled: every actor may at any time go on with a move or give it up, as
its newest message, an old one or a doubled one may tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from trading_contract.move_protocol import engine_move, owner, recovery, steps
from trading_contract.move_protocol.owner import Answer, Owner, Phase, Told, Transaction
from trading_contract.move_protocol.recovery import Action
from trading_contract.move_protocol.rows import RowPair, SlotRow, SlotState, orient
from trading_contract.tests.move_world import server as pg
from trading_contract.tests.move_world.server import NOBODY, Rules, Server
from trading_contract.tests.move_world.statements import (
    FENCED,
    Append,
    Collect,
    Commit,
    CopyPart,
    Data,
    FinishCopy,
    Prepare,
    Statement,
    Take,
    Verified,
    rows_of,
)

SHARDS = ("X", "Y")
INCARNATIONS = tuple(UUID(int=10 + n) for n in range(6))
MOVES = tuple(UUID(int=100 + n) for n in range(4))
ENGINES = 2
MOVER = 10  # clients of copies are MOVER + engine


class Copy(NamedTuple):
    """A hot copy in the hands of the engine that began it."""

    move: int
    target: str
    stage: int  # 0: the row is being made; 1..: parts; None is no copy
    snapshot: bytes = b""


class Engine(NamedTuple):
    """One engine process. `follows`: what it has replayed of a slot that it may be given."""

    owner: Owner | None = None  # None: not running
    copy: Copy | None = None
    follows: bytes | None = None
    seen: bytes = b""  # client ids it would answer again


class Budget(NamedTuple):
    """How much may still happen: what keeps the world small."""

    incarnations: int
    moves: int
    failovers: int


class World(NamedTuple):
    """One state. Fates of commands: "", sent, sent again, acknowledged, rejected, unknown."""

    servers: tuple[Server, ...]
    engines: tuple[Engine, ...]
    fates: tuple[str, ...]
    left: Budget


@dataclass(frozen=True)
class Limits:
    """Which world is searched."""

    commands: int = 2
    incarnations: int = 1  # beyond the first
    moves: int = 1
    failovers: int = 0
    strangers: int = 1  # transactions under way that nobody waits for, of operators and the dead
    shard_moves: bool = True
    engine_moves: bool = False
    locks_apart: bool = False  # a transaction's statements and its commit are two things


@dataclass(frozen=True)
class Core:
    """The code under test; mutants change one or two of these."""

    recover: Callable[[RowPair], recovery.Recovery] = recovery.recover
    activate: Callable[[SlotRow, SlotRow], steps.RowStep] = steps.activate
    unseal: Callable[[SlotRow], steps.RowStep] = steps.unseal
    seal: Callable[[SlotRow, UUID, tuple[int, bytes]], steps.RowStep] = steps.seal
    answered: Callable[
        [Owner, Answer], tuple[Owner, Told, Transaction | None]
    ] = owner.answered
    resolved: Callable[
        [Owner, SlotRow | None, bytes | None], tuple[Owner, Told, Transaction | None]
    ] = owner.resolved
    looked: Callable[[Owner, str, SlotRow | None], Owner] = owner.looked
    may_open: Callable[[SlotRow | None, UUID, tuple[int, bytes]], bool] = engine_move.may_open
    hand_over: Callable[..., steps.RowStep] = engine_move.hand_over
    sql: Rules = field(default_factory=Rules)
    barrier: bool = True  # doubt is resolved behind the lock, and what is read is durable
    told_at_send: bool = False
    resumes_copies: bool = False
    copies_seen: bool = True
    resumes_by_clock: bool = False
    takes_sealed: bool = False


def beginning(limits: Limits) -> World:
    """One engine serves the slot on X."""
    row = SlotRow(1, INCARNATIONS[0], SlotState.ACTIVE, 0, b"")
    serving = Owner(INCARNATIONS[0], Phase.SERVING, "X", 1, 0, b"")
    return World(
        (Server(row), Server()),
        (Engine(serving), Engine()),
        ("",) * limits.commands,
        Budget(limits.incarnations, limits.moves, limits.failovers),
    )


class Move(NamedTuple):
    """One thing that may happen, and the world after it."""

    what: str
    after: World


def following(world: World, limits: Limits, core: Core) -> Iterator[Move]:
    """All that may happen next."""
    for n, engine in enumerate(world.engines):
        if engine.owner is None:
            yield from _starting(world, n)
        else:
            yield from _crashing(world, n, limits)
            yield from _running(world, n, engine.owner, limits, core)
            if limits.shard_moves:
                yield from _copying(world, n, engine, limits, core)
    for n in range(len(world.servers)):
        yield from _serving(world, n, limits, core)
    if limits.shard_moves and _strangers(world) < limits.strangers:
        yield from _operating(world, core)


def _strangers(world: World) -> int:
    return sum(s.client == NOBODY for server in world.servers for s in server.sessions)


def with_server(world: World, n: int, server: Server) -> World:
    servers = (server, world.servers[1]) if n == 0 else (world.servers[0], server)
    return world._replace(servers=servers)


def with_engine(world: World, n: int, engine: Engine) -> World:
    engines = (engine, world.engines[1]) if n == 0 else (world.engines[0], engine)
    return world._replace(engines=engines)


def _told(world: World, told: Told) -> World:
    fates = list(world.fates)
    for name in ("acknowledged", "rejected", "unknown"):
        for command in getattr(told, name):
            fate = fates[command - 1]
            if name == "rejected" and fate == "sent again":  # the first time may still land
                fates[command - 1] = "unknown"
            elif fate != "acknowledged":
                fates[command - 1] = name
    return world._replace(fates=tuple(fates))


def _cut(world: World, client: int, limits: Limits) -> World:
    """Nobody hears the answer; what was sent lives on, as far as the limits let it."""
    for n, server in enumerate(world.servers):
        for session in server.sessions:
            if session.client == client:
                crowded = _strangers(world) >= limits.strangers and session.working is None
                after = (pg.without if crowded else pg.orphaned)(server, session)
                world = with_server(world, n, after)
    return world


# Engines begin and end


def _starting(world: World, n: int) -> Iterator[Move]:
    if world.left.incarnations:
        number = len(INCARNATIONS) - world.left.incarnations
        left = world.left._replace(incarnations=world.left.incarnations - 1)
        fresh = Engine(Owner(INCARNATIONS[number]))
        yield Move(f"engine {n} starts", with_engine(world, n, fresh)._replace(left=left))


def _crashing(world: World, n: int, limits: Limits) -> Iterator[Move]:
    sent = world.engines[n].owner
    assert sent is not None
    lost = sent.sent.commands if sent.sent is not None else ()
    after = _told(_cut(_cut(world, n, limits), MOVER + n, limits), Told(unknown=lost))
    yield Move(f"engine {n} dies", with_engine(after, n, Engine()))


def _end_of(server: Server) -> bytes:
    return server.row.chain if server.row is not None else b""


# The owner's work


def _running(world: World, n: int, mine: Owner, limits: Limits, core: Core) -> Iterator[Move]:
    match mine.phase:
        case Phase.LOOKING:
            yield from _looking(world, n, mine, limits, core)
        case Phase.SERVING:
            yield from _committing(world, n, mine, limits, core)
        case Phase.WAITING:
            assert mine.sent is not None
            after = _cut(world, n, limits)
            doubting, told, _ = core.answered(mine, Answer.LOST)
            engine = world.engines[n]._replace(owner=doubting)
            yield Move(f"engine {n} is cut off", _told(with_engine(after, n, engine), told))
        case Phase.DOUBT:
            yield from _resolving(world, n, mine, core)
        case Phase.GONE:
            pass


def _looking(
    world: World, n: int, mine: Owner, limits: Limits, core: Core
) -> Iterator[Move]:
    engine = world.engines[n]
    for at, server in enumerate(world.servers):
        row = server.row
        if row is None or pg.is_locked(server):
            continue
        taken = row.state is SlotState.ACTIVE or (core.takes_sealed and row.state is SlotState.SEALED)
        if not taken or not _newest(world, row):
            continue
        if mine.chain is None and row.owner != mine.me:
            if _strangers(world) < limits.strangers:
                after = with_server(world, at, pg.sent(server, NOBODY, Take(row.epoch, mine.me)))
                yield Move(f"engine {n} takes {SHARDS[at]}", after)
            if limits.engine_moves and engine.follows != _end_of(server):
                follower = engine._replace(follows=_end_of(server))
                yield Move(f"engine {n} follows", with_engine(world, n, follower))
            continue
        if engine.follows is not None and not core.may_open(
            row, mine.me, (len(engine.follows), engine.follows)
        ):
            follower = engine._replace(follows=row.chain)
            yield Move(f"engine {n} catches up", with_engine(world, n, follower))
            continue
        opened = core.looked(mine, SHARDS[at], row)
        if opened != mine:
            seen = server.data.seen if mine.chain is None else engine.seen
            after = with_server(world, at, pg.made_durable(server))
            yield Move(
                f"engine {n} reads {SHARDS[at]}",
                with_engine(after, n, engine._replace(owner=opened, seen=seen, follows=None)),
            )
    if core.resumes_by_clock and mine.chain is not None:
        back = replace(mine, phase=Phase.SERVING)
        yield Move(f"engine {n} resumes", with_engine(world, n, engine._replace(owner=back)))


def _newest(world: World, row: SlotRow) -> bool:
    """Rows of all shards are read, and the highest epoch counts."""
    rows = [s.row for s in world.servers if s.row is not None]
    return all(other.state is not SlotState.ACTIVE or other.epoch <= row.epoch for other in rows)


def _committing(
    world: World, n: int, mine: Owner, limits: Limits, core: Core
) -> Iterator[Move]:
    at = SHARDS.index(mine.shard)
    assert mine.chain is not None
    engine = world.engines[n]
    chosen: list[tuple[int, ...]] = [()]
    for command, fate in enumerate(world.fates, 1):
        if fate not in {"", "unknown"}:
            continue
        if command in engine.seen:
            again = _told(world, Told(acknowledged=(command,)))
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


def _answered(world: World, n: int, code: str, core: Core) -> World:
    """The answer to the owner's transaction, heard at once: not heard is to be cut off before."""
    engine = world.engines[n]
    mine = engine.owner
    assert mine is not None
    answer = Answer.DONE if code == pg.DONE else Answer.STEP_REFUSED
    if code == FENCED:
        answer = Answer.FENCED
    if code == "01000":
        answer = Answer.WARNING
    return _after_owner(world, n, core.answered(mine, answer), core)


def _after_owner(
    world: World, n: int, told: tuple[Owner, Told, Transaction | None], core: Core
) -> World:
    after, heard, again = told
    engine = world.engines[n]
    seen = bytes(sorted({*engine.seen, *heard.acknowledged}))
    world = with_engine(_told(world, heard), n, engine._replace(owner=after, seen=seen))
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
    after = _after_owner(world, n, core.resolved(mine, row, there), core)
    yield Move(f"engine {n} resolves its doubt", after)


# The hot copy


def _copying(
    world: World, n: int, engine: Engine, limits: Limits, core: Core
) -> Iterator[Move]:
    mine, copy = engine.owner, engine.copy
    assert mine is not None
    if copy is None:
        if mine.phase is Phase.SERVING:
            yield from _preparing(world, n, engine, core)
        return
    at = SHARDS.index(copy.target)
    if any(s.client == MOVER + n for server in world.servers for s in server.sessions):
        after = with_engine(_cut(world, MOVER + n, limits), n, engine._replace(copy=None))
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
            CopyPart(
                MOVES[copy.move], 1, data.parts[1], data.seen if core.copies_seen else b""
            ),
            FinishCopy(MOVES[copy.move], len(snapshot), snapshot),
        )
    else:
        return
    after = with_server(world, at, pg.sent(target, MOVER + n, *program))
    yield Move(f"engine {n} copies, part {copy.stage}", with_engine(after, n, engine._replace(copy=taken)))


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


def _copied(world: World, n: int, code: str) -> World:
    engine = world.engines[n]
    copy = engine.copy
    if copy is None or code != pg.DONE or copy.stage == 3:
        return with_engine(world, n, engine._replace(copy=None))
    return with_engine(world, n, engine._replace(copy=copy._replace(stage=max(copy.stage, 1))))


# Servers


def _serving(world: World, at: int, limits: Limits, core: Core) -> Iterator[Move]:
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
        return _copied(world, client - MOVER, code)
    return _answered(world, client, code, core)


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
        yield Move(f"{SHARDS[at]} warns", _answered(after, session.client, "01000", core))


def _lost(world: World, client: int, core: Core) -> World:
    if client == NOBODY:
        return world
    if client >= MOVER:
        return with_engine(world, client - MOVER, world.engines[client - MOVER]._replace(copy=None))
    mine = world.engines[client].owner
    assert mine is not None
    return _after_owner(world, client, core.answered(mine, Answer.LOST), core)


# Operators


def pair_of(world: World) -> tuple[RowPair, tuple[str | None, str | None]]:
    rows = {
        name: s.row for name, s in zip(SHARDS, world.servers, strict=True) if s.row is not None
    }
    source, target = orient(rows)
    pair = RowPair(
        rows.get(source) if source else None, rows.get(target) if target else None
    )
    return pair, (source, target)


def _operating(world: World, core: Core) -> Iterator[Move]:
    if any(pg.is_locked(server) for server in world.servers):
        return  # who reads the pair locks each row, and commits
    pair, names = pair_of(world)
    plan = core.recover(pair)
    durable = world
    if core.barrier:
        servers = tuple(pg.made_durable(server) for server in world.servers)
        durable = world._replace(servers=servers)
    for action in dict.fromkeys((plan.forward, plan.back)):
        for on_source, program in operations(action, pair, core):
            name = names[0] if on_source else names[1]
            assert name is not None
            at = SHARDS.index(name)
            after = with_server(durable, at, pg.sent(durable.servers[at], NOBODY, *program))
            yield Move(f"an operator: {action} on {name}", after)


def operations(
    action: Action, pair: RowPair, core: Core
) -> Iterator[tuple[bool, tuple[Statement, ...]]]:
    """(on the source, what to run) for one action of the table."""
    source, target = pair.source, pair.target
    if source is None or target is None:
        if action is Action.CLEAR_MOVE and source is not None:
            yield True, (steps.set_move(source, None),)
        return
    assert source.move_id is not None or target.move_id is not None or action is not Action.SEAL
    match action:
        case Action.POISON:
            yield False, (steps.poison(target),)
        case Action.UNSEAL:
            yield True, (core.unseal(source),)
        case Action.CLEAR_MOVE:
            yield True, (steps.set_move(source, None),)
        case Action.CLEAR_TARGET:
            yield False, (steps.set_move(target, None),)
        case Action.FOLLOW:
            yield True, (steps.follow(source),)
        case Action.ACTIVATE:
            yield False, (core.activate(source, target),)
        case Action.SHADOW:
            yield False, _tail(source, target)
            if source.state is SlotState.SEALED:
                yield False, (*_tail(source, target), core.activate(source, target))
        case Action.VERIFY if source.chain == target.chain and source.move_id is not None:
            yield True, (Verified(source.move_id),)
        case Action.VERIFY | Action.TOMB if source.last_seq < target.last_seq:
            yield True, _tail(target, source)  # the reverse shadow
        case Action.TOMB:
            yield True, (steps.tomb(source),)
        case Action.COLLECT:
            left = target if target.state is SlotState.ABORTED else source
            if left.move_id is not None:
                yield left is source, (Collect(left.move_id),)
        case _:
            return


def _tail(ahead: SlotRow, behind: SlotRow) -> tuple[Statement, ...]:
    """All committed records that the other side lacks."""
    assert behind.move_id is not None
    commands = ahead.chain[behind.last_seq :]
    return (Append(behind.move_id, behind.last_seq, commands, ahead.chain),)


__all__ = ["Core", "Data", "Limits", "Move", "World", "beginning", "following", "operations", "pair_of"]
