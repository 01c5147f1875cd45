"""Arguments of `tradingctl simulate`; the simulation itself is loaded only when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

TRACE_NAMES = (
    "constant", "zipf", "step", "opening", "diurnal", "hot-symbol", "alternation", "dropout",
)  # fmt: skip
STRATEGY_NAMES = ("planner", "hpa", "greedy", "hash")


def add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command's arguments."""
    text = "run the planner of scale in a simulated exchange"
    sub = commands.add_parser("simulate", help=text, description=text)
    sub.set_defaults(command="simulate:run")
    sub.add_argument("--seed", type=int, default=1, metavar="N")
    sub.add_argument(
        "--trace", default="zipf", metavar="NAME|FILE",
        help=f"{', '.join(TRACE_NAMES)}; or a CSV file of seconds,factor[,rank,factor_of_symbol]",
    )  # fmt: skip
    sub.add_argument("--strategy", default="planner", help=f"{', '.join(STRATEGY_NAMES)}; or all")
    sub.add_argument("-f", "--file", help="a TradingCluster file whose policies are tried out")
    sub.add_argument("--partitions", type=int, default=8, metavar="N", help="at the beginning")
    sub.add_argument("--symbols", type=int, default=1000, metavar="N")
    sub.add_argument("--slots-per-partition", type=int, default=8, metavar="N")
    sub.add_argument("--hours", type=float, metavar="H", help="cut the trace short")
    sub.add_argument("--plot", type=Path, metavar="FILE", help="write a picture of it, as SVG")
    sub.add_argument("-o", "--output", choices=("text", "json"), default="text")
