"""Where a live object does not contain what is wanted of it.

The API server adds defaults and others add fields of their own, so only what we want is compared:
objects by key, lists item by item, quantities by value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

# Lists to which others may add.
OPEN_LISTS = frozenset({"ownerReferences"})
# What tells the items of a list apart, where their order means nothing.
ITEM_KEYS = ("mountPath", "uid", "name", "containerPort", "port")
QUANTITIES = frozenset({"cpu", "memory", "storage"})


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths of the fields that differ; empty = nothing to do."""
    return tuple(_differ(wanted, live, ""))


def _differ(wanted: Any, live: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            inner = f"{path}.{key}" if path else str(key)
            if key not in live:
                # The API server leaves empty values out.
                if value not in ({}, [], "", None):
                    yield inner
            else:
                yield from _differ(value, live[key], inner)
        if path == "data" and set(live) - set(wanted):
            yield path
    elif isinstance(wanted, list | tuple) and isinstance(live, list | tuple):
        yield from _lists_differ(wanted, live, path)
    elif wanted != live and not _same_quantity(wanted, live, path):
        yield path


def _lists_differ(wanted: Sequence[Any], live: Sequence[Any], path: str) -> Iterator[str]:
    is_open = path.rpartition(".")[2] in OPEN_LISTS
    if len(wanted) > len(live) or (len(wanted) < len(live) and not is_open):
        yield path
        return
    key = _key_of(wanted, live)
    if key is None:
        for index, (left, right) in enumerate(zip(wanted, live, strict=False)):
            yield from _differ(left, right, f"{path}[{index}]")
        return
    by_key = {item[key]: item for item in live}
    for item in wanted:
        inner = f"{path}[{item[key]}]"
        if item[key] not in by_key:
            yield inner
        else:
            yield from _differ(item, by_key[item[key]], inner)


def _key_of(wanted: Sequence[Any], live: Sequence[Any]) -> str | None:
    items = [*wanted, *live]
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    for key in ITEM_KEYS:
        if all(key in item for item in items):
            names = [item[key] for item in live]
            return key if len(set(names)) == len(names) else None
    return None


def _same_quantity(wanted: Any, live: Any, path: str) -> bool:
    if path.rpartition(".")[2] not in QUANTITIES:
        return False
    try:
        left: Decimal = parse_quantity(wanted)  # type: ignore[no-untyped-call]
        right: Decimal = parse_quantity(live)  # type: ignore[no-untyped-call]
    except ValueError:
        return False
    return left == right
