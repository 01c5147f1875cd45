"""Restarts of partitions without a pause: each is emptied first, where others can take its symbols.

A version that does not come up is found out by a partition that owns nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trading_contract.symbolmove import SymbolMove
from trading_operator.planner.moves.turnover import has_gone_wrong


@dataclass(frozen=True)
class Relief:
    """`name`: the partition that is emptied now; `held`: those that may not be restarted yet."""

    name: str = ""
    held: frozenset[str] = frozenset()


def relief_of(
    due: Collection[str], owners: Collection[str], able: Sequence[str],
    moves: Sequence[SymbolMove], now: float,
) -> Relief:  # fmt: skip
    """Who is emptied and who waits.

    `due` for a restart; `owners` have slots, be it only in what was published; `able` can give and
    take symbols. Where nobody else is able, or a move of the planner just went wrong, nobody is
    held: then they restart with their symbols.
    """
    loaded = sorted(set(due) & set(owners), key=lambda name: int(name.rpartition("-")[2]))
    if not loaded or has_gone_wrong(moves, now):
        return Relief()
    first = loaded[0]
    if first not in able or all(name == first for name in able):
        return Relief()
    empty_ones_go_first = bool(set(due) - set(owners))
    return Relief("" if empty_ones_go_first else first, frozenset(loaded))
