"""Settings of the load balancer, from TRADING_BALANCER_* variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class BalancerSettings(BaseModel):
    """What `trading-backend balance` must be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen_host: str = "127.0.0.1"
    listen_port: int = Field(ge=1, le=65535)
    replicas_socket: Path = Field(description="UNIX socket where replicas ask for connections")
    connections_max: int = Field(default=4096, ge=1, description="more wait to be accepted")
    log_level: str = "info"
