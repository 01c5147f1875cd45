"""The rows of a slot on its shards, read and changed as recovery asks. Blocking; for threads.

Each reading locks the row and commits, so that what it tells will last; each change is one
compare-and-set.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from trading_contract.errors import WorldError
from trading_contract.move_protocol.rows import RowPair, SlotRow, SlotState, pair_at_one_moment
from trading_contract.move_protocol.steps import RowStep
from trading_engine.complaints import first_line
from trading_engine.scheduling import step_back
from trading_engine.spares import SPARES

COLLECT_ROWS = 1000  # of each table in one bite: some milliseconds of the server
REFUSED = "TC002"
READINGS_MAX = 20

_STEP = f"SELECT slot_step({', '.join(['%s'] * 11)})"


@dataclass(frozen=True)
class SlotView:
    """A row of `slot_owner`, and what moves do not care about."""

    row: SlotRow
    first: str
    past: str
    born: int
    partition: str | None


class ShardRows:
    """The rows on one shard. Raises `WorldError` when that does not answer."""

    def __init__(self, name: str, connection: psycopg.Connection[Any]) -> None:
        self.name = name
        self._connection = connection

    def execute(
        self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        try:
            cursor = self._connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as problem:
            if problem.sqlstate == REFUSED:
                raise StepRefusedError(first_line(problem)) from problem
            raise WorldError(f"{self.name}: {first_line(problem)}") from problem

    def read(self, id_: int) -> SlotView | None:
        """As it stands, durably."""
        rows = self.execute("SELECT * FROM read_slot(%s)", (id_,))
        if not rows:
            return None
        epoch, owner, state, last, chain, move, verified, first, past, born, partition = rows[0]
        row = SlotRow(epoch, owner, SlotState(state), last, bytes(chain), move, verified)
        return SlotView(row, first, past, born, partition)

    def take(self, id_: int, step: RowStep) -> bool:
        """One step; False: it was not as expected."""
        return self.take_all([(id_, step)])

    def take_all(self, steps: Sequence[tuple[int, RowStep]]) -> bool:
        """All of these steps or none."""
        try:
            with self._connection.transaction():
                for id_, step in steps:
                    self.execute(_STEP, step_values(id_, step))
        except StepRefusedError:
            return False
        except psycopg.Error as problem:
            raise WorldError(f"{self.name}: {first_line(problem)}") from problem
        return True

    def collect(self, id_: int, move: UUID, share: float = 1.0) -> None:
        """Delete what an ended move left, in bites; `share` of the time, where nobody waits."""
        # Each bite would else read the table from its beginning, past what is deleted already.
        self.execute("SET enable_seqscan = off")
        left = 1
        while left:
            begun = time.monotonic()
            left = self.execute(
                "SELECT collect_rows(%s, %s, %s)", (id_, move, COLLECT_ROWS)
            )[0][0]  # fmt: skip
            if left and share < 1.0:
                time.sleep((time.monotonic() - begun) * (1 / share - 1))
        self.execute("RESET enable_seqscan")


class StepRefusedError(WorldError):
    """A compare-and-set found something else."""


def step_values(id_: int, step: RowStep) -> list[Any]:
    """The parameters of `slot_step`."""
    at = step.at or (None, None)
    return [
        id_, step.from_state.value, step.from_epoch, step.from_move, step.from_owner, *at,
        step.to_state.value, step.to_epoch, step.to_move, step.to_owner,
    ]  # fmt: skip


@contextmanager
def opened(
    conninfos: Mapping[str, str], fresh: bool = False, nice: bool = False
) -> Iterator[dict[str, ShardRows]]:
    """Connections to these shards by name. Raises `WorldError`.

    `fresh`: made for this, as one that was kept may be to a server that hangs by now.
    `nice`: made for this, too, and everybody else goes first; lock nothing that is traded on.
    """
    try:
        with ExitStack() as stack:
            made = {
                name: stack.enter_context(
                    psycopg.connect(conninfo, autocommit=True)
                    if fresh or nice
                    else SPARES.borrow(conninfo)
                )
                for name, conninfo in conninfos.items()
            }
            if nice:
                for each in made.values():
                    step_back(each)
            yield {name: ShardRows(name, each) for name, each in made.items()}
    except psycopg.Error as problem:
        raise WorldError(first_line(problem)) from problem


@dataclass(frozen=True)
class Found:
    """Both rows as they stood at one moment."""

    pair: RowPair
    source: SlotView | None
    target: SlotView | None


def read_pair(source: ShardRows, target: ShardRows, id_: int) -> Found:
    """Target, source, target. Raises `WorldError` when it does not come to rest."""
    for _ in range(READINGS_MAX):
        before = target.read(id_)
        middle = source.read(id_)
        after = target.read(id_)
        pair = pair_at_one_moment(_row(before), _row(middle), _row(after))
        if pair is not None:
            return Found(pair, middle, before)
    raise WorldError(f"slot {id_}: its rows change all the time")


def _row(view: SlotView | None) -> SlotRow | None:
    return None if view is None else view.row
