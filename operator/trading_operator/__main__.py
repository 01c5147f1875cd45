"""`trading-operator`: the processes of the control plane.

trading-operator run                   the operator on Kubernetes; TRADING_OPERATOR_* set it
trading-operator supervise DATA-DIR    the supervisor of one cluster on this machine
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from trading_contract.errors import UserError
from trading_contract.settings import load

FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"


def main() -> int:
    """Entry point."""
    match sys.argv[1:]:
        case ["supervise", folder]:
            return _supervise(Path(folder))
        case ["run"]:
            return _run()
        case _:
            print(__doc__, file=sys.stderr)
            return 2


# Each command imports its own half: neither needs the other's libraries in memory.
def _supervise(folder: Path) -> int:
    from trading_operator.substrates.processes.layout import Layout
    from trading_operator.supervision import supervise

    logging.basicConfig(level=logging.INFO, format=FORMAT)
    asyncio.run(supervise(Layout(folder)))
    return 0


def _run() -> int:
    from trading_operator.shell.operator import run_operator
    from trading_operator.shell.settings import OperatorSettings

    try:
        settings = load(OperatorSettings, "TRADING_OPERATOR_", os.environ)
        logging.basicConfig(level=settings.log_level.upper(), format=FORMAT)
        asyncio.run(run_operator(settings))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
