"""Taking slots over, and giving them back: who may write a slot, as `slot_owner` tells.

A takeover waits behind a commit that a dead predecessor still has in flight, and shuts that
predecessor out. One that is alive under another name goes on serving until it has read the new
topology, too; then it finishes what is in flight and gives the slot back, so that nobody's command
ends as unknown.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from trading_contract.errors import WorldError
from trading_contract.topology import SlotPlacement

TAKE_TRIES_MAX = 5
# The owner's commit connection tells that it is alive; its name begins as `host.py` names it. A
# predecessor under the same name is not waited for: it is dead, or about to be.
_LOOK = (
    "SELECT epoch, state, first_sym, past_sym, EXISTS (SELECT FROM pg_stat_activity a"
    " WHERE a.application_name LIKE 'engine/%%/' || left(o.owner::text, 8) || '%%'"
    " AND NOT starts_with(a.application_name, %s)) FROM slot_owner o WHERE slot_id = %s"
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


def take_slots(
    conninfo: str,
    wanted: Sequence[SlotPlacement],
    incarnation: uuid.UUID,
    by_force: Container[int] = (),
) -> list[TakenSlot]:
    """Own the slots: epoch + 1 each. Blocks on commits in flight.

    Leaves those out that another partition still serves, but for the ids in `by_force`.
    Raises `WorldError` when the shard is away, not yet prepared, or another taker keeps winning.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            taken = [_take(connection, s, incarnation, s.id in by_force) for s in wanted]
            return [slot for slot in taken if slot is not None]
    except psycopg.Error as problem:
        raise WorldError(f"cannot take slots: {first_line(problem)}") from problem


def _take(
    connection: psycopg.Connection[Any],
    slot: SlotPlacement,
    incarnation: uuid.UUID,
    by_force: bool,
) -> TakenSlot | None:
    mine = f"engine/{slot.partition}/"
    for _ in range(TAKE_TRIES_MAX):
        row = connection.execute(_LOOK, (mine, slot.id)).fetchone()
        if row is None:
            raise WorldError(f"slot {slot.id} is not on {slot.shard} yet")
        epoch, state, first, past, held = row
        if state != "ACTIVE":
            raise WorldError(f"slot {slot.id} is {state} on {slot.shard}")
        if held and not by_force:
            return None
        taken = connection.execute(
            "SELECT epoch, last_seq, chain FROM take_slot(%s, %s, %s)",
            (slot.id, epoch, incarnation),
        ).fetchone()
        if taken is not None:
            return TakenSlot(slot.id, first, past, taken[0], taken[1], bytes(taken[2]))
    raise WorldError(f"slot {slot.id}: somebody else keeps taking it")


def release_slots(conninfo: str, held: Sequence[TakenSlot], incarnation: uuid.UUID) -> None:
    """Give slots back of which everything is durable; the next owner need not wait.

    A slot that is owned by somebody else by now is left alone. Raises `WorldError`.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for slot in held:
                connection.execute(
                    "SELECT release_slot(%s, %s, %s)", (slot.id, slot.epoch, incarnation)
                )
    except psycopg.Error as problem:
        raise WorldError(f"cannot give slots back: {first_line(problem)}") from problem


def first_line(problem: Exception) -> str:
    """What went wrong, without hints and positions."""
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
