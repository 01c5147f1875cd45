"""Status of a TradingCluster: what is true now, for machines first."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from trading_contract.autoscaling_status import AutoscalingStatus
from trading_contract.load_status import ClusterLoadStatus
from trading_contract.model import ResourceModel


class ConditionType(StrEnum):
    """Conditions that a cluster can have."""

    AVAILABLE = "Available"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DEGRADED = "Degraded"
    DURABILITY_DEGRADED = "DurabilityDegraded"
    REBALANCING = "Rebalancing"
    TURNDOWN_BLOCKED = "TurndownBlocked"
    AUTOSCALING_LIMITED = "AutoscalingLimited"
    PAUSED = "Paused"
    HIBERNATED = "Hibernated"


class Phase(StrEnum):
    """One word for people, computed from the conditions."""

    PENDING = "Pending"
    CREATING = "Creating"
    RUNNING = "Running"
    UPDATING = "Updating"
    DEGRADED = "Degraded"
    UNAVAILABLE = "Unavailable"
    STALLED = "Stalled"
    PAUSED = "Paused"
    HIBERNATED = "Hibernated"
    DELETING = "Deleting"


class Reason(StrEnum):
    """Why a condition is as it is; a machine may compare them, so none is ever renamed."""

    RECONCILED = "Reconciled"
    CREATING = "Creating"
    ROLLING_OUT = "RollingOut"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    PAUSED = "Paused"
    PAUSED_BY_SPEC = "PausedBySpec"
    HIBERNATED_BY_SPEC = "HibernatedBySpec"
    NOT_SEEN = "NotSeen"
    WORLD_UNKNOWN = "WorldUnknown"
    WAITING_FOR_REPLICA = "WaitingForReplica"
    WAITING_FOR_LOAD_BALANCER = "WaitingForLoadBalancer"
    SLOTS_WITHOUT_OWNER = "SlotsWithoutOwner"
    SLOTS_WITH_TWO_OWNERS = "SlotsWithTwoOwners"
    SLOTS_NOT_MOVED = "SlotsNotMoved"
    MOVING_SLOTS = "MovingSlots"
    MOVE_NOT_VERIFIED = "MoveNotVerified"
    INVALID_SPEC = "InvalidSpec"
    UNSAFE_CHANGE = "UnsafeChange"
    NAME_COLLISION = "NameCollision"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 -- a word, no secret
    UNSCHEDULABLE = "Unschedulable"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    STORAGE_FULL = "StorageFull"
    PORT_IN_USE = "PortInUse"
    COMPONENT_FAILED = "ComponentFailed"
    INTERNAL_ERROR = "InternalError"
    SUPERVISOR_DOWN = "SupervisorDown"
    REDIS_UNAVAILABLE = "RedisUnavailable"
    REPLICATION_LIFTED = "ReplicationLifted"
    AT_MAX = "AtMax"
    PROCESSES_BUDGET = "ProcessesBudget"
    COST_BUDGET = "CostBudget"
    SYMBOL_CANNOT_BE_SPLIT = "SymbolCannotBeSplit"


class Condition(ResourceModel):
    """One statement about the cluster."""

    type: ConditionType
    status: str = Field(pattern=r"^(True|False|Unknown)$", description="True, False or Unknown.")
    reason: str = Field(max_length=128, description="CamelCase word of a closed set.")
    message: str = Field(default="", max_length=2048, description="The same for people.")
    observed_generation: int = Field(default=0, description="Generation it was made from.")
    last_transition_time: str = Field(default="", description="RFC 3339, UTC.")


class Endpoints(ResourceModel):
    """Where clients connect."""

    rest: str = Field(default="", description="Base URL, without /api/v3.")
    websocket: str = Field(default="", description="Base URL, without /ws.")


class ProcessStatus(ResourceModel):
    """One process of the processes substrate."""

    name: str = Field(description="Name, such as partition-0.")
    role: str = Field(description="What it is, such as partition.")
    pid: int = Field(description="Process id; 0 = does not run.")
    port: int = Field(description="Port it listens on; 0 = none.")
    state: str = Field(description="What it does, such as running.")


class SlotStatus(ResourceModel):
    """One slot `[first, past)` with its owners."""

    first: str = Field(description="Lowest symbol; empty = from the beginning.")
    past: str = Field(description="Bound above the highest symbol; ~ = to the end.")
    partition: str = Field(description="The partition that writes it.")
    shard: str = Field(description="The shard that holds its truth.")
    epoch: int = Field(description="Fencing number; it only rises.")


class TierStatus(ResourceModel):
    """How many units of a tier there should be and how many are ready."""

    name: str = Field(description="backends, partitions, shards or redis.")
    wanted: int = Field(description="How many there should be.")
    ready: int = Field(description="How many work.")
    shown: str = Field(default="", description="Both for people, such as 2/3.")

    @model_validator(mode="after")
    def _shows_both(self) -> TierStatus:
        object.__setattr__(self, "shown", f"{self.ready}/{self.wanted}")  # a column cannot compute
        return self


class ClusterStatus(ResourceModel):
    """What is true now."""

    phase: Phase = Phase.PENDING
    observed_generation: int = Field(
        default=0, description="Generation of the spec that this status is about."
    )
    conditions: tuple[Condition, ...] = Field(default=(), description="Statements, by type.")
    endpoints: Endpoints = Endpoints()
    tiers: tuple[TierStatus, ...] = Field(default=(), description="Counts of each tier.")
    processes: tuple[ProcessStatus, ...] = Field(
        default=(), description="Processes of the processes substrate."
    )
    slots: tuple[SlotStatus, ...] = Field(default=(), description="Slots with their owners.")
    load: ClusterLoadStatus | None = Field(
        default=None, description="What the parts have to do; left out = not looked at yet."
    )
    autoscaling: AutoscalingStatus | None = Field(
        default=None, description="How tiers follow their load; left out = nothing scales."
    )
