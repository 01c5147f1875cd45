"""The small world: one slot, two shards, two engines and what is told to clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from trading_contract.move_protocol import engine_move, owner, recovery, steps
from trading_contract.move_protocol.owner import Answer, Owner, Phase, Told, Transaction
from trading_contract.move_protocol.rows import RowPair, SlotRow, SlotState, orient
from trading_contract.tests.move_world import server as pg
from trading_contract.tests.move_world.server import NOBODY, Rules, Server

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
    answered: Callable[[Owner, Answer], tuple[Owner, Told, Transaction | None]] = owner.answered
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


def strangers(world: World) -> int:
    return sum(s.client == NOBODY for server in world.servers for s in server.sessions)


def with_server(world: World, n: int, server: Server) -> World:
    servers = (server, world.servers[1]) if n == 0 else (world.servers[0], server)
    return world._replace(servers=servers)


def with_engine(world: World, n: int, engine: Engine) -> World:
    engines = (engine, world.engines[1]) if n == 0 else (world.engines[0], engine)
    return world._replace(engines=engines)


def told_all(world: World, told: Told) -> World:
    fates = list(world.fates)
    for name in ("acknowledged", "rejected", "unknown"):
        for command in getattr(told, name):
            fate = fates[command - 1]
            if name == "rejected" and fate == "sent again":  # the first time may still land
                fates[command - 1] = "unknown"
            elif fate != "acknowledged":
                fates[command - 1] = name
    return world._replace(fates=tuple(fates))


def cut_off(world: World, client: int, limits: Limits) -> World:
    """Nobody hears the answer; what was sent lives on, as far as the limits let it."""
    for n, server in enumerate(world.servers):
        for session in server.sessions:
            if session.client == client:
                crowded = strangers(world) >= limits.strangers and session.working is None
                after = (pg.without if crowded else pg.orphaned)(server, session)
                world = with_server(world, n, after)
    return world


def pair_of(world: World) -> tuple[RowPair, tuple[str | None, str | None]]:
    rows = {name: s.row for name, s in zip(SHARDS, world.servers, strict=True) if s.row is not None}
    source, target = orient(rows)
    pair = RowPair(rows.get(source) if source else None, rows.get(target) if target else None)
    return pair, (source, target)


def is_newest(world: World, row: SlotRow) -> bool:
    """Rows of all shards are read, and the highest epoch counts."""
    rows = [s.row for s in world.servers if s.row is not None]
    return all(other.state is not SlotState.ACTIVE or other.epoch <= row.epoch for other in rows)
