"""Problems that are met again and again, told once."""

from __future__ import annotations

import logging


class Complaints:
    """Logs a problem when it begins or becomes another one, and when it is over."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._known: dict[str, str] = {}

    def about(self, what: str, problem: object, then: str = "trying again") -> None:
        """`what` met this problem; `then`: what is done about it."""
        text = str(problem)
        if self._known.get(what) != text:
            self._known[what] = text
            self._logger.warning("%s: %s; %s", what, text, then)

    def over(self, what: str) -> None:
        """`what` went well."""
        if self._known.pop(what, None) is not None:
            self._logger.info("%s: well again", what)


def first_line(problem: Exception) -> str:
    """What went wrong, without hints and positions."""
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
