"""Settings of the operator, from `TRADING_OPERATOR_*`."""

from __future__ import annotations

import socket

from pydantic import BaseModel, ConfigDict, Field


class OperatorSettings(BaseModel):
    """What the chart sets."""

    model_config = ConfigDict(frozen=True)

    namespaces: str = Field(
        default="", description="Namespaces to serve, with commas between; empty = all."
    )
    lease_namespace: str = Field(default="default", description="Where the Lease lives.")
    lease_name: str = Field(default="trading-operator", description="Name of the Lease.")
    identity: str = Field(
        default_factory=socket.gethostname, description="Who we are in the Lease: the pod's name."
    )
    image: str = Field(default="", description="Image of clusters that name none of their own.")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    health_host: str = "0.0.0.0"  # noqa: S104 -- kubelets ask from outside the pod
    health_port: int = Field(default=8081, ge=0, le=65535)
    resync_seconds: float = Field(default=60.0, ge=1.0, description="Time between full lists.")
    lease_seconds: int = Field(default=15, ge=3, description="A silent leader is replaced.")
    workers: int = Field(default=8, ge=1, le=64, description="Clusters visited at a time.")

    @property
    def places(self) -> tuple[str | None, ...]:
        """The namespaces; `(None,)` = all."""
        names = tuple(name.strip() for name in self.namespaces.split(",") if name.strip())
        return names or (None,)
