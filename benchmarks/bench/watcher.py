"""Looks at something again and again, beside what is measured."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Watcher:
    """Calls `look` every `seconds` in a thread of its own, while its context lasts.

    What `look` raises ends the looking, and is raised when the context ends well.
    """

    def __init__(self, look: Callable[[], None], seconds: float, name: str) -> None:
        self._look, self._seconds = look, seconds
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._ended.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._seconds):
                self._look()
        except Exception as error:  # it must not end unseen in its thread
            self._error = error
