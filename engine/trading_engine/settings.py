"""Settings of a partition, from TRADING_ENGINE_* variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """What `trading-engine run` must be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str = Field(description="name of this partition in the topology file")
    topology_file: Path = Field(description="the operator's topology.json")
    secrets_folder: Path = Field(description="folder with one password file per database role")
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(ge=1, le=65535)
    listen_socket: Path | None = Field(
        default=None, description="a UNIX socket besides, for replicas of the same machine"
    )
    shard_sockets_folder: Path | None = Field(
        default=None, description="UNIX sockets of shards on this machine: FOLDER/SHARD/.s.PGSQL.*"
    )
    health_port: int = Field(
        default=0, ge=0, le=65535, description="HTTP with /healthz and /readyz; 0 = none"
    )
    log_level: str = "info"
    batch_commands_max: int = Field(default=4096, ge=1, description="commands of one commit")
    waiting_commands_max: int = Field(
        default=65_536, ge=1, description="beyond this, connections are no longer read"
    )
    output_bytes_max: int = Field(
        default=64 << 20, ge=1 << 16, description="answers a connection may leave unread"
    )
    connections_max: int = Field(default=1024, ge=1)
    publish_interval_seconds: float = Field(default=0.005, ge=0)
    log_retention_seconds: int = Field(
        default=86_400, ge=3600, description="rows of slot_log that are older may be trimmed"
    )
    log_trim_seconds: float = Field(default=60, gt=0, description="how often old rows are trimmed")
    soak_seconds: float = Field(
        default=1800, ge=0, description="how long a shard that slots left is kept able to go back"
    )
    shadow_bytes_max: int = Field(
        default=256 << 20,
        ge=1 << 10,
        description="committed rows of a slot that may wait for the shard it moves to",
    )
    reconnect_seconds_max: float = Field(
        default=60, gt=0, description="a shard away for longer ends the process"
    )
