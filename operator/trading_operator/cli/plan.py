"""`tradingctl plan`: what would be done for a file, and why; changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from trading_operator.cli.clusters import folder_for
from trading_operator.cli.explain import text
from trading_operator.cli.status import current_status
from trading_operator.cli.up import read_file, refuse_change
from trading_operator.planner.actions import subject
from trading_operator.planner.observed import Observed
from trading_operator.planner.preview import preview
from trading_operator.planner.scaling.signals import Tier
from trading_operator.substrates.processes.apply import ProcessesSubstrate
from trading_operator.substrates.processes.layout import Layout


def plan(arguments: argparse.Namespace) -> int:
    """Print the actions with their reasons, and what load asks for, with its expected effect."""
    cluster = read_file(arguments.file)
    layout = folder_for(cluster.metadata.name, arguments.data_dir)
    refuse_change(layout, cluster)
    observed = asyncio.run(_look(layout)) if layout.uid_file.exists() else Observed(processes={})
    status = current_status(layout) if layout.uid_file.exists() else None
    actions = preview(cluster, observed, time.time(), status)
    said = status.autoscaling if status else None
    if arguments.output == "json":
        shown = [
            {"subject": subject(a), "action": a.describe(), "reason": a.reason} for a in actions
        ]
        by_load = said.model_dump(mode="json", by_alias=True, exclude_none=True) if said else None
        print(json.dumps({"actions": shown, "byLoad": by_load}, indent=2))
        return 0
    if not actions:
        print("nothing to do")
    else:
        for number, action in enumerate(actions, 1):
            print(f"{number:3}. {action.describe()}: {action.reason}")
    if said is not None:
        print("\nby load, as the supervisor saw it last:")
        print("\n".join(text(said, list(Tier))))
    return 0


async def _look(layout: Layout) -> Observed:
    substrate = ProcessesSubstrate(layout, time.time)
    try:
        return await substrate.observe()
    finally:
        await substrate.observer.close()
