"""`trading-operator`: the processes of the control plane.

trading-operator supervise DATA-DIR    the supervisor of one cluster on this machine
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from trading_operator.substrates.processes.layout import Layout
from trading_operator.supervision import supervise


def main() -> int:
    """Entry point."""
    if len(sys.argv) != 3 or sys.argv[1] != "supervise":
        print(__doc__, file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(supervise(Layout(Path(sys.argv[2]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
