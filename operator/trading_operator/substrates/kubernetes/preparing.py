"""Files for `trading-engine prepare-shard`, which brings a shard up to the topology."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from trading_contract.topology import Topology

TOPOLOGY_FILE = "topology.json"
SECRETS_FOLDER = "secrets"


def write_inputs(
    folder: Path,
    topology: Topology,
    shard: str,
    hosts: tuple[str, ...],
    credentials: Mapping[str, str],
) -> None:
    """The topology with the shard's present addresses, and the passwords, in files for us alone."""
    shards = tuple(
        each.model_copy(update={"hosts": hosts}) if each.name == shard else each
        for each in topology.shards
    )
    text = topology.model_copy(update={"shards": shards}).model_dump_json(by_alias=True)
    (folder / TOPOLOGY_FILE).write_text(text)
    (folder / SECRETS_FOLDER).mkdir(mode=0o700)
    for name, value in credentials.items():
        handle = os.open(folder / SECRETS_FOLDER / name, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(value)


def prepare_argv(folder: Path, shard: str) -> tuple[str, ...]:
    """The command over those files."""
    beside = Path(sys.executable).with_name("trading-engine")
    program = str(beside) if beside.exists() else shutil.which("trading-engine") or "trading-engine"
    return (
        program, "prepare-shard", "--topology", str(folder / TOPOLOGY_FILE), "--shard", shard,
        "--secrets-folder", str(folder / SECRETS_FOLDER),
    )  # fmt: skip
