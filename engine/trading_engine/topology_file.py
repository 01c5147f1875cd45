"""Reading the topology file, and noticing that it changed."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from trading_contract.errors import UserError
from trading_contract.topology import ShardAddress, Topology


def read_topology(path: Path) -> Topology:
    """The file's content; raises `UserError` naming the file and what is wrong with it."""
    try:
        return Topology.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"topology file {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"topology file {path}: {where}: {first['msg']}") from error


def shard_named(topology: Topology, name: str) -> ShardAddress:
    """The shard of that name; raises `UserError` that lists those there are."""
    for shard in topology.shards:
        if shard.name == name:
            return shard
    known = ", ".join(shard.name for shard in topology.shards)
    raise UserError(f"shard {name!r} is not in the topology (it has: {known})")


class TopologyWatch:
    """Tells when the file was replaced by one of a higher revision."""

    def __init__(self, path: Path, known: Topology) -> None:
        self._path = path
        self._revision = known.revision
        self._seen = _fingerprint(path)

    def newer(self) -> Topology | None:
        """The newer topology, or None. Raises `UserError` once for each unreadable version."""
        now = _fingerprint(self._path)
        if now == self._seen:
            return None
        self._seen = now
        topology = read_topology(self._path)
        if topology.revision <= self._revision:
            return None
        self._revision = topology.revision
        return topology


def _fingerprint(path: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
