"""A move of a large range between shards, against logical replication on the same rows."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.figures import Figure
from bench.logical_move import LogicalMove, end_replication, move_by_logical_replication
from bench.processes import BenchError
from trading_contract.durations import quantile_seconds
from trading_contract.load import PartitionLoad
from trading_contract.topology import ShardAddress
from trading_contract.wire import STATUS_OF_LOAD, FrameType, frame
from trading_engine.tests.integration.moving_load import Load
from trading_engine.tests.integration.partition_process import PartitionProcess
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer
from trading_engine.tests.integration.shard_site import SLOT, Shards, X, Y, two_shards

SETTINGS = (
    "wal_level=logical", "shared_buffers=512MB", "max_wal_size=8GB", "wal_compression=on",
    "wal_buffers=16MB", "checkpoint_timeout=10min", "jit=off", "autovacuum_naptime=15s",
)  # fmt: skip
BEFORE_SECONDS = 10.0
MOVE_SECONDS_MAX = 3600.0
LOOK_SECONDS = 0.1
SYMBOLS = ("MSFT", "ZZZ")
TRADED = ("MSFT", "ZZZ", "AAPL")
# A third of the ended orders traded. No price here meets those of the load.
FILL = """
INSERT INTO closed_orders SELECT '{symbol}', n, 1 + n % 500, 'old-' || n, 3 << 16 | 1 << 20,
  1 + n % 40, 1 + n % 9, 0, 0, 0, n, 0, n * 7919, 1, 0, 1 + n
  FROM generate_series(1::bigint, {closed}) n;
INSERT INTO trades SELECT '{symbol}', n, n, n + 1, 1 + n % 500, 1 + (n + 1) % 500, 1 + n % 40, 1, 0,
  1 + n, 0 FROM generate_series(1::bigint, {trades}) n;
INSERT INTO open_orders SELECT '{symbol}', {closed} + n, 1 + n % 500, 'open-' || n, 0, 1 + n % 40,
  1 + n % 9, 0, 0, 0, n, 0, n * 7919, 1, 0 FROM generate_series(1::bigint, {open}) n;
INSERT INTO symbol_state VALUES ('{symbol}', {closed} + {open}, {trades}, 0, {open}, 1,
  {closed} + {open}, 1, false, 0);
