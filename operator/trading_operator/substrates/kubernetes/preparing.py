"""Runs `trading-engine prepare-shard`, which brings a shard up to the topology."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from trading_contract.errors import WorldError
from trading_contract.topology import Topology

PREPARE_SECONDS_MAX = 120
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


async def run_prepare(
    shard: str, topology: Topology, hosts: tuple[str, ...], credentials: Mapping[str, str]
) -> None:
    """Prepare the shard that listens on `hosts`. Raises WorldError with the command's last line."""
    with tempfile.TemporaryDirectory(prefix="prepare-") as folder:
        write_inputs(Path(folder), topology, shard, hosts, credentials)
        process = await asyncio.create_subprocess_exec(
            *prepare_argv(Path(folder), shard),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PREPARE_SECONDS_MAX):
                output, _ = await process.communicate()
        except TimeoutError as error:
            process.kill()
            text = f"{shard}: preparing it took more than {PREPARE_SECONDS_MAX} s"
            raise WorldError(text) from error
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()
        raise WorldError(f"{shard}: it could not be prepared: {(lines or ['no reason'])[-1]}")
