"""`tradingctl simulate`: the planner of scale in a seeded world, faster than real time."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from trading_contract.errors import UserError
from trading_contract.manifest import load_cluster
from trading_contract.policies import TierMode
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.simulation.picture import picture
from trading_operator.simulation.report import as_json, as_text
from trading_operator.simulation.run import Outcome, simulate
from trading_operator.simulation.specs import simulated_spec
from trading_operator.simulation.strategies import STRATEGIES
from trading_operator.simulation.traces import TRACES, Trace, trace_from_csv
from trading_operator.simulation.world import Shape, SimulatedWorld

BROKEN = 1
ORDERS_PER_SECOND_PER_PARTITION = 14_000.0
BOUNDS = {"partitions": 256, "symbols": 100_000, "slots_per_partition": 64}


def run(arguments: argparse.Namespace) -> int:
    """Simulate; 1 when an invariant was broken."""
    trace, spec = _trace(arguments), _spec(arguments.file)
    if arguments.strategy not in {*STRATEGIES, "all"}:
        raise UserError(f"--strategy: one of {', '.join(STRATEGIES)}, all")
    for name, most in BOUNDS.items():
        if not 1 <= getattr(arguments, name) <= most:
            raise UserError(f"--{name.replace('_', '-')}: 1 to {most:,}")
    names = list(STRATEGIES) if arguments.strategy == "all" else [arguments.strategy]
    outcomes = [_simulate(name, arguments, trace, spec) for name in names]
    if arguments.output == "json":
        print(json.dumps([as_json(each) for each in outcomes], indent=1))
    else:
        print(as_text(outcomes))
    if arguments.plot:
        title = f"{trace.name}, seed {arguments.seed}: {outcomes[0].strategy}"
        arguments.plot.write_text(picture(outcomes[0], title), encoding="utf-8")
    return BROKEN if any(each.broken for each in outcomes) else 0


def _simulate(
    name: str, arguments: argparse.Namespace, trace: Trace, spec: TradingClusterSpec
) -> Outcome:
    partitions = arguments.partitions
    shape = Shape(
        partitions, arguments.symbols, arguments.slots_per_partition,
        ORDERS_PER_SECOND_PER_PARTITION * partitions, 3 * partitions, partitions,
        max(3, partitions * 3 // 4),
    )  # fmt: skip
    world = SimulatedWorld(arguments.seed, shape, trace)

    def progress(share: float) -> None:
        print(f"\r{name}: {share:.0%}", end="", file=sys.stderr, flush=True)

    outcome = simulate(
        world,
        STRATEGIES[name](spec),
        spec,
        progress if sys.stderr.isatty() else lambda _share: None,
    )
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return outcome


def _trace(arguments: argparse.Namespace) -> Trace:
    trace = TRACES.get(arguments.trace)
    if trace is None:
        path = Path(arguments.trace)
        if not path.is_file():
            raise UserError(
                f"--trace: {arguments.trace} is neither a file nor one of {', '.join(TRACES)}"
            )
        try:
            trace = trace_from_csv(path.read_text(encoding="utf-8"), str(path))
        except UnicodeDecodeError:
            raise UserError(f"--trace: {path} is no text in UTF-8") from None
    if arguments.hours is None:
        return trace
    if not 0 < arguments.hours <= 24 * 365:
        raise UserError("--hours: more than 0, at most a year")
    return replace(trace, seconds=min(trace.seconds, arguments.hours * 3600))


def _spec(file: str | None) -> TradingClusterSpec:
    if file is None:
        return simulated_spec(partitions_max=256, backends_max=256)
    spec = load_cluster(Path(file).read_text(encoding="utf-8")).spec
    tiers = (getattr(spec.autoscaling, tier).mode for tier in ("backends", "partitions"))
    if all(mode is TierMode.OFF for mode in tiers) and spec.rebalancing.mode.value == "off":
        raise UserError(f"{file}: autoscaling and rebalancing are off: there is nothing to try out")
    return spec
