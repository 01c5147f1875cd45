"""The command line of moves and drains."""

from __future__ import annotations

import argparse


def add_moves(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`move`, `moves`, `drain` and `undrain`."""
    text = "move symbols to another partition or shard while they trade"
    sub = commands.add_parser("move", help=text, description=text)
    sub.set_defaults(command="moves:move")
    _add_cluster(sub)
    sub.add_argument("symbols", nargs="+", metavar="SYMBOLS", help="BTCUSDT, or A..H, or several")
    sub.add_argument("--to", required=True, metavar="WHERE", help="such as partition-1 or shard-1")
    sub.add_argument("--reason", default="", help="why, for people")
    sub.add_argument("--manual", action="store_true", help="it waits for `moves approve`")
    sub.add_argument("--as", dest="as_name", metavar="NAME", help="name of the move")
    sub.add_argument("--max-pause-milliseconds", type=int, default=100, metavar="N")
    _add_wait(sub)
    _add_kinds(commands)
    for name, text in (
        ("drain", "move all symbols of a partition or shard to the others; it runs on, empty"),
        ("undrain", "let a drained partition or shard have symbols again"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=f"drains:{name}")
        _add_cluster(sub)
        sub.add_argument("place", metavar="WHERE", help="such as partition-1 or shard-1")
        _add_wait(sub)


def _add_kinds(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "list, approve, cancel, reverse and forget moves"
    moves = commands.add_parser("moves", help=text, description=text)
    moves.set_defaults(command="moves:list_moves")
    _add_cluster(moves)
    moves.add_argument("-o", "--output", choices=("text", "json"), default="text")
    kinds = moves.add_subparsers(metavar="COMMAND")
    for name, text in (
        ("approve", "let a move go that waits for approval"),
        ("cancel", "stop a move; what has moved stays"),
        ("reverse", "bring everything back, half an hour after its end at the latest"),
        ("forget", "remove a move that has ended"),
    ):
        sub = kinds.add_parser(name, help=text, description=text)
        sub.set_defaults(command=f"moves:{name}")
        sub.add_argument("move_name", metavar="NAME")
        _add_wait(sub)


def _add_cluster(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data-dir", metavar="DIR", help="the cluster's data folder")
    sub.add_argument("--name", help="which cluster, when there are several")


def _add_wait(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--wait", action="store_true", help="until it has ended")
    sub.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS")
