"""`tradingctl up` and `tradingctl apply`: from a file to a running cluster."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trading_contract.errors import UserError
from trading_contract.manifest import load_cluster
from trading_contract.status import ClusterStatus, ConditionType
from trading_contract.tradingcluster import TradingCluster
from trading_operator.cli.clusters import folder_for, register
from trading_operator.cli.status import condition, current_status, is_ready
from trading_operator.planner.actions import Component
from trading_operator.planner.changes import problems_of, problems_of_change
from trading_operator.planner.keeping import BALANCER
from trading_operator.planner.observed import Role
from trading_operator.substrates.processes.commands import redis_command
from trading_operator.substrates.processes.keepers import (
    SUPERVISOR,
    is_kept,
    nudge,
    start_keeper,
)
from trading_operator.substrates.processes.layout import NO_SPACE, Layout, no_space
from trading_operator.substrates.processes.ports import is_free, read_ports
from trading_operator.substrates.processes.postgres import (
    NeedsPersonError,
    postgres_folder,
    refuse_other_version,
)
from trading_operator.substrates.processes.proc import ProcessTable
from trading_operator.substrates.processes.store import UP, Store, refuse_foreign_folder
from trading_operator.supervision import supervise

STALLED_SECONDS_MAX = 12.0
LOOK_SECONDS = 0.2


def read_file(path: str) -> TradingCluster:
    """The cluster in a file (`-` = standard input); raises UserError with one line per problem."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"-f {path}: cannot be read: {reason}") from error
    cluster = load_cluster(text)
    if problems := problems_of(cluster):
        raise UserError("\n".join(problems))
    return cluster


def refuse_change(layout: Layout, cluster: TradingCluster) -> TradingCluster | None:
    """The stored cluster.

    Raises UserError when the new one would break what is stored or served.
    """
    store = Store(layout)
    before = store.cluster()
    problems = problems_of_change(before, cluster) if before else []
    if problems:
        raise UserError("\n".join(problems))
    return before


def up(arguments: argparse.Namespace) -> int:
    """Store the file, start the supervisor, wait until Ready."""
    cluster = read_file(arguments.file)
    layout = folder_for(cluster.metadata.name, arguments.data_dir)
    refuse_foreign_folder(layout)
    refuse_change(layout, cluster)
    refuse_missing_programs(layout)
    refuse_taken_port(layout, cluster)
    make_folder(layout)
    register(layout, cluster.metadata.name)
    store = Store(layout)
    store.make_secrets()
    stored = store.replace(cluster)
    store.set_wish(UP)
    if arguments.foreground:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        asyncio.run(supervise(layout, is_foreground=True))
        return 0
    if not is_kept(layout, SUPERVISOR):
        start_keeper(layout, SUPERVISOR)
    else:
        nudge(layout)
    if not wait_until_ready(layout, stored.metadata.generation, arguments.timeout):
        return 1
    status = current_status(layout)
    print(f"{cluster.metadata.name} is Ready: {status.endpoints.rest}")
    print(f"next: tradingctl keys create NAME --scopes read,trade{_name_hint(arguments)}")
    return 0


def apply(arguments: argparse.Namespace) -> int:
    """Replace the stored specification; the supervisor does the rest."""
    cluster = read_file(arguments.file)
    layout = folder_for(cluster.metadata.name, arguments.data_dir)
    if not layout.cluster_file.exists():
        raise UserError(
            f"metadata.name: no cluster {cluster.metadata.name}; make it with `tradingctl up -f`"
        )
    before = refuse_change(layout, cluster)
    refuse_taken_port(layout, cluster)
    stored = Store(layout).replace(cluster)
    changed = before is None or stored.metadata.generation != before.metadata.generation
    print(f"{cluster.metadata.name} {'configured' if changed else 'unchanged'}")
    if Store(layout).wish() is None:
        print("it is down: `tradingctl up` starts it", file=sys.stderr)
        return 0
    nudge(layout)
    if arguments.wait:
        generation = stored.metadata.generation
        return 0 if wait_until_ready(layout, generation, arguments.timeout) else 1
    return 0


