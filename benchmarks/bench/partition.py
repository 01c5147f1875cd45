"""A partition with a million open orders: its memory, and how long its restart takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.cluster_side import ClusterSide, Shape, symbols_for
from bench.driver import Load, run_load, verify
from bench.figures import Figure
from bench.processes import BenchError

OPEN_ORDERS = 1_000_000
RESTART_SECONDS_MAX = 120
POLL_SECONDS = 0.02
# Who ends sooner than this after its start is restarted after a pause; that is not measured.
HEALTHY_SECONDS = 12.0


@dataclass
class Restart:
    """Loads once, then kills the same partition again and again."""

    runs: int
    say: Callable[[str], None]
    open_orders: int = OPEN_ORDERS

    def measure(self) -> list[Figure]:
        """Seconds from SIGKILL to the first acknowledged order, and memory per million orders."""
        side = ClusterSide(Shape(), ["FILL", "ACK"])
        try:
            side.up()
            before = side.resident_megabytes("partition")
            loaded = self._fill(side)
            after = side.resident_megabytes("partition")
            million = loaded / 1e6
            seconds, recovered = [], []
            for number in range(self.runs):
                seconds.append(self._restart(side, number))
                recovered.append((side.resident_megabytes("partition") - before) / million)
                self.say(f"restart {number + 1} with {loaded:,} open orders: {seconds[-1]:.2f} s")
                time.sleep(HEALTHY_SECONDS)
        finally:
            side.remove()
        return [
            Figure(
                "partition_restart_seconds_1m", "s", seconds,
                details={"open_orders": loaded, "from": "SIGKILL to the first acknowledged order"},
            ),
            Figure(
                "memory_megabytes_per_million_open_orders", "MB", [(after - before) / million],
                details={"after_restart": round(sorted(recovered)[len(recovered) // 2], 1)},
            ),
        ]  # fmt: skip

    def _fill(self, side: ClusterSide) -> int:
        symbols = symbols_for("FILL")
        load = Load(
            mode="batch", url=side.url, symbols=symbols, prefix="FILL-", keys_file=side.keys_file,
            duration_seconds=600, warmup_seconds=0, cross_percent=0, orders_max=self.open_orders,
            connections=16,
        )  # fmt: skip
        result = run_load(load)
        verify(result, side.count(symbols), "filling the books")
        return result.acknowledged

    def _restart(self, side: ClusterSide, number: int) -> float:
        symbol = symbols_for("ACK")[0]
        side.kill("partition")
        begun, attempt = time.monotonic(), 0
        while time.monotonic() - begun < RESTART_SECONDS_MAX:
            # One client order id for all attempts: whichever of them arrived, it is one order.
            if side.place_one(symbol, f"ACK-{number}", timeout_seconds=RESTART_SECONDS_MAX):
                return time.monotonic() - begun
            attempt += 1
            time.sleep(POLL_SECONDS)
        raise BenchError(f"no order was acknowledged {RESTART_SECONDS_MAX} s after the kill")
