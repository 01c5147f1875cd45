"""The topology file: what the operator tells replicas and partitions about the cluster.

One JSON document, replaced atomically, with a `revision` that only rises. It is the *wish*: who
really owns a slot is in the shard's `slot_owner`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from trading_contract.moves import MoveOrder, check_disjoint


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class SymbolRules(_Model):
    """One tradable symbol with its grid and its bounds. Decimals are strings in JSON."""

    name: str = Field(pattern=r"^[A-Z0-9]{2,16}$")
    base_asset: str
    quote_asset: str
    tick_size: Decimal = Field(description="smallest price step; one tick")
    lot_size: Decimal = Field(description="smallest quantity step; one lot")
    min_notional: Decimal = Decimal(0)
    min_quantity: Decimal | None = Field(default=None, description="default: one lot")
    max_quantity: Decimal | None = None
    max_price: Decimal | None = None
    price_band_percent: int = Field(
        default=0,
        ge=0,
        description="a limit price may differ by this much from the last trade; 0 = off",
    )
    self_trade_prevention: Literal[
        "NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"
    ] = "EXPIRE_TAKER"
    max_open_orders_per_account: int = Field(default=0, ge=0, description="0 = no limit")
    status: Literal["TRADING", "HALT"] = "TRADING"


class ShardAddress(_Model):
    """One PostgreSQL; several hosts = members, found by `target_session_attrs=read-write`."""

    name: str
    hosts: tuple[str, ...] = Field(description="host:port of each member")
    database: str = "trading"


class PartitionAddress(_Model):
    """One engine process."""

    name: str
    host: str
    port: int


class SlotPlacement(_Model):
    """One slot `[first, past)`; `""` is the lowest bound, `"~"` lies above every symbol."""

    id: int
    first: str
    past: str
    partition: str
    shard: str
    epoch: int = Field(
        default=0, description="newest epoch that the operator has seen; 0 = unknown"
    )


class Limits(_Model):
    """Rate limits per account, shared by all replicas. 0 = no limit."""

    orders_per_10_seconds: int = 0
    orders_per_day: int = 0
    request_weight_per_minute: int = 0
    body_bytes_max: int = 1 << 20
    batch_orders_max: int = 500


class Idempotency(_Model):
    """How long client order ids of closed orders are remembered."""

    window_seconds: int = 86_400
    entries_max: int = 1_000_000


class Topology(_Model):
    """The whole cluster as replicas and partitions need it.

    Slots are sorted by `first` and tile the symbol space from `""` to `"~"`.
    """

    cluster: str
    revision: int
    symbols: tuple[SymbolRules, ...]
    shards: tuple[ShardAddress, ...]
    partitions: tuple[PartitionAddress, ...]
    redis_nodes: tuple[str, ...] = Field(description="host:port of the nodes to start from")
    slots: tuple[SlotPlacement, ...]
    limits: Limits = Limits()
    idempotency: Idempotency = Idempotency()
    moves: tuple[MoveOrder, ...] = Field(default=(), description="no slot is in two of them")

    @model_validator(mode="after")
    def _moves_are_disjoint(self) -> Self:
        check_disjoint(self.moves)
        return self