def refuse_missing_programs(layout: Layout) -> None:
    """Raise UserError when a program is missing, or is of another version than the data."""
    probe = Component("probe", Role.NODE, 0)
    checks: tuple[Callable[[], object], ...] = (
        postgres_folder,
        lambda: redis_command(layout, probe),
    )
    problems = []
    for check in checks:
        try:
            check()
        except NeedsPersonError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    try:
        for made_by in sorted(layout.shards_folder.glob("*/data/PG_VERSION")):
            data = made_by.parent
            refuse_other_version(data.parent.name, data, postgres_folder())
    except NeedsPersonError as error:
        raise UserError(str(error)) from error


def make_folder(layout: Layout) -> None:
    """Make the data folder. Raises UserError where none can be made, WorldError without space."""
    try:
        layout.make()
    except OSError as error:
        if error.errno in NO_SPACE:
            raise no_space(error, layout.root) from error
        raise UserError(
            f"--data-dir: {layout.root} cannot be made ({error.strerror}); choose another place"
        ) from error


def refuse_taken_port(layout: Layout, cluster: TradingCluster) -> None:
    """Raise UserError when the wanted port belongs to somebody else than our load balancer."""
    port = cluster.spec.exposure.port
    if not port or is_free(port):
        return
    if read_ports(layout).get(BALANCER) == port and BALANCER in ProcessTable(layout.uid).look():
        return
    raise UserError(
        f"spec.exposure.port: {port} is in use by another program; stop that, choose another"
        " port, or leave it out to get a free one"
    )


def wait_until_ready(layout: Layout, generation: int, timeout_seconds: float) -> bool:
    """Show progress until Ready for that generation; says why not when it takes too long."""
    begun = time.monotonic()
    shown = Progress()
    stalled_since: float | None = None
    status = ClusterStatus()
    while (passed := time.monotonic() - begun) < timeout_seconds:
        status = current_status(layout)
        if is_ready(status, generation):
            shown.end(f"Ready after {passed:.1f} s")
            return True
        stalled = condition(status, ConditionType.STALLED)
        if stalled is None or stalled.status != "True" or status.observed_generation < generation:
            stalled_since = None
        else:
            stalled_since = stalled_since or passed
            if passed - stalled_since > STALLED_SECONDS_MAX:
                shown.end("")
                print(f"tradingctl: {stalled.message}", file=sys.stderr)
                return False
        shown.show(_progress_line(status), passed)
        time.sleep(LOOK_SECONDS)
    shown.end("")
    ready = condition(status, ConditionType.READY)
    why = f": {ready.message}" if ready and ready.message else ""
    print(f"tradingctl: not Ready after {timeout_seconds:.0f} s{why}", file=sys.stderr)
    print(f"tradingctl: see {layout.logs_folder} or `tradingctl logs`", file=sys.stderr)
    return False


def _progress_line(status: ClusterStatus) -> str:
    counts: dict[str, list[int]] = {}
    for process in status.processes:
        if process.role in ("supervisor", "guardian"):
            continue
        count = counts.setdefault(process.role, [0, 0])
        count[0] += process.state == "ready"
        count[1] += 1
    return "  ".join(f"{role} {ready}/{total}" for role, (ready, total) in counts.items())


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line whenever something changed."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = ""

    def show(self, text: str, seconds: float) -> None:
        """Show the present state."""
        text = text or "starting"
        if self._is_terminal:
            print(f"\r\x1b[K{seconds:5.1f} s  {text}", end="", file=sys.stderr, flush=True)
        elif text != self._last:
            print(f"{seconds:5.1f} s  {text}", file=sys.stderr, flush=True)
        self._last = text

    def end(self, text: str) -> None:
        """The last line."""
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr)
        if text:
            print(text, file=sys.stderr, flush=True)


def _name_hint(arguments: argparse.Namespace) -> str:
    return f" --data-dir {arguments.data_dir}" if arguments.data_dir else ""
