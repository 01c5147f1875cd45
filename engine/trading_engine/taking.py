"""Taking slots over, and giving them back: who may write a slot, as `slot_owner` tells.

A takeover waits behind a commit that a dead predecessor still has in flight, and shuts that
predecessor out. One that is alive under another name goes on serving until it has read the new
topology, too; then it finishes what is in flight and gives the slot back, so that nobody's command
ends as unknown.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from trading_contract.errors import WorldError
from trading_contract.topology import SlotPlacement
from trading_engine.complaints import first_line
from trading_engine.moving.decide import may_take
from trading_engine.spares import SPARES

TAKE_TRIES_MAX = 5
_NOT_HERE = frozenset({"MOVED", "FOLLOWER", "PREPARED", "ABORTED"})
# The owner's commit connection tells that it is alive; its name begins as `host.py` names it. A
# predecessor under the same name is not waited for: it is dead, or about to be.
_LOOK = (
    "SELECT slot_id, epoch, state, first_sym, past_sym, partition, EXISTS (SELECT FROM"
    " pg_stat_activity a WHERE a.application_name LIKE 'engine/%%/' || left(o.owner::text, 8)"
    " || '%%' AND NOT starts_with(a.application_name, %s)) FROM slot_owner o"
    " WHERE slot_id = ANY (%s) OR partition = %s ORDER BY slot_id"
)


@dataclass(frozen=True)
class TakenSlot:
    """A slot as its new owner found it."""

    id: int
    first: str
    past: str
    epoch: int
    sequence: int
    chain: bytes


@dataclass(frozen=True)
class Taker:
    """Who takes slots: an incarnation of a partition."""

    partition: str
    incarnation: uuid.UUID


def take_slots(
    conninfo: str,
    placed: Sequence[SlotPlacement],
    taker: Taker,
    by_force: Container[int] = (),
    but: Container[int] = (),
) -> tuple[list[TakenSlot], list[int]]:
    """Own what is the taker's by the shard's rows and the topology: epoch + 1 each.

    `placed`: where the topology has the shard's slots. Blocks on commits in flight. Returns what
    was taken, and the ids of what another partition still serves, unless they are in `by_force`;
    ids in `but` are left alone. Raises `WorldError` when the shard is away, not yet prepared, or
    another taker keeps winning.
    """
    try:
        with SPARES.borrow(conninfo) as connection:
            return _take_all(connection, {slot.id: slot for slot in placed}, taker, by_force, but)
    except psycopg.Error as problem:
        raise WorldError(f"cannot take slots: {first_line(problem)}") from problem


def _take_all(
    connection: psycopg.Connection[Any],
    placed: Mapping[int, SlotPlacement],
    taker: Taker,
    by_force: Container[int],
    but: Container[int],
) -> tuple[list[TakenSlot], list[int]]:
    taken: list[TakenSlot] = []
    awaited: list[int] = []
    lost: list[int] = []
    left = {
        id for id, slot in placed.items() if slot.partition == taker.partition and id not in but
    }
    for _ in range(TAKE_TRIES_MAX):
        lost = []
        mine = f"engine/{taker.partition}/"
        rows = connection.execute(_LOOK, (mine, list(left), taker.partition)).fetchall()
        missing = left - {row[0] for row in rows}
        if missing:
            raise WorldError(f"slot {min(missing)} is not on {placed[min(missing)].shard} yet")
        for id_, epoch, state, first, past, partition, held in rows:
            place = placed.get(id_)
            where = (place.partition, place.epoch) if place is not None else (None, 0)
            done = id_ in but or id_ in awaited or any(slot.id == id_ for slot in taken)
            if (
                done
                or state in _NOT_HERE
                or not may_take(taker.partition, partition, epoch, *where)
            ):
                continue
            if state != "ACTIVE":
                awaited.append(id_)  # the move of which it is a part comes to its end first
                continue
            if held and id_ not in by_force:
                awaited.append(id_)
                continue
            made = connection.execute(
                "SELECT epoch, last_seq, chain FROM take_slot(%s, %s, %s, %s)",
                (id_, epoch, taker.incarnation, taker.partition),
            ).fetchone()
            if made is None:
                lost.append(id_)
            else:
                taken.append(TakenSlot(id_, first, past, made[0], made[1], bytes(made[2])))
        if not lost:
            return taken, awaited
    raise WorldError(f"slot {lost[0]}: somebody else keeps taking it")


def release_slots(conninfo: str, held: Sequence[TakenSlot], incarnation: uuid.UUID) -> None:
    """Give slots back of which everything is durable; the next owner need not wait.

    A slot that is owned by somebody else by now is left alone. Raises `WorldError`.
    """
    try:
        with SPARES.borrow(conninfo) as connection:
            for slot in held:
                connection.execute(
                    "SELECT release_slot(%s, %s, %s)", (slot.id, slot.epoch, incarnation)
                )
    except psycopg.Error as problem:
        raise WorldError(f"cannot give slots back: {first_line(problem)}") from problem
