"""The face of a substrate: one look, one action. It never decides."""

from __future__ import annotations

from typing import Protocol

from trading_operator.planner.actions import Action
from trading_operator.planner.observed import Observed


class Substrate(Protocol):
    """Where a cluster's components live."""

    async def observe(self) -> Observed:
        """One look at everything, bounded in time.

        What does not answer is unknown, never an error.
        """
        ...

    async def apply(self, action: Action) -> None:
        """Do one thing, idempotently. What takes long is begun; `Observed.busy` names it then.

        Raises WorldError when it may succeed later, UserError when only a person can help.
        """
        ...
