"""Everything that may happen next in the small world.

One slot, two shards, two engines of which one may be a zombie, and operators: whoever acts on the
two rows without memory is an operator here, and any number of crashes of one is nothing but what it
has sent. A wish is not modelled: every actor may at any time go on with a move or give it up, as
its newest message, an old one or a doubled one may tell it.
"""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.move_protocol.owner import Owner, Told
from trading_contract.tests.move_world.copiers_work import copying
from trading_contract.tests.move_world.operators_work import operating
from trading_contract.tests.move_world.owners_work import running
from trading_contract.tests.move_world.servers_work import serving
from trading_contract.tests.move_world.world import (
    INCARNATIONS,
    MOVER,
    Core,
    Engine,
    Limits,
    Move,
    World,
    cut_off,
    strangers,
    told_all,
    with_engine,
)


def following(world: World, limits: Limits, core: Core) -> Iterator[Move]:
    """All that may happen next."""
    for n, engine in enumerate(world.engines):
        if engine.owner is None:
            yield from _starting(world, n)
        else:
            yield from _crashing(world, n, limits)
            yield from running(world, n, engine.owner, limits, core)
            if limits.shard_moves:
                yield from copying(world, n, engine, limits, core)
    for n in range(len(world.servers)):
        yield from serving(world, n, limits, core)
    if limits.shard_moves and strangers(world) < limits.strangers:
        yield from operating(world, core)


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
    after = told_all(cut_off(cut_off(world, n, limits), MOVER + n, limits), Told(unknown=lost))
    yield Move(f"engine {n} dies", with_engine(after, n, Engine()))
