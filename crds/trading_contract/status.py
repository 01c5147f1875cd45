"""Status of a TradingCluster: what is true now, for machines first."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

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


class Condition(ResourceModel):
    """One statement about the cluster."""

    type: ConditionType
    status: str = Field(pattern=r"^(True|False|Unknown)$")
    reason: str = Field(max_length=128, description="CamelCase word of a closed set.")
    message: str = Field(default="", max_length=2048)
    observed_generation: int = 0
    last_transition_time: str = Field(default="", description="RFC 3339, UTC.")


class Endpoints(ResourceModel):
    """Where clients connect."""

    rest: str = Field(default="", description="Base URL, without /api/v3.")
    websocket: str = Field(default="", description="Base URL, without /ws.")


class ProcessStatus(ResourceModel):
    """One process of the processes substrate."""

    name: str
    role: str
    pid: int
    port: int
    state: str


class SlotStatus(ResourceModel):
    """One slot `[first, past)` with its owners."""

    first: str
    past: str
    partition: str
    shard: str
    epoch: int


class TierStatus(ResourceModel):
    """How many units of a tier there should be and how many are ready."""

    name: str = Field(description="backends, partitions, shards or redis.")
    wanted: int
    ready: int


class ClusterStatus(ResourceModel):
    """What is true now."""

    phase: Phase = Phase.PENDING
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    endpoints: Endpoints = Endpoints()
    tiers: tuple[TierStatus, ...] = ()
    processes: tuple[ProcessStatus, ...] = ()
    slots: tuple[SlotStatus, ...] = ()
