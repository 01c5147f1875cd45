"""SymbolMoves of one data folder: what is wished in `moves/NAME.json`, how far in `moves/status`.

Wishes are written by commands and, for the planner's own, by the supervisor; statuses by the
supervisor alone. So nobody overwrites what another one says.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from trading_contract.errors import UserError, WorldError
from trading_contract.symbolmove import (
    FINISHED,
    MoveMetadata,
    SymbolMove,
    SymbolMoveSpec,
    SymbolMoveStatus,
)
from trading_operator.planner.moves.times import told
from trading_operator.substrates.processes.layout import Layout, write_atomically

logger = logging.getLogger("trading_operator.moves")
HISTORY_MAX = 100  # finished moves of people; older ones make room for new ones


class MoveFiles:
    """Each file is replaced as a whole; two changes at once lose neither."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._told: set[str] = set()

    def read(self) -> tuple[SymbolMove, ...] | None:
        """All that can be read, by name; None when the folder cannot be."""
        try:
            paths = sorted(self._layout.moves_folder.glob("*.json"))
        except OSError:
            return None
        return tuple(move for path in paths if (move := self._read(path)) is not None)

    def _read(self, path: Path) -> SymbolMove | None:
        try:
            move = SymbolMove.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            if path.name not in self._told:
                self._told.add(path.name)
                logger.warning("%s is left out, as it cannot be read: %s", path, error)
            return None
        return move.model_copy(update={"status": self._status(move)})

    def _status(self, move: SymbolMove) -> SymbolMoveStatus | None:
        path = self._layout.move_status_file(move.metadata.name)
        try:
            return SymbolMoveStatus.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def get(self, name: str) -> SymbolMove:
        """One move; raises UserError that lists those there are."""
        moves = self.read() or ()
        for move in moves:
            if move.metadata.name == name:
                return move
        known = ", ".join(move.metadata.name for move in moves) or "none"
        raise UserError(f"NAME: there is no move {name} (there are: {known})")

    def create(self, name: str, spec: SymbolMoveSpec) -> SymbolMove:
        """A new move; raises UserError when there is one of that name."""
        with self._locked():
            path = self._layout.move_file(name)
            if path.exists():
                raise UserError(f"--name: there is a move {name} already; choose another name")
            metadata = MoveMetadata(
                name=name, uid=str(uuid.uuid4()), creation_timestamp=told(time.time())
            )
            move = SymbolMove(
                api_version="hft.trading/v1alpha1", kind="SymbolMove", metadata=metadata, spec=spec
            )
            self._make_room()
            self._write(move)
        return move

    def change(self, name: str, change: Callable[[SymbolMove], Mapping[str, object]]) -> SymbolMove:
        """Change fields of the specification; what `change` raises changes nothing."""
        with self._locked():
            before = self.get(name)
            spec = before.spec.model_copy(update=dict(change(before)))
            if spec == before.spec:
                return before
            generation = before.metadata.generation + 1
            metadata = before.metadata.model_copy(update={"generation": generation})
            after = before.model_copy(update={"metadata": metadata, "spec": spec})
            self._write(after)
        return after

    def report(self, statuses: Mapping[str, SymbolMoveStatus]) -> None:
        """Write the statuses that say something new."""
        for move in self.read() or ():
            name = move.metadata.name
            if name in statuses and statuses[name] != move.status:
                text = statuses[name].model_dump_json(by_alias=True, indent=1)
                write_atomically(self._layout.move_status_file(name), text + "\n")

    def forget(self, name: str) -> None:
        """Remove a move; one that is gone is no error."""
        self._layout.move_file(name).unlink(missing_ok=True)
        self._layout.move_status_file(name).unlink(missing_ok=True)

    def _make_room(self) -> None:
        finished = [
            (move.status.finished_time, move.metadata.name)
            for move in self.read() or ()
            if not move.is_planned and move.status and move.status.state in FINISHED
            and not move.status.evidence
        ]  # fmt: skip
        for _, name in sorted(finished)[: max(0, len(finished) - HISTORY_MAX + 1)]:
            self.forget(name)

    def _write(self, move: SymbolMove) -> None:
        text = move.model_dump_json(by_alias=True, exclude={"status"}, exclude_none=True, indent=1)
        try:
            self._layout.moves_folder.mkdir(mode=0o755, exist_ok=True)
            self._layout.move_status_file("x").parent.mkdir(mode=0o755, exist_ok=True)
            write_atomically(self._layout.move_file(move.metadata.name), text + "\n")
        except OSError as error:
            raise WorldError(f"{move.metadata.name} cannot be written: {error}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path, flags = self._layout.lock_file("moves"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
