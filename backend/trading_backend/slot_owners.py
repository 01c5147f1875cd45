"""Which slots nobody owns whom we reach, and since when. Pure; time is an argument.

A slot that had an owner a moment ago is not missing: its orders are held, and a hand-over ends long
before they are refused.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from trading_backend.partition_link import Claim
from trading_contract.topology import SlotPlacement

HOLD_SECONDS = 0.25  # how long an order waits for an owner before it is refused


class SlotOwners:
    """The slots of the topology, as far as they lack an owner."""

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()  # of slots that have, or had, an owner
        self._unowned: dict[int, tuple[SlotPlacement, float | None]] = {}

    def follow(
        self, slots: Sequence[SlotPlacement], claims: Iterable[Claim], now_seconds: float
    ) -> None:
        """What is so from now on. A slot is owned when claims cover its range, by whatever ids.

        So one that was merged into its neighbour does not lack an owner until the topology is told.
        """
        covered = tuple(_joined(claims))
        firsts = [first for first, _ in covered]
        unowned: dict[int, tuple[SlotPlacement, float | None]] = {}
        for slot in slots:
            at = bisect_right(firsts, slot.first) - 1
            if at >= 0 and slot.past <= covered[at][1]:
                continue
            since = now_seconds if slot.id in self._known else None
            if slot.id in self._unowned:
                since = self._unowned[slot.id][1]
            unowned[slot.id] = (slot, since)
        never = {key for key, (_, since) in unowned.items() if since is None}
        self._known = frozenset(slot.id for slot in slots if slot.id not in never)
        self._unowned = unowned

    def missing(self, now_seconds: float) -> list[SlotPlacement]:
        """Those that never had an owner, or have had none for as long as orders are held."""
        return [
            slot for slot, since in self._unowned.values()
            if since is None or now_seconds - since >= HOLD_SECONDS
        ]  # fmt: skip


def _joined(claims: Iterable[Claim]) -> Iterator[tuple[str, str]]:
    """Ranges of the claims in order; those that touch or overlap are one."""
    begin, end = "", None
    for first, past in sorted((claim.first, claim.past) for claim in claims):
        if end is not None and first <= end:
            end = max(end, past)
            continue
        if end is not None:
            yield begin, end
        begin, end = first, past
    if end is not None:
        yield begin, end