"""


@dataclass
class ScaleMove:
    """`open_orders` and `closed_orders` of the slot that moves."""

    open_orders: int
    closed_orders: int
    say: Callable[[str], None]

    def measure(self) -> list[Figure]:
        """Duration, throughput, pause, and what commits of the source took meanwhile."""
        servers = [PostgresServer(*SETTINGS), PostgresServer(*SETTINGS)]
        started: list[PartitionProcess] = []
        site = two_shards(servers, "scale")
        try:
            for server in servers:
                server.start()
            site.servers = (*servers, servers[0])
            third = ShardAddress(
                name="shard-2", hosts=(servers[0].address,), database="scalez"
            )  # fmt: skip
            site.write(shards=(*site.topology.shards, third))
            site.prepare()
            self._fill(site.rows)

            def start(site: Any, ready: bool = True, **settings: Any) -> PartitionProcess:
                process = PartitionProcess(site, **settings)
                started.append(process)
                process.wait_ready(600)
                return process

            shards = Shards(site, start, log_level="info")
            ours = self._ours(shards)
            shards.process.kill()
            return self._figures(ours, self._theirs(servers))
        finally:
            for process in started:
                process.kill()
            for server in servers:
                server.remove()
            shutil.rmtree(site.folder, ignore_errors=True)

    def _fill(self, rows: Callable[[str, int], list[tuple[Any, ...]]]) -> None:
        begun = time.monotonic()
        each = {
            "open": self.open_orders // len(SYMBOLS),
            "closed": self.closed_orders // len(SYMBOLS),
            "trades": self.closed_orders // len(SYMBOLS) // 3,
        }
        for symbol in SYMBOLS:
            for statement in FILL.format(symbol=symbol, **each).split(";"):
                if statement.strip():
                    rows(statement, 0)
        rows("VACUUM ANALYZE", 0)
        rows("CHECKPOINT", 0)
        self.say(
            f"{self.open_orders:,} open and {self.closed_orders:,} ended orders written in"
            f" {time.monotonic() - begun:.0f} s"
        )

    def _ours(self, shards: Shards) -> dict[str, float]:
        with Load(shards, TRADED) as load:  # type: ignore[arg-type]
            time.sleep(3)
            first = _commits(shards)
            time.sleep(BEFORE_SECONDS)
            before = _p99(first, second := _commits(shards))
            begun = time.monotonic()
            move = shards.order(Y)
            copied = 0.0
            during = second
            while (told := shards.told(move)).get("state") not in ("Done", "Failed"):
                if told.get("state") == "Copying":
                    copied, during = time.monotonic() - begun, _commits(shards)
                if time.monotonic() - begun > MOVE_SECONDS_MAX:
                    raise BenchError(f"the move does not end: {told}")
                time.sleep(LOOK_SECONDS)
            seconds = time.monotonic() - begun
            if told["state"] != "Done" or not told["verified"]:
                raise BenchError(f"the move ended as {told}")
            time.sleep(2)
        self._check(load, shards)
        self.say(f"moved in {seconds:.1f} s, paused for {told['pause_milliseconds']:.1f} ms")
        return {
            "seconds": seconds, "copied": copied, "bytes": told["bytes"],
            "pause": told["pause_milliseconds"], "before": before, "during": _p99(second, during),
            "client_max": load.seconds_max * 1000, "orders": load.count(),
        }  # fmt: skip

    def _check(self, load: Load, shards: Shards) -> None:
        """Every acknowledged order is there once, and so is all that was there before."""
        if load.wrong or load.resent:
            raise BenchError(f"wrong answers: {load.wrong[:3]}, {load.resent} unclear")
        for symbol in SYMBOLS:
            told = {name for name, _ in load.placed[symbol]}
            stored = [
                str(name) for (name,) in shards.rows(
                    f"SELECT client_id FROM orders WHERE symbol = '{symbol}'"
                    f" AND client_id LIKE '{symbol}-%'", Y,
                )
            ]  # fmt: skip
            if len(set(stored)) != len(stored) or not told <= set(stored):
                raise BenchError(f"{symbol}: lost {len(told - set(stored))}, or some are doubled")
        query = "SELECT count(*) FROM orders WHERE created_us = 1"
        ((there,),) = shards.rows(query, Y)
        wanted = sum(n // len(SYMBOLS) * len(SYMBOLS) for n in (self.open_orders,
                                                                 self.closed_orders))  # fmt: skip
        if there != wanted:
            raise BenchError(f"{there} of {wanted} old orders are on the target")

    def _theirs(self, servers: list[PostgresServer]) -> LogicalMove:
        source = partial(servers[1].connect, "scalex")
        target = partial(servers[0].connect, "scalez")
        with target() as there:
            there.execute(
                "INSERT INTO slot_owner (slot_id, first_sym, past_sym, epoch, owner, state,"
                " born_seq, last_seq, chain) VALUES (%s, 'M', '~', 1, gen_random_uuid(),"
                " 'PREPARED', 0, 0, '')", (SLOT,),
            )  # fmt: skip
        host, port = servers[1].address.rsplit(":", 1)
        dsn = f"host={host} port={port} dbname=scalex user=postgres password={PASSWORD}"
        try:
            made = move_by_logical_replication(source, target, dsn)
        finally:
            end_replication(source, target)
        self.say(
            f"logical replication: {made.seconds:.1f} s, paused for"
            f" {made.pause_milliseconds:.1f} ms, {made.pause_unverified_milliseconds:.1f} ms if it"
            " had compared nothing"
        )
        return made

    def _figures(self, ours: dict[str, float], theirs: LogicalMove) -> list[Figure]:
        size = {
            "open_orders": self.open_orders, "closed_orders": self.closed_orders,
            "trades": self.closed_orders // 3, "orders_per_second": 200 * len(TRADED),
        }  # fmt: skip
        rival = "logical replication with a row filter"
        return [
            Figure(
                "shard_move_pause_against_logical_replication", "ms", [ours["pause"]], rival,
                [theirs.pause_milliseconds],
                {**size, "client_latency_max": ours["client_max"],
                 "rival_that_compares_nothing": round(theirs.pause_unverified_milliseconds, 2)},
            ),
            Figure(
                "shard_move_large_range_seconds", "s", [ours["seconds"]], rival, [theirs.seconds],
                {**size, "copy_seconds": ours["copied"], "bytes": ours["bytes"],
                 "megabytes_per_second": round(ours["bytes"] / 1e6 / max(ours["copied"], 0.1), 1)},
            ),
            Figure(
                "shard_move_source_commit_p99_milliseconds", "ms", [ours["during"]],
                "before the copy", [ours["before"]],
                {**size, "writers_p99_with_logical_replication": theirs.latency_p99_during,
                 "writers_p99_before_it": theirs.latency_p99_before},
            ),
        ]  # fmt: skip


def _commits(shards: Shards) -> list[int]:
    """How long the partition's commits to the source took, by class."""
    with shards.client() as client:
        client.socket.sendall(frame(FrameType.STATUS, STATUS_OF_LOAD))
        load = PartitionLoad.model_validate_json(client.frame_of(FrameType.STATUS))
    return next(list(each.commit.counts) for each in load.commits if each.shard == X)


def _p99(first: list[int], second: list[int]) -> float:
    counts = [after - before for before, after in zip(first, second, strict=True)]
    return round((quantile_seconds(counts, 0.99) or 0.0) * 1000, 2)
