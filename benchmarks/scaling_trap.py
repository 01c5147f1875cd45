"""The first prototype's trap, both ways: `python benchmarks/scaling_trap.py [--seconds N]`.

Load that one shard limits. A rule that sees only CPU adds backends; the planner of scale adds a
shard and moves ranges to it. Every acknowledged order must be stored.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bench.driver import BUILD, build  # noqa: E402
from bench.figures import table, write  # noqa: E402
from bench.machine import commit, machine  # noqa: E402
from bench.order_entry import Pace  # noqa: E402
from bench.trap import Trap  # noqa: E402


def main() -> int:
    """Write the figure and say what happened round by round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each round (default: 20)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scaling-trap.json")
    chosen = parser.parse_args()
    build(BUILD.with_suffix(".log"))

    def say(text: str) -> None:
        print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)

    figures = Trap(Pace(1, chosen.seconds, 1), say).measure()
    write(chosen.out, machine(), commit(), figures)
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
