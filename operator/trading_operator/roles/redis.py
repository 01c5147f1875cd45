"""`trading-redis`: becomes a Redis Cluster node that announces its stable name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from trading_contract.errors import UserError
from trading_contract.settings import load

PORT = 6379
BUS_PORT = 16_379
DATA_FOLDER = Path("/data")


class NodeSettings(BaseModel):
    """What the StatefulSet says of this node."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="what follows the pod's name in its stable name")
    maxmemory_bytes: int = Field(ge=1)


def options(settings: NodeSettings, name: str, ip: str) -> dict[str, str]:
    """Redis's configuration. Nothing but nodes.conf, the node's identity, goes to the disk."""
    return {
        "port": str(PORT),
        "cluster-port": str(BUS_PORT),
        "bind": "* -::*",
        "protected-mode": "no",
        "dir": str(DATA_FOLDER),
        "daemonize": "no",
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-announce-ip": ip,
        "cluster-announce-hostname": f"{name}.{settings.domain}",
        "cluster-preferred-endpoint-type": "hostname",
        "cluster-node-timeout": "5000",
        "cluster-require-full-coverage": "no",
        "cluster-allow-pubsubshard-when-down": "yes",
        "appendonly": "no",
        "save": "",
        "maxmemory": str(settings.maxmemory_bytes),
        "maxmemory-policy": "allkeys-lru",
    }


def main() -> int:
    """Become Redis; 1 = something is missing, said on stderr."""
    try:
        settings = load(NodeSettings, "TRADING_REDIS_", os.environ)
        wanted = options(settings, os.environ["POD_NAME"], os.environ["POD_IP"])
    except (UserError, KeyError) as error:
        sys.stderr.write(f"trading-redis: {error}\n")
        return 1
    argv = ["redis-server"]
    for key, value in wanted.items():
        argv += [f"--{key}", *value.split(" ")] if key == "bind" else [f"--{key}", value]
    os.execvp("redis-server", argv)  # noqa: S606 -- becoming it is what this is for
