"""Times as statuses tell them: RFC 3339 in UTC, whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime

FORM = "%Y-%m-%dT%H:%M:%SZ"


def told(seconds: float) -> str:
    """Unix seconds -> text."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(FORM)


def seconds_of(text: str) -> float | None:
    """Text -> Unix seconds; None for what is empty or no time."""
    try:
        return datetime.strptime(text, FORM).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
