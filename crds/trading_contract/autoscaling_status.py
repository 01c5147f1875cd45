"""Autoscaling as the status of a TradingCluster tells it: counts in effect, decisions, a history.

The counts in effect are nowhere else: the specification stays as it was written. What is here is
enough for an operator that begins to go on where the one before it was.
"""

from __future__ import annotations

from pydantic import Field

from trading_contract.model import ResourceModel

DECISIONS_MAX = 60  # of the history
BLOCKERS_MAX = 8  # of a decision
MOVES_MAX = 16  # wished for in one look
HOT_SYMBOLS_MAX = 8
TEXT_MAX = 300


class InputsStatus(ResourceModel):
    """What a decision was made from. Utilisation is of a unit's capacity, as was thought then."""

    work_per_second: int = Field(description="Requests, commands, rows or operations.")
    mean_percent: int = Field(description="Mean utilisation.")
    highest_percent: int = Field(description="Utilisation of the busiest unit.")
    target_percent: int = Field(description="Utilisation to aim for.")
    load_percent: int = Field(description="Load to plan for; 100 = what fills one unit.")
    expected_percent: int = Field(description="The same, as this time of day usually brings it.")
    ready: int = Field(description="Units that worked.")
    waiting: int = Field(description="Units at which work queued.")
    wait_microseconds: int = Field(description="How long it waited at most, p99.")
    missing_percent: int = Field(description="Share of units that told nothing sound.")


class BlockerStatus(ResourceModel):
    """What stood in the way of more or of fewer."""

    reason: str = Field(description="CamelCase word of a closed set.")
    message: str = Field(description="The same for people, with the figures.")


class EffectStatus(ResourceModel):
    """What a change brings, at the work of the time of the decision."""

    mean_percent: int = Field(description="Mean utilisation of the tier.")
    limit_per_second: int | None = Field(
        default=None, description="Orders at which the first tier would be full."
    )


class DecisionStatus(ResourceModel):
    """One decision about one tier. Counts differ only where something was, or would be, done."""

    tier: str = Field(description="backends, partitions, shards or redis.")
    at: str = Field(description="When it was made, RFC 3339, UTC.")
    action: str = Field(description="Hold, Grow or Shrink.")
    reason: str = Field(description="CamelCase word of a closed set.")
    from_count: int = Field(description="Units before.")
    to_count: int = Field(description="Units after.")
    wanted_count: int = Field(description="Units that load alone asks for.")
    inputs: InputsStatus | None = Field(default=None, description="What it was made from.")
    blocked_by: tuple[BlockerStatus, ...] = Field(default=(), description="What forbade more.")
    expected: EffectStatus | None = Field(default=None, description="What it should bring.")
    observed: EffectStatus | None = Field(
        default=None, description="What it brought, two minutes later, set to the same work."
    )
    error_percent: int | None = Field(
        default=None, description="Observed utilisation over the expected one, less 100 %."
    )
    cost_per_month_change: str = Field(
        default="", description="In the currency of spec.prices; empty = not known or none."
    )


class TierScalingStatus(ResourceModel):
    """One tier."""

    name: str = Field(description="backends, partitions, shards or redis.")
    mode: str = Field(description="As in the specification.")
    count: int = Field(description="Units in effect, whatever the specification says.")
    decision: DecisionStatus | None = Field(default=None, description="The last one.")


class MoveWishStatus(ResourceModel):
    """A move of symbol ranges that load asks for. Utilisations are of partitions, or of shards."""

    symbols: tuple[str, ...] = Field(description="Ranges.")
    source: str = Field(description="The partition, or shard, that gives.")
    target: str = Field(description="The partition, or shard, that gets.")
    reason: str = Field(description="CamelCase word of a closed set.")
    source_before_percent: int = Field(description="Utilisation of the one that gives.")
    source_after_percent: int = Field(description="The same afterwards.")
    target_before_percent: int = Field(description="Utilisation of the one that gets.")
    target_after_percent: int = Field(description="The same afterwards.")


class BalanceStatus(ResourceModel):
    """Rebalancing of partitions, or of shards, as of the last look that said something new."""

    at: str = Field(description="When, RFC 3339, UTC.")
    reason: str = Field(description="CamelCase word of a closed set.")
    mean_percent: int = Field(default=0, description="Mean utilisation.")
    highest_percent: int = Field(default=0, description="Utilisation of the fullest one.")
    band_percent: int = Field(default=0, description="How far above the mean is well enough.")
    moves: tuple[MoveWishStatus, ...] = Field(default=(), description="Asked for.")
    unsplittable_symbols: tuple[str, ...] = Field(
        default=(), description="Symbols that fill a partition alone: one writer is the limit."
    )


class AutoscalingStatus(ResourceModel):
    """All of it."""

    limiting: str = Field(default="", description="The tier that limits the orders; empty: none.")
    tiers: tuple[TierScalingStatus, ...] = Field(default=(), description="The four tiers.")
    balance: BalanceStatus | None = Field(default=None, description="Rebalancing of partitions.")
    shard_balance: BalanceStatus | None = Field(
        default=None, description="Rebalancing of shards, where there are several."
    )
    history: tuple[DecisionStatus, ...] = Field(
        default=(), description="Decisions, oldest first; one that repeats is told once."
    )

    def count(self, tier: str) -> int | None:
        """The count in effect of a tier; None where it was not told."""
        return next((each.count for each in self.tiers if each.name == tier), None)
