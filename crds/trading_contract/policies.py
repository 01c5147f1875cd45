"""Policies of a TradingCluster: how it scales its tiers and how it moves symbol ranges."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from trading_contract.model import ResourceModel
from trading_contract.symbols import DecimalText


def _unquoted(value: object) -> object:
    """YAML reads a bare `on` and `off` as true and false: take what was meant."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class PolicyMode(StrEnum):
    """What a policy may do."""

    OFF = "off"
    DRY_RUN = "dryRun"
    ON = "on"


class TierMode(StrEnum):
    """What the autoscaler may do with one tier."""

    OFF = "off"
    DRY_RUN = "dryRun"
    ON = "on"
    EXTERNAL = "external"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MINUTES_PER_DAY = 24 * 60
MINUTES_PER_WEEK = 7 * MINUTES_PER_DAY
TRADING_HOURS_MARGIN_MINUTES = 30


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


class Window(ResourceModel):
    """A time of the week in UTC."""

    days: tuple[str, ...] = Field(
        default=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        max_length=7,
        description="Days it opens on: Mon, Tue, Wed, Thu, Fri, Sat, Sun.",
    )
    from_time: str = Field(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="It opens, HH:MM."
    )
    to_time: str = Field(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="It closes, HH:MM; same day."
    )

    @model_validator(mode="after")
    def _opens(self) -> Window:
        if self.from_time >= self.to_time:
            raise ValueError("fromTime must come before toTime, or the window never opens")
        if not self.days or set(self.days) - set(_DAYS):
            raise ValueError(f"days must be of {sorted(_DAYS)}, at least one")
        return self

    def minutes(self, margin_minutes: int = 0) -> frozenset[int]:
        """Minutes of the week, from Monday 00:00 UTC, in which it is open or nearly so."""
        begin, end = (
            _minute(self.from_time) - margin_minutes,
            _minute(self.to_time) + margin_minutes,
        )
        days = (_DAYS.index(day) for day in self.days)
        return frozenset(
            (day * MINUTES_PER_DAY + minute) % MINUTES_PER_WEEK
            for day in days
            for minute in range(begin, end)
        )

    def is_open_at(self, minute_of_week: int, margin_minutes: int = 0) -> bool:
        """The same as `minute_of_week in self.minutes(margin_minutes)`, without the set."""
        begin = _minute(self.from_time) - margin_minutes
        length = _minute(self.to_time) + margin_minutes - begin
        return any(
            (minute_of_week - _DAYS.index(day) * MINUTES_PER_DAY - begin) % MINUTES_PER_WEEK
            < length
            for day in self.days
        )

    def leaves_room(self, closed: tuple[Window, ...]) -> bool:
        """Whether some minute of it lies outside all of the others and their margins."""
        left = set(self.minutes())
        for window in closed:
            left -= window.minutes(TRADING_HOURS_MARGIN_MINUTES)
        return bool(left)


class TierAutoscaling(ResourceModel):
    """How one tier follows its load. Kept by the planner; see the guide for how it decides."""

    mode: Annotated[TierMode, BeforeValidator(_unquoted)] = Field(
        default=TierMode.OFF,
        description="off: the count of the spec; dryRun: decides and reports, does nothing; "
        "on: scales; external: somebody else's HPA or KEDA (backends only). Quote on and off for "
        "kubectl, as YAML reads them as true and false.",
    )
    min: int = Field(default=1, ge=1, le=256, description="Never fewer than this.")
    max: int = Field(default=8, ge=1, le=256, description="Never more than this.")
    target_utilization_percent: int = Field(
        default=60, ge=10, le=95, description="Share of a unit's capacity to aim for."
    )
    cooldown_seconds: int = Field(
        default=60, ge=1, le=86_400, description="Least time between two changes of the tier."
    )

    @model_validator(mode="after")
    def _ordered(self) -> TierAutoscaling:
        if self.min > self.max:
            raise ValueError(
                f"min {self.min} is larger than max {self.max}; lower min or raise max"
            )
        return self


class PartitionAutoscaling(TierAutoscaling):
    """How the partitions follow their load."""

    warm_spares: int = Field(
        default=0,
        ge=0,
        le=8,
        description="Partitions kept running without symbols, so that a hot one is relieved at "
        "once. They count as partitions.",
    )

    @model_validator(mode="after")
    def _somebody_works(self) -> PartitionAutoscaling:
        if self.warm_spares >= self.max:
            raise ValueError(
                f"warmSpares {self.warm_spares} leaves no partition of max {self.max}; raise max "
                "or lower warmSpares"
            )
        return self


