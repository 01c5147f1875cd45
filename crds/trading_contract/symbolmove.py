"""The SymbolMove resource, `hft.trading/v1alpha1`: a symbol range gets another partition or shard.

A person asks for one, or the planner does for a partition that comes or goes. Who owns what is
told by the shards' own rows; the status here follows them and decides nothing.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from trading_contract.model import ResourceModel
from trading_contract.symbols import parse_range

MOVE_KIND = "SymbolMove"
SYMBOLS_PATTERN = r"^([A-Z0-9]{2,16}|[A-Z0-9]{0,16}\.\.[A-Z0-9]{0,16})$"
SymbolsText = Annotated[str, Field(min_length=2, max_length=34, pattern=SYMBOLS_PATTERN)]


class MoveState(StrEnum):
    """How far a move has come. A machine may compare them, so none is ever renamed."""

    PENDING = "Pending"
    AWAITING_APPROVAL = "AwaitingApproval"
    WAITING = "Waiting"
    SPLITTING = "Splitting"
    MOVING = "Moving"
    REVERSING = "Reversing"
    CANCELLING = "Cancelling"
    DONE = "Done"
    REVERSED = "Reversed"
    CANCELLED = "Cancelled"
    REFUSED = "Refused"
    FAILED = "Failed"


FINISHED = frozenset({
    MoveState.DONE, MoveState.REVERSED, MoveState.CANCELLED, MoveState.REFUSED, MoveState.FAILED,
})  # fmt: skip


class MoveReason(StrEnum):
    """Why a move is in its state. A machine may compare them, so none is ever renamed."""

    NOT_APPROVED = "NotApproved"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    CANCELLED_BY_SPEC = "CancelledBySpec"
    REVERSED_BY_SPEC = "ReversedBySpec"
    # Refused: it must be written otherwise.
    INVALID_SPEC = "InvalidSpec"
    SPEC_EDITED = "SpecEdited"
    UNKNOWN_SYMBOLS = "UnknownSymbols"
    SYMBOLS_OVERLAP = "SymbolsOverlap"
    ALREADY_THERE = "AlreadyThere"
    TARGET_MISSING = "TargetMissing"
    TARGET_LEAVING = "TargetLeaving"
    SHARD_MOVES_UNSUPPORTED = "ShardMovesUnsupported"
    NOTHING_TO_REVERSE = "NothingToReverse"
    REVERSE_TOO_LATE = "ReverseTooLate"
    # Waiting: it goes on by itself.
    CLUSTER_MISSING = "ClusterMissing"
    CLUSTER_PAUSED = "ClusterPaused"
    CLUSTER_HIBERNATED = "ClusterHibernated"
    CLUSTER_UPDATING = "ClusterUpdating"
    WORLD_UNKNOWN = "WorldUnknown"
    TARGET_NOT_READY = "TargetNotReady"
    SOURCE_NOT_READY = "SourceNotReady"
    RANGE_BUSY = "RangeBusy"
    MOVES_IN_FLIGHT = "MovesInFlight"
    STORAGE_FULL = "StorageFull"
    BACKING_OFF = "BackingOff"
    # Failed: the source serves on.
    ATTEMPTS_EXHAUSTED = "AttemptsExhausted"
    NOT_VERIFIED = "NotVerified"


class MoveConditionType(StrEnum):
    """Conditions that a move can have."""

    ACCEPTED = "Accepted"
    VERIFIED = "Verified"
    COMPLETED = "Completed"


class SymbolMoveSpec(ResourceModel):
    """What should go where. Only approved, cancel and reverse may change once it has begun."""

    cluster: str = Field(
        min_length=1, max_length=40, pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$",
        description="Name of the TradingCluster, in the same namespace.",
    )  # fmt: skip
    symbols: tuple[SymbolsText, ...] = Field(
        min_length=1, max_length=256,
        description="Symbols and half-open ranges of them: BTCUSDT; A..H is A up to, not "
        "including, H; also ..H and P..",
    )  # fmt: skip
    to_partition: str | None = Field(
        default=None, max_length=13, pattern=r"^partition-(0|[1-9][0-9]{0,2})$",
        description="The partition that gets them. Set this or toShard.",
    )  # fmt: skip
    to_shard: str | None = Field(
        default=None, max_length=8, pattern=r"^shard-(0|[1-9][0-9]?)$",
        description="The shard that gets them. Set this or toPartition.",
    )  # fmt: skip
    reason: str = Field(default="", max_length=256, description="Why, for people.")
    requested_by: Literal["Person", "Planner"] = Field(
        default="Person", description="Who asks: a person, or the operator's planner."
    )
    approval: Literal["Auto", "Manual"] = Field(
        default="Auto", description="Manual: it waits until approved is true."
    )
    approved: bool = Field(default=False, strict=True, description="A person agreed.")
    cancel: bool = Field(
        default=False, strict=True,
        description="Stop it. What has changed its owner already stays there; reverse brings it "
        "back.",
    )  # fmt: skip
    reverse: bool = Field(
        default=False, strict=True,
        description="Bring everything back where it came from; half an hour after its end at the "
        "latest.",
    )  # fmt: skip
    max_pause_milliseconds: int = Field(
        default=100, ge=10, le=10_000,
        description="Longest pause of a symbol; an attempt that would take longer is given up.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_target(self) -> SymbolMoveSpec:
        if (self.to_partition is None) == (self.to_shard is None):
            raise ValueError(
                "toPartition: set exactly one of toPartition and toShard; to change both, make "
                "one move after the other"
            )
        return self

    @model_validator(mode="after")
    def _ranges_run_upwards(self) -> SymbolMoveSpec:
        for at, text in enumerate(self.symbols):
            if ".." in text:
                try:
                    parse_range(text)
                except ValueError as problem:
                    raise ValueError(f"symbols.{at}: {problem}") from None
        return self

    @property
    def target(self) -> str:
        """The partition or shard that gets the symbols."""
        return self.to_partition or self.to_shard or ""


class MoveOrigin(ResourceModel):
    """Where a range was when its move began: what reverse goes back to."""

    first: str = Field(description="Lowest symbol; empty = from the beginning.")
    past: str = Field(description="Bound above the highest symbol; ~ = to the end.")
    owner: str = Field(description="The partition or shard it was on.")


class MoveCondition(ResourceModel):
    """One statement about the move."""

    type: MoveConditionType
    status: str = Field(pattern=r"^(True|False|Unknown)$", description="True, False or Unknown.")
    reason: str = Field(max_length=128, description="CamelCase word of a closed set.")
    message: str = Field(default="", max_length=2048, description="The same for people.")
    observed_generation: int = Field(default=0, description="Generation it was made from.")
    last_transition_time: str = Field(default="", description="RFC 3339, UTC.")


class SymbolMoveStatus(ResourceModel):
    """How far it is, as the shards' rows and the partitions tell it."""

    state: MoveState = MoveState.PENDING
    step: str = Field(default="", description="What the partitions are at, in their own words.")
    percent: int = Field(default=0, description="Share that has been done, 0 to 100.")
    bytes: int = Field(default=0, description="Bytes that the targets have read.")
    lag_commands: int = Field(default=0, description="Commands that the slowest target lacks.")
    estimated_end_time: str = Field(default="", description="RFC 3339, UTC; empty = unknown.")
    pause_milliseconds: float | None = Field(
        default=None, description="Longest pause of a symbol so far, as the partitions measured."
    )
    verified: bool = Field(default=False, description="Digests and chains were equal.")
    attempts: int = Field(default=0, description="Attempts begun.")
    reason: str = Field(default="", max_length=128, description="CamelCase word of a closed set.")
    message: str = Field(default="", max_length=2048, description="The same for people.")
    evidence: str = Field(
        default="", max_length=2048, description="What differed when it was not verified."
    )
    symbols: str = Field(default="", max_length=512, description="What moves, for people.")
    source: str = Field(default="", max_length=256, description="Where it was, for people.")
    target: str = Field(default="", description="Where it goes.")
    origins: tuple[MoveOrigin, ...] = Field(default=(), description="What reverse goes back to.")
    started_time: str = Field(default="", description="The first attempt began; RFC 3339, UTC.")
    attempt_time: str = Field(default="", description="The last attempt began; RFC 3339, UTC.")
    retry_time: str = Field(default="", description="The next attempt begins; RFC 3339, UTC.")
    finished_time: str = Field(default="", description="It ended; RFC 3339, UTC.")
    observed_generation: int = Field(
        default=0, description="Generation of the spec that this status is about."
    )
    conditions: tuple[MoveCondition, ...] = Field(default=(), description="Statements, by type.")

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens unless the specification changes."""
        return self.state in FINISHED


class MoveMetadata(ResourceModel):
    """The part of Kubernetes' object metadata that we read; the rest is kept out of the model."""

    name: str = Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    namespace: str | None = None
    uid: str = ""
    generation: int = Field(default=1, ge=0)
    creation_timestamp: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class SymbolMove(ResourceModel):
    """One move of symbols, and how far it is."""

    api_version: Literal["hft.trading/v1alpha1"]
    kind: Literal["SymbolMove"]
    metadata: MoveMetadata
    spec: SymbolMoveSpec
    status: SymbolMoveStatus | None = None

    @property
    def is_planned(self) -> bool:
        """Whether the planner asked for it."""
        return self.spec.requested_by == "Planner"


def split_symbols(text: str) -> tuple[str, ...]:
    """`BTCUSDT,A..H` or the same with blanks -> its parts."""
    return tuple(part for part in re.split(r"[,\s]+", text) if part)
