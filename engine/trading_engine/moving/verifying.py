"""Are both shards equal? The hot state at one sequence; history up to one, and the chain there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus

from trading_contract.errors import WorldError
from trading_engine.complaints import first_line
from trading_engine.moving.copying import SUMS
from trading_engine.moving.rows import ShardRows
from trading_engine.moving.shadow import Shadow, ShadowLine
from trading_engine.spares import SPARES

POLL_SECONDS = 0.002
HOLD_SECONDS_MAX = 10.0
# Counts and digests of the state of a range, for `first` and `past`.
HOT = f"""
SELECT 'open_orders', {SUMS} FROM open_orders t
 WHERE symbol >= %(first)s AND symbol < %(past)s
UNION ALL
SELECT 'symbol_state', {SUMS} FROM symbol_state t
 WHERE symbol >= %(first)s AND symbol < %(past)s
ORDER BY 1
"""
_COLD = f"""
SELECT 'closed_orders', {SUMS} FROM closed_orders t
 WHERE symbol >= %(first)s AND symbol < %(past)s AND seq <= %(end)s
UNION ALL
SELECT 'trades', {SUMS} FROM trades t
 WHERE symbol >= %(first)s AND symbol < %(past)s AND seq <= %(end)s
ORDER BY 1
"""

Ranges = Mapping[int, tuple[str, str]]


class Snapshot:
    """One moment of a shard. Blocking; for threads."""

    def __init__(self, conninfo: str) -> None:
        self._lent = SPARES.borrow(conninfo)
        self._connection = self._lent.__enter__()
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def ends(self, ids: list[int]) -> dict[int, int]:
        """How far the slots are."""
        rows = self._connection.execute(
            "SELECT slot_id, last_seq FROM slot_owner WHERE slot_id = ANY (%s)", (ids,)
        ).fetchall()
        return {row[0]: row[1] for row in rows}

    def hot(self, ranges: Ranges) -> dict[int, list[tuple[Any, ...]]]:
        """Counts and digests of the slots' state; ends the moment."""
        sums = {
            id_: self._connection.execute(HOT, {"first": first, "past": past}).fetchall()
            for id_, (first, past) in ranges.items()
        }
        self._connection.execute("COMMIT")
        return sums

    def close(self) -> None:
        """Give the connection back, unless it is still in that moment."""
        if self._connection.info.transaction_status is not TransactionStatus.IDLE:
            self._connection.close()
        self._lent.__exit__(None, None, None)


async def hot_differences(
    conninfos: tuple[str, str],
    line: ShadowLine,
    shadows: Mapping[int, Shadow],
    ranges: Ranges,
    check: Callable[[], None],
) -> str:
    """What differs, in words, "" = nothing; while orders flow.

    `conninfos`: of source and target. The target is held where a snapshot of the source is, only
    until it has one, too. Raises
    `WorldError`, and what `check` raises.
    """
    opened: list[Snapshot] = []
    loop = asyncio.get_running_loop()
    try:
        for shadow in shadows.values():
            shadow.until = shadow.at
        await line.still()
        opened.append(await asyncio.to_thread(Snapshot, conninfos[0]))
        ends = await asyncio.to_thread(opened[0].ends, list(ranges))
        for id_, shadow in shadows.items():
            shadow.until = ends[id_]
        line.poke()
        deadline = loop.time() + HOLD_SECONDS_MAX
        while any(shadow.at != ends[id_] for id_, shadow in shadows.items()):
            check()
            if loop.time() > deadline:
                raise WorldError("the target does not come to where the source is")
            await asyncio.sleep(POLL_SECONDS)
        opened.append(await asyncio.to_thread(Snapshot, conninfos[1]))
        there = await asyncio.to_thread(opened[1].ends, list(ranges))
    except psycopg.Error as problem:
        for each in opened:
            each.close()
        raise WorldError(first_line(problem)) from problem
    except BaseException:
        for each in opened:
            each.close()
        raise
    finally:
        for shadow in shadows.values():
            shadow.until = None
        line.poke()
    try:
        if there != ends:
            return f"sequences {ends} and {there}"
        sums = await asyncio.gather(*(asyncio.to_thread(each.hot, ranges) for each in opened))
    except psycopg.Error as problem:
        raise WorldError(first_line(problem)) from problem
    finally:
        for each in opened:
            each.close()
    different = [id_ for id_ in ranges if sums[0][id_] != sums[1][id_]]
    return "; ".join(f"slot {id_}: {sums[0][id_]} and {sums[1][id_]}" for id_ in different)


def store_verification(follower: ShardRows, owner: ShardRows, id_: int, move: UUID) -> str:
    """Compare history up to where the follower is, and the chains there; store that it is equal.

    Returns what differs, "" = nothing. Blocking. Raises `WorldError`.
    """
    view = follower.read(id_)
    if view is None:
        raise WorldError(f"slot {id_} is not on {follower.name}")
    end = view.row.last_seq
    values = {"first": view.first, "past": view.past, "end": end}
    logged = owner.execute(
        "SELECT chain FROM slot_log WHERE slot_id = %s AND seq_hi = %s UNION ALL"
        " SELECT chain FROM slot_owner WHERE slot_id = %s AND last_seq = %s LIMIT 1",
        (id_, end, id_, end),
    )
    if not logged or bytes(logged[0][0]) != view.row.chain:
        return f"slot {id_}: the chains at {end}"
    sums = [shard.execute(_COLD, values) for shard in (follower, owner)]
    if sums[0] != sums[1]:
        return f"slot {id_} up to {end}: {sums[0]} and {sums[1]}"
    follower.execute("SELECT store_verification(%s, %s, %s, %s)", (id_, move, end, str(sums[0])))
    return ""