class ShardAutoscaling(TierAutoscaling):
    """How the shards follow their load. A new one costs moves of data, so it is rare.

    With the mode on, and `rebalancing.mode` on, ranges also move between shards to even their load.
    """

    cooldown_seconds: int = Field(
        default=21_600, ge=1, le=86_400, description="Least time between two changes of the tier."
    )


class RedisAutoscaling(TierAutoscaling):
    """How the Redis Cluster follows its load; never below three masters."""

    min: int = Field(default=3, ge=3, le=64, description="Never fewer masters than this.")
    cooldown_seconds: int = Field(
        default=3_600, ge=1, le=86_400, description="Least time between two changes of the tier."
    )


class BudgetSpec(ResourceModel):
    """What scaling may use at most. It counts all tiers, also those that do not scale."""

    processes_max: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Most processes (pods) of all tiers together. Default: no bound of its own.",
    )
    cost_per_month_max: DecimalText | None = Field(
        default=None,
        description="Highest estimated cost per month, in the currency of spec.prices. Default: no "
        "bound.",
    )


class AutoscalingSpec(ResourceModel):
    """Scaling of each tier by its own load."""

    backends: TierAutoscaling = TierAutoscaling()
    partitions: PartitionAutoscaling = PartitionAutoscaling()
    shards: ShardAutoscaling = ShardAutoscaling()
    redis: RedisAutoscaling = RedisAutoscaling()
    windows: tuple[Window, ...] = Field(
        default=(), max_length=14, description="Times when shrinking is allowed. Empty: always."
    )
    trading_hours: tuple[Window, ...] = Field(
        default=(),
        max_length=14,
        description="Times when nothing shrinks, from half an hour before to half an hour after.",
    )
    scale_in_after_seconds: int = Field(
        default=1800,
        ge=60,
        le=86_400,
        description="What was busy within so long is kept: the peaks of that time must fit into "
        "what remains. Averages are over a sixth of it, at least a third of it must have been "
        "low. With less than half an hour moves rest for shorter, too: to try things out.",
    )
    budget: BudgetSpec = BudgetSpec()
    benefit_per_cost_percent_min: int = Field(
        default=10,
        ge=0,
        le=1000,
        description="What another unit must promise: its gain in throughput over its rise in cost, "
        "both relative to now, in percent. Costs are by spec.prices, else by processes.",
    )

    @model_validator(mode="after")
    def _may_shrink_at_some_time(self) -> AutoscalingSpec:
        if self.windows and not any(
            shrinking.leaves_room(self.trading_hours) for shrinking in self.windows
        ):
            raise ValueError(
                "windows: all of them lie within tradingHours (half an hour more on both sides), "
                "so nothing would ever shrink; make one of them longer or move it"
            )
        return self

    @model_validator(mode="after")
    def _external_only_for_backends(self) -> AutoscalingSpec:
        for tier in ("partitions", "shards", "redis"):
            if getattr(self, tier).mode is TierMode.EXTERNAL:
                raise ValueError(
                    f"{tier}.mode: external is for backends only, as only they may be stopped "
                    "without moving data first; set on, dryRun or off"
                )
        return self


class RebalancingSpec(ResourceModel):
    """Moves of symbol ranges by load: between partitions, and between shards.

    Between shards only as far as `autoscaling.shards.mode` allows it, too.
    """

    mode: Annotated[PolicyMode, BeforeValidator(_unquoted)] = Field(
        default=PolicyMode.OFF,
        description="off, dryRun (proposes moves) or on (makes them). Between shards "
        "autoscaling.shards.mode must allow it, too. Quote on and off for kubectl, as YAML reads "
        "them as true and false.",
    )
    windows: tuple[Window, ...] = Field(
        default=(), max_length=14, description="Times when moves may start. Empty: always."
    )
    moves_per_hour_max: int = Field(default=60, ge=0, le=3600, description="Cap on moves.")
    parallel_moves_max: int = Field(default=2, ge=1, le=16, description="Moves at a time.")
    pause_milliseconds_max: int = Field(
        default=100, ge=10, le=10_000, description="Longest pause of a symbol that a move may make."
    )
