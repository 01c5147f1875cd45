"""`trading-shard`: writes Patroni's configuration from TRADING_SHARD_* and becomes Patroni."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from trading_contract.errors import UserError
from trading_contract.settings import load
from trading_contract.tradingcluster import Durability
from trading_operator.planner.kubernetes.durability import patroni_config
from trading_operator.probes.patroni_commands import USER as OPERATOR_USER
from trading_operator.substrates.kubernetes.children.shards import SCOPE_LABEL
from trading_operator.substrates.processes.postgres import (
    FOLDER_OPTIONS,
    SETTINGS,
    postgres_folder,
)

POSTGRES_PORT = 5432
PATRONI_PORT = 8008
REPLICATION_USER = "replicator"
CONFIGURATION_FILE = Path("/run/patroni.yaml")
SOCKET_FOLDER = "/run"
# Read before everything else, so that nobody gets in without a password.
ACCESS = (
    "local all all scram-sha-256",
    f"host replication {REPLICATION_USER} all scram-sha-256",
    "host all all all scram-sha-256",
)


class ShardSettings(BaseModel):
    """What the StatefulSet says of this member."""

    model_config = ConfigDict(frozen=True)

    scope: str = Field(description="Patroni's name of the shard")
    namespace: str
    cluster: str
    members: int = Field(ge=1, le=3)
    durability: str = Field(pattern="^(preferred|required)$")
    secrets_folder: Path
    data_folder: Path = Path("/data/pgdata")  # below the mount: Patroni renames it at times
    shared_buffers: str
    effective_cache_size: str
    max_wal_size: str
    max_connections: str


def configuration(
    settings: ShardSettings, name: str, ip: str, passwords: Mapping[str, str]
) -> dict[str, Any]:
    """Patroni's configuration for one member."""
    return {
        "scope": settings.scope,
        "name": name,
        "kubernetes": {
            "namespace": settings.namespace,
            "use_endpoints": True,
            "pod_ip": ip,
            "scope_label": SCOPE_LABEL,
            "role_label": "hft.trading/patroni-role",
            "labels": {"hft.trading/cluster": settings.cluster},
            "ports": [{"name": "postgresql", "port": POSTGRES_PORT}],
            "bypass_api_service": False,
        },
        "restapi": {
            "listen": f"0.0.0.0:{PATRONI_PORT}",
            "connect_address": f"{ip}:{PATRONI_PORT}",
            "authentication": {"username": OPERATOR_USER, "password": passwords["patroni"]},
        },
        "bootstrap": {
            "dcs": patroni_config(settings.members, Durability(settings.durability)),
            "initdb": [{name: value} if value else name for name, value in FOLDER_OPTIONS.items()],
        },
        "postgresql": {
            "listen": f"0.0.0.0:{POSTGRES_PORT}",
            "connect_address": f"{ip}:{POSTGRES_PORT}",
            "data_dir": str(settings.data_folder),
            "bin_dir": str(postgres_folder()),
            "pgpass": "/run/pgpass",
            # A copy for a new standby begins with a checkpoint, which else takes its time: minutes.
            "basebackup": {"checkpoint": "fast"},
            "authentication": {
                "superuser": {"username": "postgres", "password": passwords["postgres"]},
                "replication": {
                    "username": REPLICATION_USER,
                    "password": passwords["replication"],
                },
            },
            "parameters": parameters(settings),
            "pg_hba": list(ACCESS),
        },
        "log": {"level": "INFO"},
    }


def parameters(settings: ShardSettings) -> dict[str, str]:
    """PostgreSQL's own settings: durable ones, and those that follow from the specification."""
    skipped = ("listen_addresses", "unix_socket_directories")
    fixed = {key: value for key, value in SETTINGS.items() if key not in skipped}
    return {
        **fixed,
        "unix_socket_directories": SOCKET_FOLDER,
        "shared_buffers": settings.shared_buffers,
        "effective_cache_size": settings.effective_cache_size,
        "max_wal_size": settings.max_wal_size,
        "max_connections": settings.max_connections,
        "wal_log_hints": "on",
        "hot_standby": "on",
    }


def main() -> int:
    """Become Patroni; 1 = something is missing, said on stderr."""
    try:
        settings = load(ShardSettings, "TRADING_SHARD_", os.environ)
        passwords = {
            name: (settings.secrets_folder / name).read_text().strip()
            for name in ("postgres", "replication", "patroni")
        }
        document = configuration(settings, os.environ["POD_NAME"], os.environ["POD_IP"], passwords)
    except (UserError, OSError, KeyError) as error:
        sys.stderr.write(f"trading-shard: {error}\n")
        return 1
    settings.data_folder.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(CONFIGURATION_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        yaml.safe_dump(document, file)
    os.execvp("patroni", ["patroni", str(CONFIGURATION_FILE)])  # noqa: S606 -- as meant
