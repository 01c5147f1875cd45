"""The files of a cluster that a person's wishes go into, and the status that comes out."""

from __future__ import annotations

import errno
import json
import os
import secrets
import string
from pathlib import Path

from pydantic import ValidationError

from trading_contract.errors import UserError, WorldError
from trading_contract.status import ClusterStatus
from trading_contract.topology import Topology
from trading_contract.tradingcluster import TradingCluster
from trading_operator.substrates.processes.layout import (
    NO_SPACE,
    Layout,
    no_space,
    write_atomically,
)

ROLES = ("postgres", "tc_engine", "tc_reader", "tc_operator")
UP = "up"
DOWN = "down"
STATUS_BYTES = 32 << 10


class Store:
    """Reads and writes the wishes of one data folder, each file as a whole."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._reported: ClusterStatus | None = None
        self._cluster: tuple[tuple[int, int], TradingCluster] | None = None

    def cluster(self) -> TradingCluster | None:
        """The stored cluster with its generation; None before the first `up`."""
        path = self._layout.cluster_file
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if self._cluster is None or self._cluster[0] != stamp:
                document = TradingCluster.model_validate_json(path.read_bytes())
                self._cluster = (stamp, document)
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise WorldError(f"{path} cannot be read: {error}") from error
        return self._cluster[1]

    def replace(self, cluster: TradingCluster) -> TradingCluster:
        """Store a cluster; its generation rises when the specification differs."""
        before = self.cluster()
        if before is not None and before.spec == cluster.spec:
            return before
        generation = 1 if before is None else before.metadata.generation + 1
        metadata = cluster.metadata.model_copy(update={"generation": generation})
        stored = cluster.model_copy(update={"metadata": metadata, "status": None})
        text = stored.model_dump_json(by_alias=True, exclude_none=True, indent=1)
        write_atomically(self._layout.cluster_file, text + "\n")
        return stored

    def topology(self) -> Topology | None:
        """The published topology; None when there is none or it cannot be read."""
        try:
            return Topology.model_validate_json(self._layout.topology_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def wish(self) -> str | None:
        """`up`, `down`, or None when the supervisor should end."""
        try:
            return self._layout.run_file.read_text().strip()
        except FileNotFoundError:
            return None

    def set_wish(self, wish: str | None) -> None:
        """Say what the supervisor should work for."""
        if wish is None:
            self._layout.run_file.unlink(missing_ok=True)
        elif wish == DOWN and self._layout.run_file.exists():
            # In place: `down` is a way out of a full disk, so it needs no space.
            with self._layout.run_file.open("r+") as file:
                file.write(wish)
        else:
            write_atomically(self._layout.run_file, wish + "\n")

    def status(self) -> ClusterStatus | None:
        """The last reported status."""
        try:
            return ClusterStatus.model_validate_json(self._layout.status_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def report(self, status: ClusterStatus) -> None:
        """Write the status when it differs from the last one; raises WorldError when it cannot.

        Two files of one size take turns, so that a full disk can be told of on a full disk.
        """
        if status == self._reported and self._layout.status_file.exists():
            return
        text = (status.model_dump_json(by_alias=True, indent=1) + "\n").encode()
        spare = self._layout.status_file.with_suffix(".new")
        size = (2 * len(text) // STATUS_BYTES + 1) * STATUS_BYTES
        try:
            _write_in_place(spare, text.ljust(size))
            spare.replace(self._layout.status_file)
            self._reported = status
            _reserve(spare, size)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise no_space(error, self._layout.status_file) from error
            raise WorldError(f"{self._layout.status_file} cannot be written: {error}") from error

    def make_secrets(self) -> None:
        """Generate the passwords of the database roles that do not exist yet; mode 0600."""
        for role in ROLES:
            path = self._layout.secrets_folder / role
            if not path.exists():
                write_atomically(path, random_text(32), mode=0o600)
        if not self._layout.keys_file.exists():
            write_atomically(
                self._layout.keys_file, json.dumps({"keys": [], "nextAccount": 1}), mode=0o600
            )


def _write_in_place(path: Path, content: bytes) -> None:
    """Into the bytes that the file has already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.truncate(descriptor, len(content))
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _reserve(path: Path, size: int) -> None:
    """Make a file of that many bytes that are on the disk already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
    finally:
        os.close(descriptor)


def random_text(characters: int) -> str:
    """Letters and digits from the system's randomness."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(characters))


def refuse_foreign_folder(layout: Layout) -> None:
    """Raise UserError when the folder exists, holds something else, or cannot be written."""
    root = layout.root
    if root.exists() and not root.is_dir():
        raise UserError(f"--data-dir: {root} is no folder; choose another place")
    if root.is_dir() and any(root.iterdir()) and not layout.uid_file.exists():
        raise UserError(f"--data-dir: {root} holds other files; choose an empty or new folder")
    parent = next(each for each in (root, *root.parents) if each.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"--data-dir: {parent} cannot be written to; choose another place")
