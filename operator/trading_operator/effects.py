"""The one seam through which anything outside is changed.

Logged, counted, a crash point in tests.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trading_operator.planner.actions import Action, subject

logger = logging.getLogger("trading_operator.effects")


def _nothing(_: str) -> None:
    """No hook."""


@dataclass(frozen=True)
class Seam:
    """Told of every change outside, by name, before and after: where tests let the operator die."""

    before: Callable[[str], None] = _nothing
    after: Callable[[str], None] = _nothing


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
