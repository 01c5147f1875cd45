"""Half of all load comes to two symbols of one partition, then to two of another: all is even soon.

As in examples/11-scaling-by-load; `benchmarks/scaling_live.py` measures the same on processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from trading_operator.planner.scaling.round_sums import band_of
from trading_operator.simulation.acceptance import moving_only
from trading_operator.tests.told_world import CORES, ToldWorld

SEEDS = range(1, 13)
PHASE_SECONDS = 70
WINDOW_SECONDS = 15
ALLOWED_SECONDS = 60
MOVES_MAX = 16
PER_SECOND = 300.0


def loads(symbols: Sequence[str], hot: Sequence[str] = ()) -> Mapping[str, float]:
    """Commands a second of each symbol; the hot ones have half of all."""
    if not hot:
        return dict.fromkeys(symbols, PER_SECOND / len(symbols))
    others = PER_SECOND / 2 / (len(symbols) - len(hot))
    return {name: PER_SECOND / 2 / len(hot) if name in hot else others for name in symbols}


def outside(cpu: Sequence[Mapping[str, float]]) -> Iterator[int]:
    """Seconds at which the fullest was above the band, averaged over the window."""
    for at in range(WINDOW_SECONDS, len(cpu)):
        used = [
            (cpu[at][name] - cpu[at - WINDOW_SECONDS][name]) / WINDOW_SECONDS / (0.85 * CORES)
            for name in cpu[at]
        ]
        mean = sum(used) / len(used)
        if max(used) > mean + band_of(mean):
            yield at


def seconds_to_even(seed: int) -> tuple[list[int], int]:
    """How long it took after each of two shifts, at most the phase, and the moves."""
    spec = moving_only()
    short = spec.autoscaling.model_copy(update={"scale_in_after_seconds": 120})
    world = ToldWorld(seed, spec.model_copy(update={"autoscaling": short}))
    cpu = world.run(PHASE_SECONDS, loads(world.symbols))
    took = []
    for hot in (world.symbols[:2], world.symbols[-2:]):
        begin = len(cpu)
        cpu += world.run(PHASE_SECONDS, loads(world.symbols, hot))
        took.append(max((at + 1 - begin for at in outside(cpu) if at >= begin), default=0))
    return took, len(world.ended)


def test_partitions_are_even_again_within_a_minute_of_each_shift() -> None:
    runs = [seconds_to_even(seed) for seed in SEEDS]
    took = [seconds for both, _ in runs for seconds in both]
    assert max(took) <= ALLOWED_SECONDS, took
    assert median(took) <= 0.75 * ALLOWED_SECONDS, took
    assert max(moves for _, moves in runs) <= MOVES_MAX
