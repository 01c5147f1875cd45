"""The partition process: sequencer, pipelines, socket and publisher; it ends with any of them.

Crash-only: whatever breaks a promise ends the process at once; the operator starts it anew and it
recovers from the shard.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import uvloop

from trading_contract.errors import TradingError, UserError, WorldError
from trading_contract.settings import load
from trading_contract.topology import ShardAddress, SlotPlacement, Topology
from trading_contract.wire import PROTOCOL_VERSION
from trading_engine._core import Sequencer
from trading_engine.commit import CommitPipeline
from trading_engine.conninfo import COMMIT_OPTIONS, LOAD_OPTIONS, shard_conninfo
from trading_engine.passwords import ENGINE, read_password
from trading_engine.publish import Publications, Publisher
from trading_engine.recovery import TakenSlot, feed, fetch_slots, take_slots
from trading_engine.server import PartitionServer
from trading_engine.settings import EngineSettings
from trading_engine.shard_connection import ShardConnection
from trading_engine.topology_file import TopologyWatch, read_topology

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
RETRY_SECONDS = 0.5
FATAL_STATUS = 70
DRAIN_SECONDS_MAX = 5.0


class Partition:
    """One partition with everything it owns."""

    def __init__(self, settings: EngineSettings, topology: Topology) -> None:
        self.incarnation = uuid.uuid4()
        self.state = "starting"
        self._settings = settings
        self._topology = topology
        remember = topology.idempotency
        self._sequencer = Sequencer(remember.entries_max, remember.window_seconds * 1_000_000)
        self._server = PartitionServer(self, settings.output_bytes_max, settings.connections_max)
        self._publisher = Publisher(topology.redis_nodes, settings.partition, str(self.incarnation))
        self._pipelines: dict[str, CommitPipeline] = {}
        self._listed: set[str] = set()
        self._owned: dict[int, tuple[TakenSlot, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # Intake, as the server sees it

    def take(self, connection: int, commands: bytes) -> bool:
        """Queue whole records and wake the pipelines."""
        if not self._sequencer.enqueue(connection, commands):
            return False
        if not self._pipelines:  # nothing is owned yet, so nothing can be answered from a book
            self._refuse_all()
        for pipeline in self._pipelines.values():
            pipeline.poke()
        return True

    def _refuse_all(self) -> None:
        batch = self._sequencer.sequence(0, time.time_ns() // 1000, 1 << 20)
        self._server.deliver(batch.outboxes)

    def full(self) -> bool:
        """Whether more commands wait than the settings allow."""
        waiting = sum(self._sequencer.waiting(p.index) for p in self._pipelines.values())
        return waiting > self._settings.waiting_commands_max

    def welcome(self) -> dict[str, Any]:
        """Who this is and what it owns."""
        return {
            "version": PROTOCOL_VERSION,
            "cluster": self._topology.cluster,
            "partition": self._settings.partition,
            "incarnation": str(self.incarnation),
            "slots": self._slots(),
        }

    def status(self) -> dict[str, Any]:
        """What the operator asks for."""
        return {
            "partition": self._settings.partition,
            "incarnation": str(self.incarnation),
            "state": self.state,
            "slots": self._slots(),
            "revision": self._topology.revision,
            "open_orders": self._sequencer.open_orders,
            "idempotency_entries": self._sequencer.idempotency_entries,
            "memory_bytes": self._sequencer.memory_bytes,
            "connections": len(self._server.connections),
            "published": self._publisher.sent,
            "publications_dropped": self._publisher.dropped,
            "shards": {
                name: {
                    "batches": p.batches,
                    "commands": p.commands,
                    "commit_seconds": p.commit_seconds,
                    "waiting": self._sequencer.waiting(p.index),
                }
                for name, p in self._pipelines.items()
            },
        }

    def _slots(self) -> list[dict[str, Any]]:
        live = {row[0]: row for row in self._sequencer.slots()}
        return [
            {
                "id": slot.id,
                "epoch": slot.epoch,
                "first": slot.first,
                "past": slot.past,
                "shard": shard,
                "sequence": live[slot.id][5],
            }
            for slot, shard in self._owned.values()
        ]

    # Rim, as the pipelines see it

    def deliver(self, outboxes: list[tuple[int, bytes]]) -> None:
        """Answers that may be given now."""
        self._server.deliver(outboxes)

    def drained(self) -> None:
        """Queues have room."""
        self._server.drained()

    def publish(self, publications: Publications) -> None:
        """Told once it is durable."""
        if publications:
            self._publisher.offer(publications)

    # Life

    async def run(self) -> None:
        """Serve until told to stop. Raises what ended it otherwise."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        self._set_symbols()
        try:
            await self._server.listen(self._settings.listen_host, self._settings.listen_port)
        except OSError as problem:
            where = f"{self._settings.listen_host}:{self._settings.listen_port}"
            raise UserError(f"cannot listen on {where}: {problem.strerror}") from problem
        self._start(self._publisher.run())
        self._start(self._follow_topology())
        await self._failed
        await self._drain()

    async def _drain(self) -> None:
        """Answer what was taken, then hang up."""
        self.state = "stopping"
        self._server.stop_reading()
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while time.monotonic() < deadline:
            if all(pipeline.idle for pipeline in self._pipelines.values()):
                break
            await asyncio.sleep(0.005)
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for pipeline in self._pipelines.values():
            pipeline.close()

    def _stop(self) -> None:
        if not self._failed.done():
            self._failed.set_result(None)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() and not self._failed.done():
            self._failed.set_exception(task.exception() or WorldError("a task ended"))

    async def _follow_topology(self) -> None:
        watch = TopologyWatch(self._settings.topology_file, self._topology)
        while True:
            complete = await self._take_missing()
            if complete:
                self.state = "ready"
            try:
                newer = watch.newer()
            except UserError as problem:
                logger.warning("%s; the last good one stays in use", problem)
                newer = None
            if newer is not None:
                self._topology = newer
                self._set_symbols()
                self._publisher.set_nodes(newer.redis_nodes)
                continue
            await asyncio.sleep(WATCH_SECONDS if complete else RETRY_SECONDS)

    def _set_symbols(self) -> None:
        for symbol in self._topology.symbols:
            self._sequencer.set_symbol(
                symbol.name,
                symbol.price_band_percent,
                symbol.max_open_orders_per_account,
                halted=symbol.status == "HALT",
            )
        listed = {symbol.name for symbol in self._topology.symbols}
        for name in self._listed - listed:
            self._sequencer.set_symbol(name, listed=False)
        self._listed = listed

    async def _take_missing(self) -> bool:
        """Take what the topology gives us and we do not own; False when something is left."""
        complete = True
        for shard in self._topology.shards:
            wanted = [
                slot
                for slot in self._topology.slots
                if slot.shard == shard.name
                and slot.partition == self._settings.partition
                and slot.id not in self._owned
            ]
            if not wanted:
                continue
            try:
                await self._take(shard, wanted)
            except WorldError as problem:
                logger.warning("%s; trying again", problem)
                complete = False
        return complete

    async def _take(self, shard: ShardAddress, wanted: Sequence[SlotPlacement]) -> None:
        begun = time.monotonic()
        info = self._conninfo(shard, LOAD_OPTIONS)
        taken = await asyncio.to_thread(take_slots, info, wanted, self.incarnation)
        rows = await asyncio.to_thread(
            fetch_slots, info, taken, self._topology.idempotency, time.time_ns() // 1000
        )
        pipeline = self._pipeline(shard)
        opened = 0
        for each in rows:
            slot = each.slot
            opened += feed(self._sequencer, each)
            self._sequencer.set_slot(
                slot.id, slot.first, slot.past, pipeline.index, slot.epoch, slot.sequence,
                slot.chain,
            )  # fmt: skip
            self._owned[slot.id] = (slot, shard.name)
        logger.info(
            "took %s slots of %s with %s open orders in %.3f s",
            len(rows), shard.name, opened, time.monotonic() - begun,
        )  # fmt: skip
        self._server.welcome_all()

    def _pipeline(self, shard: ShardAddress) -> CommitPipeline:
        if shard.name not in self._pipelines:

            async def connect() -> ShardConnection:
                # The topology may name other hosts by now.
                newest = next(s for s in self._topology.shards if s.name == shard.name)
                return await ShardConnection.open(self._conninfo(newest, COMMIT_OPTIONS))

            pipeline = CommitPipeline(
                len(self._pipelines), connect, self.incarnation, self._sequencer, self
            )
            pipeline.batch_commands_max = self._settings.batch_commands_max
            pipeline.publish_interval_seconds = self._settings.publish_interval_seconds
            pipeline.reconnect_seconds_max = self._settings.reconnect_seconds_max
            self._pipelines[shard.name] = pipeline
            self._start(pipeline.run())
        return self._pipelines[shard.name]

    def _conninfo(self, shard: ShardAddress, options: str) -> str:
        password = read_password(self._settings.secrets_folder, ENGINE)
        name = f"engine/{self._settings.partition}/{self.incarnation}"
        return shard_conninfo(shard, ENGINE, password, name, options)


def run_partition(environ: Mapping[str, str]) -> int:
    """Run until told to stop: 0. Raises `UserError` for wrong settings; else ends the process."""
    settings = load(EngineSettings, "TRADING_ENGINE_", environ)
    topology = read_topology(settings.topology_file)
    known = [partition.name for partition in topology.partitions]
    if settings.partition not in known:
        raise UserError(
            f"TRADING_ENGINE_PARTITION: {settings.partition!r} is not in the topology"
            f" (it has: {', '.join(known)})"
        )
    logging.getLogger().setLevel(settings.log_level.upper())

    async def main() -> None:
        await Partition(settings, topology).run()

    try:
        uvloop.run(main())
    except UserError:
        raise
    except TradingError as problem:
        logger.critical("partition %s cannot go on: %s", settings.partition, problem)
        os._exit(FATAL_STATUS)  # at once: nothing in memory is worth a goodbye
    except Exception:
        logger.exception("partition %s cannot go on", settings.partition)
        os._exit(FATAL_STATUS)
    return 0
