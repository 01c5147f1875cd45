"""Asks a running cluster for moves, as `tradingctl move` does, and waits for their end."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from bench.processes import BenchError
from trading_contract.symbolmove import MoveState, SymbolMoveSpec, SymbolMoveStatus
from trading_operator.substrates.processes.keepers import nudge
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.moves import MoveFiles

Kind = Literal["engine", "shard"]

END_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Moved:
    """One move that is done. Times are seconds of the wall clock."""

    kind: Kind
    symbol: str
    begun: float
    ended: float
    told_milliseconds: float  # the pause as its partition measured it


class Mover:
    """Moves symbols between the two partitions, or the two shards, of one data folder."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._files = MoveFiles(self._layout)
        self._numbers = itertools.count(1)
        self._places: dict[tuple[str, str], str] = {}

    def slot_of(self, symbol: str) -> dict[str, Any]:
        """The slot of a symbol, as the topology has it."""
        slots = json.loads((self._layout.root / "topology.json").read_text())["slots"]
        found: dict[str, Any] = next(s for s in slots if s["first"] <= symbol < s["past"])
        return found

    def alone(self, symbols: Sequence[str]) -> list[str]:
        """Those that share their slot with none of the others."""
        counts = Counter(self.slot_of(symbol)["id"] for symbol in symbols)
        return [symbol for symbol in symbols if counts[self.slot_of(symbol)["id"]] == 1]

    def move(self, kind: Kind, symbol: str) -> Moved:
        """To the other one; returns when it is done. Nothing is kept warm for the way back.

        Raises BenchError when it ends otherwise, was not verified, or takes a minute.
        """
        tier = "partition" if kind == "engine" else "shard"
        # The topology tells it a moment after the status: what we moved we know ourselves.
        place = self._places.get((tier, symbol)) or self.slot_of(symbol)[tier]
        target = f"{tier}-1" if place == f"{tier}-0" else f"{tier}-0"
        name = f"bench-{next(self._numbers)}"
        spec = SymbolMoveSpec.model_validate(
            {"cluster": self._layout.root.name, "symbols": [symbol],
             f"to{tier.capitalize()}": target, "reason": "benchmark"}
        )  # fmt: skip
        begun = time.time()
        self._files.create(name, spec)
        nudge(self._layout)
        status = self._ended(name)
        ended = time.time()
        if status.state is not MoveState.DONE or not status.verified:
            raise BenchError(f"{kind} move of {symbol}: {status.state} {status.message}")
        if status.pause_milliseconds is None:
            raise BenchError(f"{kind} move of {symbol} told no pause")
        self._places[tier, symbol] = target
        self._files.forget(name)
        return Moved(kind, symbol, begun, ended, status.pause_milliseconds)

    def _ended(self, name: str) -> SymbolMoveStatus:
        path = self._layout.move_status_file(name)
        deadline = time.monotonic() + END_SECONDS_MAX
        status = SymbolMoveStatus()
        while time.monotonic() < deadline:
            with suppress(OSError, ValidationError):
                status = SymbolMoveStatus.model_validate_json(path.read_bytes())
            if status.is_finished:
                return status
            time.sleep(LOOK_SECONDS)
        raise BenchError(f"{name} does not end: {status.state} {status.reason} {status.message}")
