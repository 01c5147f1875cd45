"""The TradingCluster resource, `hft.trading/v1alpha1`: what a person asks for.

Five lines are a valid cluster; everything else has a default that runs. Rules over several fields
are checked here with messages that name the field and the way out.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from trading_contract.costs import Counts, PriceTable, cost_per_month, processes
from trading_contract.model import ResourceModel
from trading_contract.policies import AutoscalingSpec, RebalancingSpec, TierMode
from trading_contract.status import ClusterStatus
from trading_contract.symbols import HIGHEST, LOWEST, PlacementSpec, SymbolSpec

API_VERSION = "hft.trading/v1alpha1"
KIND = "TradingCluster"
NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"  # of another object


PartitionName = Annotated[
    str, Field(min_length=11, max_length=13, pattern=r"^partition-(0|[1-9][0-9]{0,2})$")
]
ShardName = Annotated[str, Field(min_length=7, max_length=8, pattern=r"^shard-(0|[1-9][0-9]?)$")]
SecretName = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME)]


def _check_drained(tier: str, count: int, drained: Collection[str]) -> None:
    names = {f"{tier}-{index}" for index in range(count)}
    for at, name in enumerate(drained):
        if name not in names:
            raise ValueError(f"drained.{at}: {name} does not exist; count is {count}")
    if names <= set(drained):
        raise ValueError(f"drained: somebody must keep the symbols; leave one {tier} out")


class Resources(ResourceModel):
    """What one process may use, in Kubernetes quantities."""

    cpu: str = Field(default="250m", pattern=r"^[0-9]+m?$", description="CPU, such as 500m or 2.")
    memory: str = Field(
        default="512Mi", pattern=r"^[0-9]+(Ki|Mi|Gi)$", description="Memory, such as 512Mi or 4Gi."
    )


class ShardResources(Resources):
    """What one PostgreSQL may use."""

    memory: str = Field(
        default="1Gi", pattern=r"^[0-9]+(Ki|Mi|Gi)$", description="Memory, such as 512Mi or 4Gi."
    )


class RedisResources(Resources):
    """What one Redis node may use."""

    cpu: str = Field(default="50m", pattern=r"^[0-9]+m?$", description="CPU, such as 500m or 2.")
    memory: str = Field(
        default="256Mi", pattern=r"^[0-9]+(Ki|Mi|Gi)$", description="Memory, such as 512Mi or 4Gi."
    )


class BackendsSpec(ResourceModel):
    """The FastAPI replicas that take orders."""

    replicas: int = Field(default=1, ge=1, le=256, description="How many replicas.")
    managed_by: Literal["Operator", "External"] = Field(
        default="Operator",
        description="Who sets the number: Operator = replicas does; External = your own HPA or "
        "KEDA on the Deployment NAME-backend (Kubernetes only). Then leave replicas at the least "
        "number that it may choose.",
    )
    resources: Resources = Resources()


class PartitionsSpec(ResourceModel):
    """The matching-engine partitions. Each is the only writer of its symbol ranges."""

    count: int = Field(default=1, ge=1, le=256, description="How many partitions.")
    drained: tuple[PartitionName, ...] = Field(
        default=(),
        max_length=255,
        description="Partitions that give their symbols away and get none, for maintenance; they "
        "run on, empty. At least one must remain.",
    )
    update: Literal["HandOver", "Restart"] = Field(
        default="HandOver",
        description="How they get another version or other settings, one after the other. "
        "HandOver: each gives its symbols to the others before it restarts, where there are "
        "others. Restart: it restarts with its symbols, which pause for as long.",
    )
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _some_remain(self) -> PartitionsSpec:
        _check_drained("partition", self.count, self.drained)
        return self


class Durability(StrEnum):
    """What an acknowledged order survives."""

    PREFERRED = "preferred"
    REQUIRED = "required"


class ReclaimPolicy(StrEnum):
    """What becomes of the disks when the cluster is deleted."""

    RETAIN = "retain"
    DELETE = "delete"


class StorageSpec(ResourceModel):
    """Disk of one member."""

    size: str = Field(
        default="10Gi", pattern=r"^[0-9]+(Mi|Gi|Ti)$", description="Size of one member's disk."
    )
    storage_class: str | None = Field(
        default=None, max_length=253, description="Storage class. Default: the cluster's own."
    )
    reclaim: ReclaimPolicy = Field(
        default=ReclaimPolicy.RETAIN, description="retain or delete, when the cluster is deleted."
    )


class ShardsSpec(ResourceModel):
    """The PostgreSQL shards. Each holds the truth of its symbol ranges."""

    count: int = Field(default=1, ge=1, le=64, description="How many shards.")
    drained: tuple[ShardName, ...] = Field(
        default=(),
        max_length=63,
        description="Shards that give their symbols away and get none, for maintenance; they run "
        "on, empty. At least one must remain.",
    )
    members: int = Field(
        default=1,
        ge=1,
        le=3,
        description="PostgreSQL servers per shard: 1 = no standby, 2 or 3 = Patroni with standbys "
        "(Kubernetes only).",
    )
    durability: Durability = Field(
        default=Durability.PREFERRED,
        description="preferred: goes on with one copy when the standby is lost; required: stops "
        "instead, needs 3 members.",
    )
    storage: StorageSpec = StorageSpec()
    resources: ShardResources = ShardResources()

    @model_validator(mode="after")
    def _some_remain(self) -> ShardsSpec:
        _check_drained("shard", self.count, self.drained)
        return self

    @model_validator(mode="after")
    def _members_give_durability(self) -> ShardsSpec:
        if self.durability is Durability.REQUIRED and self.members < 3:
            raise ValueError(
                f"durability: required needs members: 3, not {self.members}; "
                "set members to 3 or durability to preferred"
            )
        return self


class RedisSpec(ResourceModel):
    """The Redis Cluster: derived data only, nothing is lost with it."""

    masters: int = Field(default=3, ge=3, le=64, description="How many masters; at least three.")
    replicas_per_master: int = Field(default=0, ge=0, le=3, description="Followers of each master.")
    resources: RedisResources = RedisResources()


class RateLimits(ResourceModel):
    """Limits of one account over all replicas; 0 = no limit."""

    orders_per_10_seconds: int = Field(
        default=0, ge=0, le=10_000_000, description="New orders in ten seconds."
    )
    orders_per_day: int = Field(
        default=0, ge=0, le=10_000_000_000, description="New orders in a day."
    )
    request_weight_per_minute: int = Field(
        default=0, ge=0, le=100_000_000, description="Weight of requests in a minute."
    )


class AccessSpec(ResourceModel):
    """Who may trade, and how much."""

    api_keys_secret_ref: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$",
        description="Secret with api-keys.json. Default: one that the operator makes and "
        "`tradingctl keys` fills.",
    )
    rate_limits: RateLimits = RateLimits()
    body_bytes_max: int = Field(
        default=1 << 20, ge=1 << 12, le=1 << 24, description="Largest body of a request."
    )
    batch_orders_max: int = Field(
        default=500, ge=1, le=5000, description="Most orders in one batch."
    )


class GatewaySpec(ResourceModel):
    """The Gateway that an HTTPRoute attaches to."""

    name: str = Field(
        min_length=1, max_length=253, pattern=NAME, description="Name of the Gateway."
    )
    namespace: str | None = Field(
        default=None, max_length=63, pattern=NAME, description="Default: the cluster's own."
    )
    section_name: str | None = Field(
        default=None, max_length=253, pattern=NAME, description="Listener. Default: all of them."
    )


class ExposureSpec(ResourceModel):
    """Where clients connect."""

    port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of the load balancer or Service; 0 = a free one, kept from then on.",
    )
    ingress_host: str | None = Field(
        default=None, max_length=253, description="Host name of an Ingress. Default: no Ingress."
    )
    gateway: GatewaySpec | None = Field(
        default=None, description="Gateway of an HTTPRoute. Default: no HTTPRoute."
    )


class ObservabilitySpec(ResourceModel):
    """What can be seen from outside."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe lines that are written."
    )
    metrics: bool = Field(default=True, strict=True, description="Serve /metrics.")


