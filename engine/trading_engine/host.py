"""The partition process: sequencer, holdings, socket and publisher; it ends with any of them.

Crash-only: whatever breaks a promise ends the process at once; the operator starts it anew and it
recovers from the shard.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Coroutine, Mapping
from typing import Any

import uvloop

from trading_contract.errors import TradingError, UserError, WorldError
from trading_contract.load import PartitionLoad
from trading_contract.settings import load
from trading_contract.topology import Topology
from trading_contract.wire import PROTOCOL_VERSION
from trading_engine._core import Sequencer
from trading_engine.health import HealthServer
from trading_engine.holdings import Holdings
from trading_engine.load import Identity, LoadMeter
from trading_engine.moving.home import MovingHome
from trading_engine.moving.moves import KINDS, Bounds, Moves
from trading_engine.publish import Publications, Publisher
from trading_engine.scheduling import come_first
from trading_engine.server import PartitionServer
from trading_engine.settings import EngineSettings
from trading_engine.topology_file import TopologyWatch, read_topology
from trading_engine.trimming import LogTrimmer
from trading_engine.waiting import Standby

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
RETRY_SECONDS = 0.1
FATAL_STATUS = 70
DRAIN_SECONDS_MAX = 5.0
CLOSE_SECONDS_MAX = 2.0
CANCEL_AGAIN_SECONDS = 0.1
SWITCH_SECONDS = 0.0005  # a thread that works lets the event loop go on after so long


class Partition:
    """One partition with everything it owns."""

    def __init__(self, settings: EngineSettings, topology: Topology) -> None:
        self.incarnation = uuid.uuid4()
        self.state = "starting"
        self.topology = topology
        self._settings = settings
        remember = topology.idempotency
        self._sequencer = Sequencer(remember.entries_max, remember.window_seconds * 1_000_000)
        self._server = PartitionServer(self, settings.output_bytes_max, settings.connections_max)
        self._health = HealthServer(self.status, self.load)
        self._publisher = Publisher(topology.redis_nodes, settings.partition, str(self.incarnation))
        self._holdings = Holdings(settings, self._sequencer, self)
        self._meter = LoadMeter(self._sequencer, self._holdings.pipelines)
        home = MovingHome(self._holdings, self._sequencer, self)
        self._moves = Moves(
            self._holdings.taker,
            self._sequencer,
            home,
            self.start,
            Bounds(settings.soak_seconds, settings.shadow_bytes_max),
        )
        self._holdings.mirror = self._moves.mirrors.give
        self._trimmer = LogTrimmer(
            self._holdings.owned, self.incarnation, settings.log_retention_seconds,
            settings.log_trim_seconds,
        )  # fmt: skip
        self._standby = Standby()
        self._listed: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # Intake, as the server sees it

    def take(self, connection: int, commands: bytes) -> bool:
        """Queue whole records and wake the pipelines."""
        if not self._sequencer.enqueue(connection, commands):
            return False
        pipelines = self._holdings.pipelines
        if not pipelines:  # nothing is owned yet, so nothing can be answered from a book
            self._refuse_all()
        for pipeline in pipelines.values():
            if self._sequencer.waiting(pipeline.index):
                pipeline.poke()
        return True

    def _refuse_all(self) -> None:
        batch = self._sequencer.sequence(0, time.time_ns() // 1000, 1 << 20)
        self._server.deliver(batch.outboxes)

    def full(self) -> bool:
        """Whether more commands wait than the settings allow."""
        pipelines = self._holdings.pipelines.values()
        queues = self._sequencer
        waiting = sum(queues.waiting(p.index) + queues.held(p.index) for p in pipelines)
        return waiting > self._settings.waiting_commands_max

    def welcome(self) -> dict[str, Any]:
        """Who this is and what it owns."""
        return {
            "version": PROTOCOL_VERSION,
            "cluster": self.topology.cluster,
            "partition": self._settings.partition,
            "incarnation": str(self.incarnation),
            "slots": self._holdings.slots(),
            "retells": True,
        }

    def retell(self, channel: str, after: int) -> bytes:
        """What was told on a channel of executions after a number."""
        return self._publisher.retell(channel, after)

    def status(self) -> dict[str, Any]:
        """What the operator asks for."""
        return {
            "partition": self._settings.partition,
            "incarnation": str(self.incarnation),
            "state": self.state,
            "slots": self._holdings.slots(),
            "revision": self.topology.revision,
            "open_orders": self._sequencer.open_orders,
            "idempotency_entries": self._sequencer.idempotency_entries,
            "memory_bytes": self._sequencer.memory_bytes,
            "connections": len(self._server.connections),
            "published": self._publisher.sent,
            "publications_dropped": self._publisher.dropped,
            "log_rows_trimmed": self._trimmer.trimmed,
            "moves": self._moves.progress(),
            "move_kinds": KINDS,
            "move_differences": self._moves.differences(),
            "shards": {
                name: {
                    "batches": p.batches,
                    "commands": p.commands,
                    "commit_seconds": p.commit_seconds,
                    "waiting": self._sequencer.waiting(p.index),
                }
                for name, p in self._holdings.pipelines.items()
            },
        }

    def load(self) -> PartitionLoad:
        """What the operator and Prometheus ask for."""
        who = Identity(self._settings.partition, str(self.incarnation))
        return self._meter.read(who, len(self._server.connections))

    # As pipelines and holdings see it

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

    def wait_together(self) -> None:
        """Sleep until a shard answers, if that is all that any pipeline can do."""
        self._standby.wait([each.waits_for for each in self._holdings.pipelines.values()])

    def slots_changed(self) -> None:
        """Tell the replicas."""
        self._server.welcome_all()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside; its failure ends the process."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    # Life

    async def run(self) -> None:
        """Serve until told to stop. Raises what ended it otherwise."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        self._set_symbols()
        settings = self._settings
        if settings.health_port:  # before anything that may take long
            await _listen(self._health, settings.listen_host, settings.health_port)
        await _listen(self._server, settings.listen_host, settings.listen_port)
        if settings.listen_socket is not None:
            await self._server.listen_at(settings.listen_socket)
        self.start(self._publisher.run())
        self.start(self._follow_topology())
        self._moves.run()
        self.start(self._trimmer.run())
        self.start(self._meter.run())
        await self._failed
        await self._drain()

    async def _drain(self) -> None:
        """Answer what was taken, then hang up."""
        self.state = "stopping"
        self._server.stop_reading()
        pipelines = self._holdings.pipelines.values()
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while time.monotonic() < deadline:
            if all(pipeline.idle for pipeline in pipelines):
                break
            await asyncio.sleep(0.005)
        self._ending = True
        self._server.close()
        self._health.close()
        self._publisher.close()
        self._trimmer.close()
        self._meter.close()
        self._moves.close()
        self._holdings.close()
        await self._end_tasks()

    async def _end_tasks(self) -> None:
        """Each looks at a flag of its own, which is set by now: a cancel alone may be swallowed."""
        deadline = time.monotonic() + CLOSE_SECONDS_MAX
        running = set(self._tasks)
        while running and time.monotonic() < deadline:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)

    def _stop(self) -> None:
        if not self._failed.done():
            self._failed.set_result(None)
            _end_anyway(DRAIN_SECONDS_MAX + 2 * CLOSE_SECONDS_MAX)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() and not self._failed.done():
            self._failed.set_exception(task.exception() or WorldError("a task ended"))

    async def _follow_topology(self) -> None:
        watch = TopologyWatch(self._settings.topology_file, self.topology)
        while not self._ending:
            complete = await self._holdings.follow()
            if complete and self.state == "starting":
                self.state = "ready"
                gc.freeze()  # a collection of all that was there from the start takes too long
            self._moves.follow(self.topology)
            try:
                newer = watch.newer()
            except UserError as problem:
                logger.warning("%s; the last good one stays in use", problem)
                newer = None
            if newer is not None:
                self.topology = newer
                self._set_symbols()
                self._publisher.set_nodes(newer.redis_nodes)
                continue
            await asyncio.sleep(WATCH_SECONDS if complete else RETRY_SECONDS)

    def _set_symbols(self) -> None:
        for symbol in self.topology.symbols:
            self._sequencer.set_symbol(
                symbol.name,
                symbol.price_band_percent,
                symbol.max_open_orders_per_account,
                halted=symbol.status == "HALT",
            )
        listed = {symbol.name for symbol in self.topology.symbols}
        for name in self._listed - listed:
            self._sequencer.set_symbol(name, listed=False)
        self._listed = listed


async def _listen(server: PartitionServer | HealthServer, host: str, port: int) -> None:
    try:
        await server.listen(host, port)
    except OSError as problem:
        raise UserError(f"cannot listen on {host}:{port}: {problem.strerror}") from problem


def _end_anyway(seconds: float) -> None:
    """End the process after this time, whatever still hangs in it; does not hold it up."""

    def end() -> None:
        logger.critical("still here %g s after the signal: ended", seconds)
        os._exit(FATAL_STATUS)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


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
    sys.setswitchinterval(SWITCH_SECONDS)
    come_first()

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
