"""Programs that come as a Python package, for systems without them: that needs no rights."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path


def in_wheels(places: Iterable[tuple[str, str]]) -> Path | None:
    """The first of these programs, each (package, path below it), that is installed with us."""
    for package, program in places:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (path := Path(folder) / program).exists():
                return path
    return None
