"""The one seam through which anything outside is changed.

Logged, counted, a crash point in tests.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from trading_operator.planner.actions import Action, subject

logger = logging.getLogger("trading_operator.effects")


class Effects:
    """Performs actions one after the other; a failure ends the pass, the next one looks again."""

    def __init__(
        self,
        apply: Callable[[Action], Awaitable[None]],
        before: Callable[[Action], None] = lambda _: None,
        after: Callable[[Action], None] = lambda _: None,
    ) -> None:
        self._apply = apply
        self._before = before
        self._after = after
        self.performed = 0

    async def perform(self, action: Action) -> None:
        """Do it, once. `before` and `after` are where tests let the operator die."""
        self._before(action)
        logger.info("%s: %s (%s)", subject(action), action.describe(), action.reason)
        await self._apply(action)
        self.performed += 1
        self._after(action)
