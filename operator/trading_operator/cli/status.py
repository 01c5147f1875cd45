"""`tradingctl status`: what is true now, for people and for programs."""

from __future__ import annotations

import argparse
import json

from trading_contract.autoscaling_status import AutoscalingStatus
from trading_contract.status import (
    ClusterStatus,
    Condition,
    ConditionType,
    Phase,
    ProcessStatus,
)
from trading_operator.cli.clusters import find_cluster
from trading_operator.cli.load_table import load_tables
from trading_operator.cli.moves import moves_table, unfinished
from trading_operator.cli.tables import table
from trading_operator.substrates.processes.keepers import SUPERVISOR, is_kept
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.proc import is_alive
from trading_operator.substrates.processes.store import Store

SHOWN_CONDITIONS = (ConditionType.AVAILABLE, ConditionType.READY)


def show(arguments: argparse.Namespace) -> int:
    """Print the status."""
    layout = find_cluster(arguments)
    current = current_status(layout)
    if arguments.output == "json":
        print(render_json(current))
    else:
        print(render_text(layout.root.name, current))
        if moves := unfinished(layout):
            print(f"\n{moves_table(moves)}")
    return 0


def current_status(layout: Layout) -> ClusterStatus:
    """The supervisor's last report, corrected by what can be seen at this moment.

    A process that ended since, or a supervisor that is gone, is never reported as well.
    """
    store = Store(layout)
    status = store.status() or ClusterStatus()
    cluster = store.cluster()
    generation = cluster.metadata.generation if cluster else 0
    if store.wish() is None:
        return _at_rest(status)
    dead = [each for each in status.processes if each.pid and not is_alive(each.pid)]
    if dead:
        names = ", ".join(each.name for each in dead)
        status = _with_ready(status, "False", "ComponentFailed", f"{names} just ended")
        processes = tuple(
            each.model_copy(update={"state": "down", "pid": 0}) if each in dead else each
            for each in status.processes
        )
        status = status.model_copy(update={"processes": processes})
    if not is_kept(layout, SUPERVISOR):
        text = "the supervisor does not run; its guardian or `tradingctl up` starts it"
        return _with_ready(status, "Unknown", "SupervisorDown", text)
    if status.observed_generation < generation:
        text = f"generation {generation} has not been looked at yet"
        return _with_ready(status, "False", "Creating", text)
    return status


def _at_rest(status: ClusterStatus) -> ClusterStatus:
    """After `down`: nothing runs, so nothing is claimed."""
    processes = tuple(
        each.model_copy(update={"pid": 0, "state": "down"})
        for each in status.processes
        if each.role not in ("supervisor", "guardian")
    )
    status = status.model_copy(update={"processes": processes})
    status = _with_ready(
        status, "False", "Stopped", "the cluster is down; `tradingctl up` starts it"
    )
    return status.model_copy(update={"phase": Phase.HIBERNATED, "load": None})


def _with_ready(status: ClusterStatus, value: str, reason: str, message: str) -> ClusterStatus:
    found = {each.type: each for each in status.conditions}
    for kind in SHOWN_CONDITIONS:
        before = found.get(kind)
        if kind is ConditionType.AVAILABLE and value == "False" and reason == "ComponentFailed":
            continue  # one of several may have ended: whether orders still pass is not known here
        found[kind] = Condition(
            type=kind, status=value, reason=reason, message=message,
            observed_generation=before.observed_generation if before else 0,
            last_transition_time=before.last_transition_time if before else "",
        )  # fmt: skip
    phase = Phase.UNAVAILABLE if status.phase is Phase.RUNNING else status.phase
    if reason == "ComponentFailed" and status.phase is Phase.RUNNING:
        phase = Phase.DEGRADED
    return status.model_copy(update={"conditions": tuple(found.values()), "phase": phase})


def is_ready(status: ClusterStatus, generation: int) -> bool:
    """Whether the Ready condition is True for that generation."""
    ready = condition(status, ConditionType.READY)
    return ready is not None and ready.status == "True" and ready.observed_generation >= generation


def condition(status: ClusterStatus, kind: ConditionType) -> Condition | None:
    """One condition of a status."""
    return next((each for each in status.conditions if each.type is kind), None)


def render_json(status: ClusterStatus) -> str:
    """The fixed face: phase, conditions, endpoints, processes, slots."""
    return json.dumps(status.model_dump(mode="json", by_alias=True), indent=2)


def render_text(name: str, status: ClusterStatus) -> str:
    """Tables for a person."""
    parts = [f"{name}  {status.phase.value}"]
    if status.endpoints.rest:
        parts[0] += f"  {status.endpoints.rest}"
    told = [
        each for each in status.conditions
        if each.status != "False" or each.type in SHOWN_CONDITIONS or each.message
    ]  # fmt: skip
    parts.append(
        table(
            ("CONDITION", "STATUS", "REASON", "MESSAGE"),
            [(each.type.value, each.status, each.reason, each.message) for each in told],
        )
    )
    parts.append(
        table(
            ("PROCESS", "ROLE", "PID", "PORT", "STATE"),
            [_row(each) for each in status.processes],
        )
    )
    parts.append(
        table(
            ("FIRST", "PAST", "PARTITION", "SHARD", "EPOCH"),
            [
                (each.first or "-", each.past, each.partition, each.shard, str(each.epoch))
                for each in status.slots
            ],
        )
    )
    if status.autoscaling is not None:
        parts.append(_scaling_table(status.autoscaling))
    if status.load is not None:
        parts.append(load_tables(status.load))
    return "\n\n".join(parts)


def _scaling_table(told: AutoscalingStatus) -> str:
    """What each tier has by load, and why; more is in `tradingctl explain`."""
    rows = []
    for tier in told.tiers:
        decision = tier.decision
        blockers = {each.reason: None for each in decision.blocked_by} if decision else {}
        why = f"{decision.action} {decision.reason}" if decision else "-"
        rows.append((tier.name, tier.mode, str(tier.count), why, " ".join(blockers) or "-"))
    return table(("SCALING", "MODE", "COUNT", "LAST DECISION", "WHAT STANDS IN THE WAY"), rows)


def _row(process: ProcessStatus) -> tuple[str, ...]:
    pid, port = str(process.pid or "-"), str(process.port or "-")
    return process.name, process.role, pid, port, process.state
