"""Settings of a replica, from TRADING_BACKEND_* variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class BackendSettings(BaseModel):
    """What `trading-backend run` must be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replica: str = Field(description="name of this replica")
    topology_file: Path = Field(description="the operator's topology.json")
    secrets_folder: Path = Field(description="folder with api-keys.json and database passwords")
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(ge=1, le=65535)
    balancer_socket: Path | None = Field(
        default=None, description="where the load balancer of the same machine hands connections"
    )
    partition_sockets_folder: Path | None = Field(
        default=None, description="where partitions of the same machine listen, as NAME.sock"
    )
    log_level: str = "info"
    deadline_seconds: float = Field(default=5, gt=0, description="then an order is UNKNOWN")
    drain_notice_seconds: float = Field(
        default=1.5, ge=0, description="not ready, but still serving, after SIGTERM"
    )
    drain_seconds: int = Field(default=10, ge=0, description="time to finish after SIGTERM")
    stream_messages_per_second_max: int = Field(
        default=10_000, ge=0, le=1 << 30,
        description="of one order stream, cancels and pings too; more get -1003, twice as many end"
        " the connection; 0 = no limit",
    )  # fmt: skip
    shard_connections_max: int = Field(default=4, ge=1, description="read connections per shard")
