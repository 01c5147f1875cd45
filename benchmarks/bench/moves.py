"""Slots that move between two partitions of a shard, again and again, while they are traded."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure
from bench.processes import BenchError
from trading_engine.tests.integration.moving_load import Load
from trading_engine.tests.integration.moving_site import Pair, two_slots
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import PostgresServer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

from history.replay import decode_payload

SLOT = 2
SYMBOLS = ("MSFT", "ZZZ")
QUICK_MOVES = 20
# At each change of epoch: the last batch before, and the first one after.
EDGES = f"""
SELECT payload, next FROM (
  SELECT payload, epoch, lead(payload) OVER w AS next, lead(epoch) OVER w AS next_epoch
    FROM slot_log WHERE slot_id = {SLOT} WINDOW w AS (ORDER BY seq_hi)) l
 WHERE epoch <> next_epoch
"""


@dataclass
class EngineMoves:
    """Moves one slot of two traded symbols back and forth."""

    moves: int
    say: Callable[[str], None]

    def measure(self) -> list[Figure]:
        """Pauses as the log has them; what was lost or doubled of what was acknowledged."""
        server = PostgresServer()
        server.start()
        started: list[PartitionProcess] = []
        site = Site([server])
        try:
            two_slots(site)
            site.prepare()
            pair = Pair(site, self._starter(started))
            for name in ("p0", "p1"):
                pair.start(name)
            return self._figures(pair)
        finally:
            for process in started:
                process.kill()
            server.remove()
            shutil.rmtree(site.folder, ignore_errors=True)

    @staticmethod
    def _starter(started: list[PartitionProcess]) -> Callable[..., PartitionProcess]:
        def start(site: Site, ready: bool, **settings: object) -> PartitionProcess:
            process = PartitionProcess(site, **settings)  # type: ignore[arg-type]
            started.append(process)
            if ready:
                process.wait_ready()
            return process

        return start

    def _figures(self, pair: Pair) -> list[Figure]:
        told, begun = [], time.monotonic()
        with Load(pair, SYMBOLS) as load:
            for number in range(self.moves):
                told.append(pair.move(SLOT, "p1" if number % 2 == 0 else "p0"))
                if number % 20 == 19:
                    self.say(f"{number + 1} moves, {load.count():,} orders")
            seconds = time.monotonic() - begun
        if load.wrong:
            raise BenchError(f"wrong answers: {load.wrong[:3]}")
        pauses = sorted(_pauses(pair))
        if len(pauses) < self.moves * 0.9:
            raise BenchError(f"{self.moves} moves, but the log shows {len(pauses)}")
        lost, doubled = _lost_and_doubled(load)
        details = {
            "moves": len(pauses),
            "orders_per_second": round(load.count() / seconds, 1),
            "from": "time of the last command before to that of the first one after",
            "handed_over_to_open_p99_milliseconds": _quantile(
                sorted(move["pause_milliseconds"] for move in told), 0.99
            ),
            "client_latency_max_milliseconds": round(load.seconds_max * 1000, 1),
        }
        return [
            Figure("engine_move_pause_p50_milliseconds", "ms", [_quantile(pauses, 0.5)]),
            Figure(
                "engine_move_pause_p99_milliseconds", "ms", [_quantile(pauses, 0.99)],
                details=details,
            ),
            Figure("engine_move_pause_max_milliseconds", "ms", [pauses[-1]]),
            Figure("engine_moves_measured", "moves", [self.moves]),
            Figure("moves_lost_orders", "orders", [lost]),
            Figure("moves_doubled_orders", "orders", [doubled]),
        ]  # fmt: skip


def _pauses(pair: Pair) -> list[float]:
    """Milliseconds between the commands on both sides of each change of owner."""
    return [
        (next(iter(decode_payload(after))).time_us - [*decode_payload(before)][-1].time_us) / 1000
        for before, after in pair.rows(EDGES)
    ]


def _lost_and_doubled(load: Load) -> tuple[int, int]:
    """Of the acknowledged orders, those that no row has; and rows beyond one for a client id."""
    stored = [str(name) for (name,) in load.pair.rows("SELECT client_id FROM orders")]
    told = {name for placed in load.placed.values() for name, _ in placed}
    return len(told - set(stored)), len(stored) - len(set(stored))


def _quantile(values: list[float], part: float) -> float:
    return round(values[min(len(values) - 1, int(len(values) * part))], 2)
