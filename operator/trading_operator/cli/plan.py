"""`tradingctl plan`: what would be done for a file, and why; changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from trading_operator.cli.clusters import folder_for
from trading_operator.cli.up import read_file, refuse_change
from trading_operator.planner.actions import subject
from trading_operator.planner.observed import Observed
from trading_operator.planner.preview import preview
from trading_operator.substrates.processes.apply import ProcessesSubstrate
from trading_operator.substrates.processes.layout import Layout


def plan(arguments: argparse.Namespace) -> int:
    """Print the actions with their reasons."""
    cluster = read_file(arguments.file)
    layout = folder_for(cluster.metadata.name, arguments.data_dir)
    refuse_change(layout, cluster)
    observed = asyncio.run(_look(layout)) if layout.uid_file.exists() else Observed(processes={})
    actions = preview(cluster, observed, time.time())
    if arguments.output == "json":
        shown = [
            {"subject": subject(a), "action": a.describe(), "reason": a.reason} for a in actions
        ]
        print(json.dumps({"actions": shown}, indent=2))
    elif not actions:
        print("nothing to do")
    else:
        for number, action in enumerate(actions, 1):
            print(f"{number:3}. {action.describe()}: {action.reason}")
    return 0


async def _look(layout: Layout) -> Observed:
    substrate = ProcessesSubstrate(layout, time.time)
    try:
        return await substrate.observe()
    finally:
        await substrate.observer.close()
