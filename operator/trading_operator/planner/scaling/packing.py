"""How many partitions the slots need, and whether they still fit when one of them goes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence

SMALL = 0.1  # of a bin; what is smaller is counted by volume


def bins_needed(loads: Iterable[float], size: float) -> int:
    """Bins of `size` that first-fit-decreasing needs at most.

    Small pieces waste at most `SMALL` of a bin, so only the others are packed one by one. A piece
    that is larger than a bin has one of its own.
    """
    items = list(loads)
    large = sorted((load for load in items if load >= SMALL * size), reverse=True)
    packed = first_fit(large, size)
    alone = sum(load for load in large if load > size)
    beside = sum(1 for load in large if load > size)
    by_volume = math.ceil(round((sum(items) - alone) / (size * (1 - SMALL)), 6)) + beside
    exact = math.ceil(round((sum(items) - alone) / size, 6)) + beside
    return max(packed, by_volume if len(large) < len(items) else exact, 1 if items else 0)


def first_fit(sizes: Sequence[float], size: float) -> int:
    """Bins that first fit needs for sizes in this order; a tree of free space finds the bin."""
    if not sizes:
        return 0
    width = 1 << (len(sizes) - 1).bit_length()
    free = [size] * (2 * width)
    used = 0
    for item in sizes:
        at = 1
        while at < width:
            at *= 2
            if free[at] < min(item, size):
                at += 1
        used = max(used, at - width + 1)
        free[at] = max(0.0, free[at] - item) if item <= size else 0.0
        while at > 1:
            at //= 2
            free[at] = max(free[2 * at], free[2 * at + 1])
    return used


def highest_after_removal(
    victim_loads: Iterable[float], others: Mapping[str, float], capacity: float
) -> float:
    """The highest utilisation when the victim's slots go to whoever has least, largest first.

    Infinite when nobody is left.
    """
    heap = [(load, name) for name, load in others.items()]
    if not heap:
        return math.inf
    heapq.heapify(heap)
    for load in sorted(victim_loads, reverse=True):
        least, name = heap[0]
        heapq.heapreplace(heap, (least + load, name))
    return max(load for load, _ in heap) / capacity
