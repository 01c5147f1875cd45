"""The one loop: observe -> plan -> apply -> report. Level-triggered.

Every pass begins with fresh eyes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from trading_contract.errors import TradingError, WorldError
from trading_contract.status import ClusterStatus
from trading_contract.symbolmove import SymbolMoveStatus
from trading_operator.effects import Effects
from trading_operator.planner.autoscale.plan import ScaleMemory, news
from trading_operator.planner.plan import Intent, Plan, make_plan
from trading_operator.substrates.base import Substrate

logger = logging.getLogger("trading_operator.reconcile")


class Reconciler:
    """Passes over one cluster; between two it remembers the last status and averages of load."""

    def __init__(
        self,
        substrate: Substrate,
        effects: Effects,
        report: Callable[[ClusterStatus], None],
        report_moves: Callable[[Mapping[str, SymbolMoveStatus]], None],
        now: Callable[[], float],
    ) -> None:
        self._substrate = substrate
        self._effects = effects
        self._report = report
        self._report_moves = report_moves
        self._now = now
        self._scale: ScaleMemory | None = None

    async def visit(self, intent: Intent) -> Plan:
        """One pass. An action that fails ends the pass; the next one looks again."""
        observed = await self._substrate.observe()
        plan = make_plan(replace(intent, scale=self._scale), observed, self._now())
        self._report_moves(plan.moves.statuses)  # first: orders follow from what they say
        self._tell(plan.status)
        said = intent.previous.autoscaling if intent.previous else None
        for text in news(said, plan.status.autoscaling):
            logger.info("%s", text)
        self._scale = plan.scale
        for action in plan.actions:
            try:
                await self._effects.perform(action)
            except TradingError as error:
                logger.warning("%s: %s", action.describe(), error)
                break
        return plan

    def _tell(self, status: ClusterStatus) -> None:
        """Report it; what cannot be told (a full disk) is no reason to do nothing."""
        try:
            self._report(status)
        except WorldError as error:
            logger.warning("the status stays as it was: %s", error)
