"""One look at the machine: processes, files, and an answer from each part that runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from trading_contract.load import Load, ShardLoad
from trading_contract.topology import Topology
from trading_operator.planner.observed import (
    NodeSeen,
    Observed,
    PartitionSeen,
    ProcessSeen,
    Reach,
    ReplicaSeen,
    Role,
    ShardSeen,
)
from trading_operator.planner.scaling.signals import Tier
from trading_operator.probes.balancer import ask_balancer
from trading_operator.probes.loads import read_replica_load
from trading_operator.probes.partition import PartitionProbe
from trading_operator.probes.postgres import ShardProbe
from trading_operator.probes.redis import NodeProbe
from trading_operator.probes.replica import ask_replica
from trading_operator.substrates.load_watch import LoadLook, LoadWatch
from trading_operator.substrates.processes.attempts import Attempts
from trading_operator.substrates.processes.cpu import CpuMeter
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.moves import MoveFiles
from trading_operator.substrates.processes.ports import read_ports
from trading_operator.substrates.processes.postgres import is_postmaster
from trading_operator.substrates.processes.proc import ProcessTable

KEEPERS = ("supervisor", "guardian")
TIERS = {
    Role.REPLICA: Tier.BACKENDS,
    Role.PARTITION: Tier.PARTITIONS,
    Role.SHARD: Tier.SHARDS,
    Role.NODE: Tier.REDIS,
}


@dataclass
class Probes:
    """Kept connections, by component name and port."""

    layout: Layout

    def __post_init__(self) -> None:
        self.shards: dict[tuple[str, int], ShardProbe] = {}
        self.nodes: dict[tuple[str, int], NodeProbe] = {}
        self.partitions: dict[tuple[str, int], PartitionProbe] = {}

    def shard(self, name: str, port: int) -> ShardProbe:
        """The probe of a shard."""
        if (name, port) not in self.shards:
            password = self.layout.secrets_folder / "postgres"
            probe = ShardProbe(port, lambda: password.read_text().strip())
            self.shards[(name, port)] = probe
        return self.shards[(name, port)]

    def node(self, name: str, port: int) -> NodeProbe:
        """The probe of a Redis node."""
        if (name, port) not in self.nodes:
            self.nodes[(name, port)] = NodeProbe(port)
        return self.nodes[(name, port)]

    def partition(self, name: str, port: int) -> PartitionProbe:
        """The probe of a partition."""
        if (name, port) not in self.partitions:
            self.partitions[(name, port)] = PartitionProbe("127.0.0.1", port)
        return self.partitions[(name, port)]


@dataclass
class _Answers:
    """What one round of questions brought."""

    shards: dict[str, ShardSeen] = field(default_factory=dict)
    nodes: dict[str, NodeSeen] = field(default_factory=dict)
    partitions: dict[str, PartitionSeen] = field(default_factory=dict)
    replicas: dict[str, ReplicaSeen] = field(default_factory=dict)
    balancers: dict[str, Reach] = field(default_factory=dict)

    def answering(self) -> set[str]:
        """Who said anything at all."""
        spoke = {name for name, seen in self.partitions.items() if seen.state} | set(self.nodes)
        reaches = {name: seen.reach for name, seen in self.replicas.items()} | self.balancers
        return spoke | {name for name, reach in reaches.items() if reach > Reach.NOTHING}


class Observer:
    """Looks at one cluster on this machine."""

    def __init__(self, layout: Layout, attempts: Attempts, now: Callable[[], float]) -> None:
        self._layout = layout
        self._attempts = attempts
        self._now = now
        self._table = ProcessTable(layout.uid)
        self._moves = MoveFiles(layout)
        self.probes = Probes(layout)
        self.loads = LoadWatch(now)
        self._cpu = CpuMeter()
        self._answered: dict[str, tuple[int, float]] = {}
        self._topology: tuple[tuple[int, int], Topology] | None = None

    async def observe(self) -> Observed:
        """One look, at most about two seconds long."""
        is_settled = not self._attempts.take_change() and not self._attempts.busy
        found = self._table.look(is_settled=is_settled)
        keepers = tuple(found.pop(name) for name in KEEPERS if name in found)
        found = {name: seen for name, seen in found.items() if self._is_itself(seen)}
        processes = self._attempts.compare(found)
        topology, known = self._read_topology()
        looked = Observed(
            processes=processes, ports=read_ports(self._layout), topology=topology,
            topology_known=known, failures=dict(self._attempts.failures),
            busy=self._attempts.busy, disk_free_bytes=self._disk_free(),
            keepers=keepers, moves=self._moves.read(),
        )  # fmt: skip
        return await self._ask(looked)

    def _is_itself(self, seen: ProcessSeen) -> bool:
        if seen.role == Role.SHARD:
            return is_postmaster(self._layout, seen.name, seen.pid)
        return seen.role in set(Role)

    async def _ask(self, looked: Observed) -> Observed:
        asked = _Answers()
        look = self.loads.begin()
        questions: list[Awaitable[None]] = [
            self._ask_one(process, looked.ports[name], asked, look)
            for name, process in (looked.processes or {}).items()
            if name in looked.ports
        ]
        await asyncio.gather(*questions)
        self.loads.end(look, looked.topology)
        return replace(
            looked,
            shards=self._with_files(asked.shards),
            nodes=asked.nodes,
            partitions=asked.partitions,
            replicas=asked.replicas,
            balancer_answers=next((r >= Reach.SLOTS for r in asked.balancers.values()), None),
            silent_seconds=self._silences(looked, asked),
            load=self.loads.newest,
        )

    async def _ask_one(
        self, process: ProcessSeen, port: int, asked: _Answers, look: LoadLook | None
    ) -> None:
        await self._ask_state(process, port, asked)
        if look is not None and process.role in TIERS:
            question = self._load_question(process, port)
            await look.ask(TIERS[Role(process.role)], process.name, question)

    def _load_question(
        self, process: ProcessSeen, port: int
    ) -> Callable[[], Awaitable[Load | None]]:
        name = process.name
        match process.role:
            case Role.SHARD:
                return lambda: self._shard_load(process, port)
            case Role.NODE:
                return lambda: self.probes.node(name, port).load(name)
            case Role.PARTITION:
                return self.probes.partition(name, port).load
            case _:
                return lambda: read_replica_load("127.0.0.1", port)

    async def _shard_load(self, process: ProcessSeen, port: int) -> ShardLoad | None:
        """What PostgreSQL tells, and what the machine knows better."""
        load = await self.probes.shard(process.name, port).load(process.name)
        free = self._disk_free()
        if load is None or free is None or load.disk_used_bytes is None:
            return load
        more = {
            "disk_size_bytes": load.disk_used_bytes + free,
            "cpu_seconds_total": self._cpu.seconds(process.pid),
        }
        return load.model_copy(update=more)

    async def _ask_state(self, process: ProcessSeen, port: int, asked: _Answers) -> None:
        name = process.name
        match process.role:
            case Role.SHARD:
                asked.shards[name] = await self.probes.shard(name, port).ask()
            case Role.NODE:
                if (node := await self.probes.node(name, port).ask()) is not None:
                    asked.nodes[name] = node
            case Role.PARTITION:
                asked.partitions[name] = await self.probes.partition(name, port).ask()
            case Role.REPLICA:
                asked.replicas[name] = await ask_replica("127.0.0.1", port)
            case Role.BALANCER:
                socket = self._layout.balancer_socket
                asked.balancers[name] = await ask_balancer("127.0.0.1", port, socket)

    def _with_files(self, asked: dict[str, ShardSeen]) -> dict[str, ShardSeen]:
        """Add what lies on the disk, also of shards that do not run."""
        folder = self._layout.root / "shards"
        names = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
        shards = {}
        for name in sorted(names | set(asked)):
            shards[name] = replace(
                asked.get(name, ShardSeen(note="does not run")),
                has_data=self._layout.shard_data(name).exists(),
                prepared_hash=_read_or_none(self._layout, name),
            )
        return shards

    def _silences(self, looked: Observed, asked: _Answers) -> dict[str, float]:
        """Seconds since a process that once answered gave its last answer, whatever it said.

        Shards are left out: PostgreSQL is never ended for being slow.
        """
        answering = asked.answering()
        silences = {}
        now = self._now()
        for name, process in (looked.processes or {}).items():
            if name in answering:
                self._answered[name] = (process.pid, now)
            pid, at = self._answered.get(name, (0, 0.0))
            if pid == process.pid:
                silences[name] = now - at
        return silences

    def _read_topology(self) -> tuple[Topology | None, bool]:
        path = self._layout.topology_file
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if self._topology is None or self._topology[0] != stamp:
                self._topology = (stamp, Topology.model_validate_json(path.read_bytes()))
        except FileNotFoundError:
            return None, True
        except (OSError, ValidationError):
            return None, False
        return self._topology[1], True

    def _disk_free(self) -> int | None:
        try:
            disk = os.statvfs(self._layout.root)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize

    async def close(self) -> None:
        """Drop all connections."""
        for partition in self.probes.partitions.values():
            partition.close()
        for shard in self.probes.shards.values():
            await shard.close()
        for node in self.probes.nodes.values():
            await node.close()


def _read_or_none(layout: Layout, shard: str) -> str | None:
    try:
        return layout.prepared_file(shard).read_text().strip()
    except OSError:
        return None
