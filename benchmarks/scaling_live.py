"""A real cluster follows its load: tenfold up, hot symbols that change twice, and away again.

    python benchmarks/scaling_live.py [--seconds N] [--rate N] [--out FILE] [--plot FILE]

Brings `examples/11-scaling-by-load` up with `tradingctl`, trades on it with clients that record
what they were told, watches who does how much by /proc, and has the history judged at the end.
Exit status 1 when an order failed, was lost or doubled, or when not all has shrunk again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from bench.breathing import PHASES, Breathing, Watch, figures_of, panels_of  # noqa: E402
from bench.figures import table, write  # noqa: E402
from bench.machine import commit, machine  # noqa: E402
from exchange import Exchange  # noqa: E402
from judged import crowd_of, judge, unclear_after_one_retry  # noqa: E402
from trading_operator.simulation.picture import drawn  # noqa: E402

EXAMPLE = HERE.parent / "examples" / "11-scaling-by-load" / "cluster.yaml"
SHRINK_SECONDS_MAX = 900.0


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120, help="of each phase (default: 120)")
    parser.add_argument("--rate", type=float, default=30, help="calls/s at first (default: 30)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scaling-live.json")
    parser.add_argument("--plot", type=Path, help="write a picture of it, as SVG")
    return parser.parse_args()


def run(chosen: argparse.Namespace, exchange: Exchange, folder: Path) -> Watch:
    """All phases, then wait until everything has shrunk again; the history holds."""
    crowd, accounts = crowd_of(exchange, folder, "breathing")
    watch = Watch(Breathing(exchange.home / exchange.name), lambda: crowd.acknowledged)
    with crowd, watch:
        for phase in PHASES:
            rate = chosen.rate * phase.factor / len(crowd.clients)
            for client in crowd.clients:
                client.plan = replace(
                    client.plan, rate_per_second=rate, weights=phase.weights(sorted(client.grids))
                )
            watch.begin(phase.name)
            print(f"{phase.name}: {chosen.rate * phase.factor:g} calls/s", file=sys.stderr)
            time.sleep(chosen.seconds)
        deadline = time.monotonic() + SHRINK_SECONDS_MAX
        while not watch.is_small_again and time.monotonic() < deadline:
            time.sleep(1)
    watch.unclear = unclear_after_one_retry(folder, accounts)
    judge(exchange, folder, accounts)
    print(exchange.ctl("explain"))
    return watch


def main() -> int:
    """Exit status 0 when all laws hold and all parts went again."""
    chosen = options()
    home = Path(tempfile.mkdtemp(prefix="tc-bench-", dir="/var/tmp"))
    home.chmod(0o755)  # PostgreSQL and Redis run as another user below it
    folder = home / "history"
    folder.mkdir()
    exchange = Exchange(home, "breathing")
    try:
        exchange.ctl("up", "-f", str(EXAMPLE))
        watch = run(chosen, exchange, folder)
    finally:
        exchange.ctl("down", "--purge", "--yes")
        shutil.rmtree(home, ignore_errors=True)
    figures = figures_of(watch)
    write(chosen.out, machine(), commit(), figures)
    print(table(figures))
    if chosen.plot:
        title = "examples/11-scaling-by-load: tenfold load, hot symbols that change twice, away"
        chosen.plot.write_text(drawn(title, panels_of(watch), watch.samples[-1].seconds))
    for text in watch.unclear:
        print(f"FAILED {text}")
    if not watch.is_small_again:
        print(f"FAILED: not all has shrunk again: {watch.samples[-1].counts}")
    return 0 if watch.is_small_again and not watch.unclear else 1


if __name__ == "__main__":
    sys.exit(main())
