"""`tradingctl move` and `tradingctl moves`: symbols get another partition or shard."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable

from pydantic import ValidationError

from trading_contract.errors import UserError
from trading_contract.manifest import lines_of
from trading_contract.symbolmove import (
    MoveState,
    SymbolMove,
    SymbolMoveSpec,
    SymbolMoveStatus,
    split_symbols,
)
from trading_contract.topology import Topology
from trading_operator.cli.clusters import find_cluster
from trading_operator.cli.tables import table
from trading_operator.planner.moves.ownership import home_of
from trading_operator.planner.moves.selection import select
from trading_operator.substrates.processes.keepers import nudge
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.moves import MoveFiles
from trading_operator.substrates.processes.store import Store

LOOK_SECONDS = 0.1
NAME_CHARACTERS_MAX = 50
BLANK = SymbolMoveStatus()


def move(arguments: argparse.Namespace) -> int:
    """Ask for a move; with --wait stay until it ended."""
    layout = find_cluster(arguments)
    cluster = Store(layout).cluster()
    if cluster is None:
        raise UserError(f"no cluster in {layout.root}")
    spec = _spec(arguments, cluster.metadata.name)
    _refuse_nonsense(spec, Store(layout).topology())
    files = MoveFiles(layout)
    name = arguments.as_name or _free_name(spec, files)
    made = files.create(name, spec)
    nudge(layout)
    print(f"{made.metadata.name} created")
    if arguments.wait:
        return _wait(files, name, arguments.timeout)
    return 0


def _spec(arguments: argparse.Namespace, cluster: str) -> SymbolMoveSpec:
    field = "toShard" if arguments.to.startswith("shard-") else "toPartition"
    document = {
        "cluster": cluster,
        "symbols": [part for text in arguments.symbols for part in split_symbols(text)],
        field: arguments.to,
        "reason": arguments.reason,
        "approval": "Manual" if arguments.manual else "Auto",
        "maxPauseMilliseconds": arguments.max_pause_milliseconds,
    }
    try:
        return SymbolMoveSpec.model_validate(document)
    except ValidationError as problem:
        words = {
            "symbols": "SYMBOLS", "toPartition": "--to", "toShard": "--to",
            "reason": "--reason", "maxPauseMilliseconds": "--max-pause-milliseconds",
        }  # fmt: skip
        lines = []
        for line in lines_of(problem):
            field, dot, rest = line.partition(":")
            name, *where = field.split(".")
            lines.append(".".join((words.get(name, name), *where)) + dot + rest)
        raise UserError("\n".join(lines)) from None


def _refuse_nonsense(spec: SymbolMoveSpec, topology: Topology | None) -> None:
    """What the planner would refuse is said at once."""
    if topology is None:
        return  # not made yet: the planner says the rest
    tier = topology.shards if spec.to_shard is not None else topology.partitions
    known = [each.name for each in tier]
    if spec.target not in known:
        raise UserError(f"--to: {spec.target} does not exist (there are: {', '.join(known)})")
    listed = [symbol.name for symbol in topology.symbols]
    pieces = select(spec.symbols, listed, topology.slots)
    if all(home_of(piece.slot, spec.target) == spec.target for piece in pieces):
        raise UserError(f"--to: {spec.target} owns all of it already")


def _free_name(spec: SymbolMoveSpec, files: MoveFiles) -> str:
    text = "-".join((*spec.symbols[:3], "to", spec.target)).lower()
    base = re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:NAME_CHARACTERS_MAX]
    taken = {each.metadata.name for each in files.read() or ()}
    numbered = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in numbered if name not in taken)


def _wait(files: MoveFiles, name: str, timeout_seconds: float) -> int:
    begun = time.monotonic()
    shown = ""
    while True:
        found = files.get(name)
        status = found.status or BLANK
        line = _progress(status)
        if line != shown:
            print(line, file=sys.stderr, flush=True)
            shown = line
        is_fresh = status.observed_generation >= found.metadata.generation
        if is_fresh and status.is_finished:
            return 0 if status.state in (MoveState.DONE, MoveState.REVERSED) else 1
        if time.monotonic() - begun > timeout_seconds:
            print(f"tradingctl: {name} is not done after {timeout_seconds:.0f} s", file=sys.stderr)
            return 1
        time.sleep(LOOK_SECONDS)


def _progress(status: SymbolMoveStatus) -> str:
    parts = [status.state.value]
    if status.percent and not status.is_finished:
        parts.append(f"{status.percent} %")
    if status.step:
        parts.append(status.step)
    if status.pause_milliseconds is not None:
        parts.append(f"pause {status.pause_milliseconds:.1f} ms")
    if status.message:
        parts.append(status.message)
    return "  ".join(parts)


def list_moves(arguments: argparse.Namespace) -> int:
    """All moves, the oldest first."""
    moves = MoveFiles(find_cluster(arguments)).read() or ()
    ordered = sorted(moves, key=lambda each: (each.metadata.creation_timestamp, each.metadata.name))
    if arguments.output == "json":
        shown = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in ordered]
        print(json.dumps({"moves": shown}, indent=2))
    elif not ordered:
        print("no moves")
    else:
        print(moves_table(ordered))
    return 0


def moves_table(moves: list[SymbolMove]) -> str:
    """For people."""
    head = ("MOVE", "SYMBOLS", "FROM", "TO", "STATE", "PERCENT", "PAUSE", "MESSAGE")
    return table(head, [_row(each) for each in moves])


def unfinished(layout: Layout) -> list[SymbolMove]:
    """Moves that are on their way or wait."""
    moves = MoveFiles(layout).read() or ()
    return [each for each in moves if not (each.status and each.status.is_finished)]


def _row(each: SymbolMove) -> tuple[str, ...]:
    status = each.status or BLANK
    pause = status.pause_milliseconds
    return (
        each.metadata.name, ",".join(each.spec.symbols)[:40], status.source or "-",
        each.spec.target, status.state.value, str(status.percent),
        "-" if pause is None else f"{pause:.1f} ms", status.message or status.reason,
    )  # fmt: skip


def approve(arguments: argparse.Namespace) -> int:
    """Let a move go that waits for it."""

    def change(found: SymbolMove) -> dict[str, object]:
        if found.spec.approval != "Manual":
            raise UserError(f"NAME: {arguments.move_name} needs no approval")
        return {"approved": True}

    return _change(arguments, change, "approved")


def cancel(arguments: argparse.Namespace) -> int:
    """Stop a move; what has changed its owner already stays there."""

    def change(found: SymbolMove) -> dict[str, object]:
        status = found.status or BLANK
        if status.is_finished:
            text = f"NAME: {arguments.move_name} has ended: {status.state.value}"
            raise UserError(f"{text}; `tradingctl moves reverse` brings it back")
        return {"cancel": True}

    return _change(arguments, change, "cancelled")


def reverse(arguments: argparse.Namespace) -> int:
    """Bring everything back where it came from."""
    return _change(arguments, lambda _: {"reverse": True}, "to be reversed")


def forget(arguments: argparse.Namespace) -> int:
    """Remove a move that has ended, also one with evidence."""
    layout = find_cluster(arguments)
    files = MoveFiles(layout)
    status = files.get(arguments.move_name).status or BLANK
    if not status.is_finished:
        raise UserError(f"NAME: {arguments.move_name} has not ended; cancel it first")
    files.forget(arguments.move_name)
    nudge(layout)
    print(f"{arguments.move_name} forgotten")
    return 0


def _change(
    arguments: argparse.Namespace,
    change: Callable[[SymbolMove], dict[str, object]],
    word: str,
) -> int:
    layout = find_cluster(arguments)
    files = MoveFiles(layout)
    files.change(arguments.move_name, change)
    nudge(layout)
    print(f"{arguments.move_name} {word}")
    if arguments.wait:
        return _wait(files, arguments.move_name, arguments.timeout)
    return 0
