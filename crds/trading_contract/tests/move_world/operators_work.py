"""What anybody who reads the two rows may do next."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.move_protocol import steps
from trading_contract.move_protocol.recovery import Action
from trading_contract.move_protocol.rows import RowPair, SlotRow, SlotState
from trading_contract.tests.move_world import server as pg
from trading_contract.tests.move_world.server import NOBODY
from trading_contract.tests.move_world.statements import (
    Append,
    Collect,
    Statement,
    Verified,
)
from trading_contract.tests.move_world.world import (
    SHARDS,
    Core,
    Move,
    World,
    pair_of,
    with_server,
)


def operating(world: World, core: Core) -> Iterator[Move]:
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
