"""What a move left undone when its partition ended: the recovery table, applied until it rests.

A target whose copy nobody holds in memory any more is given up: before the decision that costs the
source nothing. Called before slots are taken; whoever else does the same does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from trading_contract.errors import InvariantError, WorldError
from trading_contract.move_protocol.recovery import Action, classify, recover
from trading_contract.move_protocol.rows import RowPair, SlotRow, SlotState, orient
from trading_contract.move_protocol.steps import RowStep, follow, poison, set_move, unseal
from trading_engine.moving.rows import Found, ShardRows, opened, read_pair

logger = logging.getLogger(__name__)

TURNS_MAX = 20
# A living owner looks after its moves itself.
_UNDER_WAY = (
    "SELECT slot_id FROM slot_owner o WHERE (partition = %s OR slot_id = ANY (%s))"
    " AND (state NOT IN ('ACTIVE', 'MOVED') OR move_id IS NOT NULL) AND NOT EXISTS ("
    "SELECT FROM pg_stat_activity a WHERE a.application_name LIKE 'engine/%%/'"
    " || left(o.owner::text, 8) || '%%' AND NOT starts_with(a.application_name, %s))"
)
# What need not be done before the slot is served: see `soak.py`.
_LATER = frozenset(
    {Action.REST, Action.PREPARE, Action.VERIFY, Action.TOMB, Action.CLEAR_TARGET}
)  # fmt: skip


def settle(
    conninfos: Mapping[str, str], partition: str, placed: Sequence[int], but: Collection[int]
) -> set[int]:
    """Bring every move of this partition's slots to its end, but of those that are served.

    Returns the slots of which a person has to say which row counts. Raises `WorldError` when a
    shard is away.
    """
    found: set[int] = set()
    unclear: set[int] = set()
    with opened(conninfos) as shards:
        for shard in shards.values():
            rows = shard.execute(
                _UNDER_WAY, (partition, list(placed), f"engine/{partition}/")
            )  # fmt: skip
            found.update(row[0] for row in rows)
        for id_ in sorted(found - set(but)):
            try:
                settle_slot(shards, id_)
            except InvariantError as problem:
                logger.critical("%s", problem)
                unclear.add(id_)
    return unclear


def settle_slot(
    shards: Mapping[str, ShardRows], id_: int, keep_rows: bool = False
) -> None:  # fmt: skip
    """Until nothing is left that the slot's owner would have to wait for.

    `keep_rows`: what a move that was given up copied is evidence.
    """
    for _ in range(TURNS_MAX):
        views = {name: shard.read(id_) for name, shard in shards.items()}
        rows: dict[str, SlotRow] = {n: view.row for n, view in views.items() if view is not None}
        source, target = orient(rows)
        if source is None:
            return
        if target is None:
            found = Found(RowPair(rows[source], None), views[source], None)
        else:
            found = read_pair(shards[source], shards[target], id_)
        action = recover(found.pair).back
        if action in _LATER or (keep_rows and action is Action.COLLECT):
            return
        if action is Action.CALL_PERSON:
            raise InvariantError(
                f"slot {id_}: {' / '.join(classify(found.pair))} on {source} / {target}: a person"
                " must decide which of the rows counts"
            )
        logger.info("slot %s on %s and %s: %s", id_, source, target, action)
        if act(action, id_, found, shards[source], shards.get(target or "")):
            return
    raise WorldError(f"slot {id_}: its move does not come to rest")


def act(
    action: Action, id_: int, found: Found, source: ShardRows, target: ShardRows | None
) -> bool:
    """Do it, unless the rows moved on; whether nothing is left to do after it."""
    was, other = found.pair.source, found.pair.target
    on_source: RowStep | None = None
    if action is Action.COLLECT:
        for shard, row in ((source, was), (target, other)):
            is_left = row is not None and row.state in (SlotState.ABORTED, SlotState.MOVED)
            if shard is not None and row is not None and is_left and row.move_id is not None:
                shard.collect(id_, row.move_id)
        return True
    if action is Action.POISON and target is not None and other is not None:
        target.take(id_, poison(other))
    elif was is not None:
        if action is Action.UNSEAL:
            on_source = unseal(was)
        elif action is Action.FOLLOW:
            on_source = follow(was)
        elif action is Action.CLEAR_MOVE:
            on_source = set_move(was, None)
    if on_source is not None:
        source.take(id_, on_source)
    return False
