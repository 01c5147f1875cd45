"""`trading-engine`: run a partition, or prepare a shard."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from trading_contract.errors import TradingError

COPIER_NICENESS = 10  # low, but not starved on a busy machine


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trading-engine", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "run", help="run a partition; settings come from TRADING_ENGINE_* variables"
    )
    prepare = commands.add_parser("prepare-shard", help="make or update a shard's schema and slots")
    prepare.add_argument(
        "--topology", type=Path, required=True, help="the operator's topology.json"
    )
    prepare.add_argument("--shard", required=True, help="name of the shard in the topology")
    prepare.add_argument(
        "--secrets-folder", type=Path, required=True, help="passwords of the roles"
    )
    commands.add_parser("copy-slots", help="used by a partition that moves slots to another shard")
    return parser


def _prepare_shard(arguments: argparse.Namespace) -> int:
    from trading_engine.prepare import prepare_shard
    from trading_engine.topology_file import read_topology

    topology = read_topology(arguments.topology)
    for step in prepare_shard(topology, arguments.shard, arguments.secrets_folder):
        print(f"{arguments.shard}: {step}")
    return 0


def _run() -> int:
    from trading_engine.host import run_partition

    return run_partition(os.environ)


def _copy_slots() -> int:
    os.nice(COPIER_NICENESS)  # at once: to load its code is most of what a small copy costs
    from trading_engine.moving.copying import copy_slots

    status = copy_slots()
    sys.stdout.flush()
    os._exit(status)  # its listener waits on stdin, which an orderly end would wait for


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 = done, 1 = what went wrong is on stderr."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        if arguments.command == "prepare-shard":
            return _prepare_shard(arguments)
        return _copy_slots() if arguments.command == "copy-slots" else _run()
    except TradingError as error:
        print(f"trading-engine: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
