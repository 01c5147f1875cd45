"""The real operator process with a stubbed data plane, and a way to die at any change it makes.

`CRASH=before:7` or `after:7` ends the process at the seventh change. `CHANGES=FILE` records the
name of every change, one line each.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from stub_components import StubComponents

from trading_contract.errors import UserError
from trading_contract.settings import load
from trading_operator.effects import Seam
from trading_operator.shell.operator import Operator
from trading_operator.shell.settings import OperatorSettings
from trading_operator.substrates.kubernetes.api import connect

DIED = 86


def is_told_only(name: str) -> bool:
    """Renewals of the Lease go on all the time, and events for people change nothing."""
    return "/leases" in name or "/events" in name


def _seam(crash: str, record: Path) -> Seam:
    when, _, number = crash.partition(":")
    count = 0

    def before(name: str) -> None:
        nonlocal count
        if is_told_only(name):
            return
        count += 1
        with record.open("a") as file:
            file.write(f"{name}\n")
        if when == "before" and count == int(number):
            os._exit(DIED)

    def after(name: str) -> None:
        if when == "after" and not is_told_only(name) and count == int(number):
            os._exit(DIED)

    return Seam(before, after)


async def _main() -> None:
    settings = load(OperatorSettings, "TRADING_OPERATOR_", os.environ)
    world = Path(os.environ["WORLD"])
    seam = _seam(os.environ.get("CRASH", ""), Path(os.environ["CHANGES"]))
    api = await connect(seam)
    stubs = await connect(kubeconfig=os.environ.get("WORLD_KUBECONFIG"))
    await Operator(settings, api, lambda key: StubComponents(world, key, stubs), seam).run()
    await stubs.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(_main())
    except UserError as error:
        sys.exit(str(error))