class IdempotencySpec(ResourceModel):
    """How long client order ids of ended orders are remembered; open ones always are."""

    window_seconds: int = Field(
        default=86_400, ge=60, le=604_800, description="Remember ended orders for this long."
    )
    entries_max: int = Field(
        default=1_000_000,
        ge=1_000,
        le=100_000_000,
        description="Remember at most this many per partition, the newest ones.",
    )


class TradingClusterSpec(ResourceModel):
    """A whole exchange."""

    symbols: tuple[SymbolSpec, ...] = Field(
        min_length=1, max_length=10_000, description="What can be traded."
    )
    placement: tuple[PlacementSpec, ...] = Field(
        default=(),
        max_length=256,
        description="Where symbol ranges start. Empty: spread evenly. Otherwise the ranges must "
        "cover every symbol once. Read only when the cluster is made.",
    )
    backends: BackendsSpec = BackendsSpec()
    partitions: PartitionsSpec = PartitionsSpec()
    shards: ShardsSpec = ShardsSpec()
    redis: RedisSpec = RedisSpec()
    autoscaling: AutoscalingSpec = AutoscalingSpec()
    rebalancing: RebalancingSpec = RebalancingSpec()
    prices: PriceTable = PriceTable()
    access: AccessSpec = AccessSpec()
    exposure: ExposureSpec = ExposureSpec()
    observability: ObservabilitySpec = ObservabilitySpec()
    idempotency: IdempotencySpec = IdempotencySpec()
    image: str = Field(
        default="tradingcluster:0.1.0", max_length=500, description="Image of our own roles."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When nodes pull the image (Kubernetes only)."
    )
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), max_length=16, description="Secrets to pull it with, by name."
    )
    paused: bool = Field(
        default=False,
        strict=True,
        description="The operator looks and reports, and changes nothing.",
    )
    hibernated: bool = Field(
        default=False, strict=True, description="All processes are stopped; the data stays."
    )

    @model_validator(mode="after")
    def _one_scaler(self) -> TradingClusterSpec:
        mode, by = self.autoscaling.backends.mode, self.backends.managed_by
        if mode is TierMode.EXTERNAL and by != "External":
            raise ValueError(
                "autoscaling.backends.mode: external needs backends.managedBy: External; set it"
            )
        if mode is TierMode.ON and by == "External":
            raise ValueError(
                "backends.managedBy: External and autoscaling.backends.mode: on both scale; "
                "set one of them"
            )
        return self

    @model_validator(mode="after")
    def _budget_covers_the_least(self) -> TradingClusterSpec:
        budget, least = self.autoscaling.budget, Counts.least(self)
        if budget.processes_max is not None and processes(self, least) > budget.processes_max:
            raise ValueError(
                f"autoscaling.budget.processesMax: {budget.processes_max} is less than the "
                f"{processes(self, least)} that the mins need; raise it or lower a min"
            )
        if budget.cost_per_month_max is None:
            return self
        cost = cost_per_month(self, least)
        if cost is None:
            raise ValueError(
                "autoscaling.budget.costPerMonthMax: needs prices; set spec.prices or remove it"
            )
        if cost > Decimal(budget.cost_per_month_max):
            raise ValueError(
                f"autoscaling.budget.costPerMonthMax: {budget.cost_per_month_max} is less than the "
                f"{cost} {self.prices.currency} that the mins cost; raise it or lower a min"
            )
        return self

    @model_validator(mode="after")
    def _symbols_once(self) -> TradingClusterSpec:
        seen: set[str] = set()
        for symbol in self.symbols:
            if symbol.name in seen:
                raise ValueError(f"symbols: {symbol.name} is listed twice; remove one")
            seen.add(symbol.name)
        return self

    @model_validator(mode="after")
    def _placement_tiles(self) -> TradingClusterSpec:
        if not self.placement:
            return self
        ranges = sorted((p.bounds, p.range) for p in self.placement)
        reached, before = LOWEST, "the beginning"
        for (first, past), text in ranges:
            if first < reached:
                raise ValueError(f"placement: {text} overlaps {before}; make one of them shorter")
            if first > reached:
                raise ValueError(
                    f"placement: nothing covers {reached or 'the beginning'}..{first}; "
                    f"extend {before} or {text}"
                )
            reached, before = past, text
        if reached != HIGHEST:
            raise ValueError(f"placement: nothing covers {reached}..; end the last range open")
        for at, place in enumerate(self.placement):
            first, past = place.bounds
            if not any(first <= symbol.name < past for symbol in self.symbols):
                raise ValueError(
                    f"placement.{at}.range: {place.range} holds no listed symbol; "
                    "list one in spec.symbols or join the range to a neighbour"
                )
            if place.shard is not None and place.shard >= self.shards.count:
                raise ValueError(
                    f"placement.{at}.shard: {place.shard} does not exist; shards.count is "
                    f"{self.shards.count} (indexes begin at 0)"
                )
            if place.partition is not None and place.partition >= self.partitions.count:
                raise ValueError(
                    f"placement.{at}.partition: {place.partition} does not exist; "
                    f"partitions.count is {self.partitions.count} (indexes begin at 0)"
                )
        return self


class Metadata(ResourceModel):
    """The part of Kubernetes' object metadata that we read; the rest is kept out of the model."""

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")
    namespace: str | None = None
    generation: int = Field(default=1, ge=0)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class TradingCluster(ResourceModel):
    """A whole exchange and what became of it."""

    api_version: Literal["hft.trading/v1alpha1"]
    kind: Literal["TradingCluster"]
    metadata: Metadata
    spec: TradingClusterSpec
    status: ClusterStatus | None = None
