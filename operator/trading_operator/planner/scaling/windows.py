"""Times of the week: when may shrink, when may move. Unix seconds are UTC."""

from __future__ import annotations

from collections.abc import Iterable

from trading_contract.policies import (
    MINUTES_PER_DAY,
    MINUTES_PER_WEEK,
    TRADING_HOURS_MARGIN_MINUTES,
    AutoscalingSpec,
    Window,
)

_EPOCH_DAY = 3  # 1970-01-01 was a Thursday


def minute_of_week(now_seconds: float) -> int:
    """Minutes since Monday 00:00 UTC."""
    return (int(now_seconds // 60) + _EPOCH_DAY * MINUTES_PER_DAY) % MINUTES_PER_WEEK


def is_open(windows: Iterable[Window], now_seconds: float, margin_minutes: int = 0) -> bool:
    """Whether one of them is open, or nearly so."""
    minute = minute_of_week(now_seconds)
    return any(window.is_open_at(minute, margin_minutes) for window in windows)


def may_shrink(spec: AutoscalingSpec, now_seconds: float) -> bool:
    """Outside trading hours and their margins, and within a window if there are any."""
    if is_open(spec.trading_hours, now_seconds, TRADING_HOURS_MARGIN_MINUTES):
        return False
    return not spec.windows or is_open(spec.windows, now_seconds)
