"""Where slots are, which moves are known, and what a round of rebalancing asks for. Values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from operator import lt

from trading_contract.symbols import HIGHEST, LOWEST
from trading_operator.planner.scaling.signals import SlotLoad


@dataclass(frozen=True)
class SlotPlace:
    """One slot `[first, past)` with its owner and the shard of its rows; "" = nobody tells."""

    slot_id: int
    first: str
    past: str
    partition: str
    shard: str = ""


@dataclass(frozen=True)
class PartitionPlace:
    """A partition, or a shard, that may own slots. `is_leaving`: it is drained or goes."""

    name: str
    is_ready: bool = True
    is_leaving: bool = False


@dataclass(frozen=True)
class MoveSeen:
    """One move, under way or of the last hour."""

    ranges: tuple[tuple[str, str], ...]
    source: str
    target: str
    started_at_seconds: float
    finished_at_seconds: float | None = None
    has_failed: bool = False

    def covers(self, first: str, past: str) -> bool:
        """Whether it is about any part of that range."""
        return any(first < end and begin < past for begin, end in self.ranges)


@dataclass(frozen=True)
class Layout:
    """The symbol space as it is spread: slots by `first`, listed symbols in order."""

    slots: tuple[SlotPlace, ...] = ()
    partitions: tuple[PartitionPlace, ...] = ()
    symbols: Sequence[str] = ()
    moves: tuple[MoveSeen, ...] = ()
    shards: tuple[PartitionPlace, ...] = ()

    def symbols_of(self, first: str, past: str) -> Sequence[str]:
        """The listed symbols of a range."""
        return self.symbols[bisect_left(self.symbols, first) : bisect_left(self.symbols, past)]

    # Columns, made once per look: with many thousands of slots, objects are what takes long.

    @cached_property
    def slot_ids(self) -> Sequence[int]:
        """The id of each slot."""
        return [slot.slot_id for slot in self.slots]

    @cached_property
    def owners(self) -> Sequence[str]:
        """The partition of each slot."""
        return [slot.partition for slot in self.slots]

    def tiles(self) -> bool:
        """Whether the slots cover every symbol exactly once."""
        firsts = [slot.first for slot in self.slots]
        pasts = [slot.past for slot in self.slots]
        return [LOWEST, *pasts] == [*firsts, HIGHEST] and all(map(lt, firsts, pasts))


class MoveWhy(StrEnum):
    """Why a range should move; none is ever renamed."""

    OVERFULL = "Overfull"
    EMERGENCY = "Emergency"
    HOT_SYMBOL = "HotSymbol"
    LEAVING = "Leaving"


class BalanceWhy(StrEnum):
    """Why a round asks for what it asks for; none is ever renamed."""

    BALANCED = "Balanced"
    MOVES_WANTED = "MovesWanted"
    SWITCHED_OFF = "SwitchedOff"
    NOT_WORTH_IT = "UtilisationLow"
    TOO_LITTLE_KNOWN = "MetricsMissing"
    JUST_FAILED = "MoveFailed"
    TOO_MANY_FAILED = "MovesFailRepeatedly"
    BUDGET_SPENT = "MovesPerHourSpent"
    OUTSIDE_WINDOW = "OutsideWindow"
    MOVES_UNDER_WAY = "MovesUnderWay"
    LOOKING = "OverfullNotLongEnough"
    OPTIONS_EXHAUSTED = "PlannerOptionsExhausted"
    WOULD_BREAK = "PlanWouldBreakInvariants"
    # Of shards alone.
    TIER_SWITCHED_OFF = "TierSwitchedOff"
    SHARDS_CHANGE = "ShardsChange"
    PARTITIONS_FIRST = "PartitionsFirst"
    RESTING = "MovedLately"


@dataclass(frozen=True)
class MoveWish:
    """Ranges of one partition, or shard, that should go to another, together.

    Utilisations are shares.
    """

    ranges: tuple[tuple[str, str], ...]
    source: str
    target: str
    why: MoveWhy
    load: float  # of what moves, as a share of a unit's capacity
    source_before: float
    source_after: float
    target_before: float
    target_after: float


@dataclass(frozen=True)
class MergeWish:
    """Two neighbours of one partition that are cold enough to be one slot."""

    left_id: int
    right_id: int


@dataclass(frozen=True)
class BalancePlan:
    """What one round asks for, and why not more.

    `shifted_at_seconds` is for the next round: when the load was last seen to shift.
    """

    why: BalanceWhy
    moves: tuple[MoveWish, ...] = ()
    merges: tuple[MergeWish, ...] = ()
    utilisation: Mapping[str, float] = field(default_factory=dict)
    mean: float = 0.0
    band: float = 0.0
    unsplittable_hot_symbols: tuple[str, ...] = ()
    shifted_at_seconds: float | None = None

    @property
    def highest_over_mean(self) -> float:
        """Imbalance: 1 is perfect."""
        return max(self.utilisation.values(), default=0.0) / self.mean if self.mean else 1.0


def symbol_loads(slot: SlotLoad | None, load: float, symbols: Sequence[str]) -> list[float]:
    """The load of each symbol: of the hottest as told, the rest of the slot's evenly.

    `load` is what to plan for; the shares of symbols are those of the newest reading.
    """
    if not symbols:
        return []
    if slot is None or slot.cpu_milliseconds_per_second <= 0:
        return [load / len(symbols)] * len(symbols)
    scale = load / slot.cpu_milliseconds_per_second
    told = {each.name: each.cpu_milliseconds_per_second * scale for each in slot.hottest}
    known = [told.get(name) for name in symbols]
    rest = max(0.0, load - sum(each for each in known if each is not None))
    unknown = sum(1 for each in known if each is None)
    return [rest / unknown if each is None else each for each in known]
