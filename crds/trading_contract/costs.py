"""What a cluster costs per month, by a price table in its specification. An estimate, no bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from trading_contract.model import ResourceModel
from trading_contract.symbols import DecimalText

if TYPE_CHECKING:
    from trading_contract.tradingcluster import TradingClusterSpec

_BINARY = {
    "Ki": Decimal(1) / (1 << 20),
    "Mi": Decimal(1) / 1024,
    "Gi": Decimal(1),
    "Ti": Decimal(1024),
}
CENT = Decimal("0.01")


class PriceTable(ResourceModel):
    """Prices of one month. All or none: an estimate with gaps would be too low."""

    currency: str = Field(
        default="USD", pattern=r"^[A-Z]{3}$", description="What prices are in, such as USD."
    )
    cpu_core: DecimalText | None = Field(default=None, description="One CPU core for a month.")
    memory_gibibyte: DecimalText | None = Field(
        default=None, description="One GiB of memory for a month."
    )
    storage_gibibyte: DecimalText | None = Field(
        default=None, description="One GiB of disk for a month."
    )

    @model_validator(mode="after")
    def _has_no_gaps(self) -> PriceTable:
        given = {
            "cpuCore": self.cpu_core,
            "memoryGibibyte": self.memory_gibibyte,
            "storageGibibyte": self.storage_gibibyte,
        }
        missing = [name for name, price in given.items() if price is None]
        if missing and len(missing) < len(given):
            raise ValueError(
                f"{', '.join(missing)}: missing; give all three prices (0 = free of charge) or none"
            )
        return self

    @property
    def is_known(self) -> bool:
        """Whether there are prices at all."""
        return self.cpu_core is not None


@dataclass(frozen=True)
class Counts:
    """How many units of each tier; a unit of Redis is a master with its followers."""

    backends: int
    partitions: int
    shards: int
    redis: int

    @classmethod
    def of(cls, spec: TradingClusterSpec) -> Counts:
        """What the specification asks for."""
        return cls(
            spec.backends.replicas, spec.partitions.count, spec.shards.count, spec.redis.masters
        )

    @classmethod
    def least(cls, spec: TradingClusterSpec) -> Counts:
        """The fewest that scaling may leave; tiers that do not scale stay as they are."""
        policies, fixed = spec.autoscaling, cls.of(spec)

        def of(tier: str) -> int:
            policy = getattr(policies, tier)
            count: int = (
                policy.min if policy.mode.value in {"on", "dryRun"} else getattr(fixed, tier)
            )
            return count

        return cls(of("backends"), of("partitions"), of("shards"), of("redis"))


def processes(spec: TradingClusterSpec, counts: Counts) -> int:
    """Processes (pods) that so many units are: members of shards and followers count."""
    return (
        counts.backends
        + counts.partitions
        + counts.shards * spec.shards.members
        + counts.redis * (1 + spec.redis.replicas_per_master)
    )


def cost_per_month(spec: TradingClusterSpec, counts: Counts) -> Decimal | None:
    """What so many units cost per month, in `prices.currency`; None without prices."""
    each = unit_costs(spec)
    if each is None:
        return None
    total = sum((each[tier] * getattr(counts, tier) for tier in each), Decimal(0))
    return total.quantize(CENT)


def unit_costs(spec: TradingClusterSpec) -> Mapping[str, Decimal] | None:
    """What one unit of each tier costs per month, by what its processes ask for."""
    prices = spec.prices
    if prices.cpu_core is None or prices.memory_gibibyte is None or prices.storage_gibibyte is None:
        return None
    core, gibibyte = Decimal(prices.cpu_core), Decimal(prices.memory_gibibyte)

    def process(cpu: str, memory: str) -> Decimal:
        return core * cores_of(cpu) + gibibyte * gibibytes_of(memory)

    disk = Decimal(prices.storage_gibibyte) * gibibytes_of(spec.shards.storage.size)
    of = {
        name: getattr(spec, name).resources
        for name in ("backends", "partitions", "shards", "redis")
    }
    return {
        "backends": process(of["backends"].cpu, of["backends"].memory),
        "partitions": process(of["partitions"].cpu, of["partitions"].memory),
        "shards": (process(of["shards"].cpu, of["shards"].memory) + disk) * spec.shards.members,
        "redis": process(of["redis"].cpu, of["redis"].memory)
        * (1 + spec.redis.replicas_per_master),
    }


def cores_of(cpu: str) -> Decimal:
    """`500m` is 0.5, `2` is 2."""
    return Decimal(cpu[:-1]) / 1000 if cpu.endswith("m") else Decimal(cpu)


def gibibytes_of(quantity: str) -> Decimal:
    """`512Mi` is 0.5."""
    return Decimal(quantity[:-2]) * _BINARY[quantity[-2:]]
