"""Symbols move between partitions, and between shards, while clients trade on them.

A whole cluster under orders at half of what it can do, 200 a second on each of the symbols that
move. Segments with moves and without them take turns, so that both meet the same tables. Every
call is recorded; at the end of each round all of it is judged by the laws of `e2e/history`. Of the
orders on other symbols those count that were sent while a move was under way, or just after it.
"""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median

from bench.cluster_side import ClusterSide, Shape, symbols_for
from bench.driver import CONNECTIONS as CONNECTIONS_OF_CAPACITY
from bench.driver import Load, LoadResult, run_load
from bench.figures import Figure
from bench.processes import BenchError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

from bench.move_pauses import Edge, Latencies, edge_within, edges_of
from bench.movers import Kind, Moved, Mover
from history.laws import check, describe
from history.records import Call, read_history
from history.rows import Dump, Grid, read_shards

SHAPE = Shape(shards=2, partitions=2, replicas=2)
SYMBOLS = symbols_for("MOVE")
MOVING = 2  # of them: alone in their slots, so that no move has to split one
# The checker replays all of it through the naive book, which sorts at each order.
SMALL_BOOKS = {"cross_percent": 50, "levels": 1, "cancel_percent": 20}
RATE_PER_MOVING_SYMBOL = 250  # calls a second, a fifth of them cancels
CAPACITY_SECONDS = 4.0  # again before each pair of segments: machines that others share slow down
MOVING_SECONDS = 40.0
STILL_SECONDS = 8.0
WARMUP_SECONDS = 1.0
LAST_MOVE_SECONDS = 4.0  # before the load ends no other one begins
MOVE_EVERY_SECONDS = 2.0  # at most one begins in so long
AFTERMATH_SECONDS = 0.5  # in which everybody hears of the new place
MEMORY = Path("/dev/shm")
# Many clients, so that an answer that is late makes no other request wait for a connection.
CONNECTIONS = 200
GRID = Grid(Decimal("0.01"), Decimal("0.0001"))
KINDS: tuple[Kind, ...] = ("engine", "shard")
Span = tuple[float, float]


@dataclass(frozen=True)
class Pause:
    """What one move cost, in milliseconds."""

    kind: Kind
    server: float  # from the last command before to the first one after, in the log
    client: float  # the slowest call that was under way, above what is usual
    told: float  # by the partition


@dataclass
class Segments:
    """What the loads told; latency of the orders on other symbols, by what happened meanwhile."""

    p99: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rates: list[float] = field(default_factory=list)
    resends: int = 0

    def add(self, moving: LoadResult, others: LoadResult) -> None:
        """One segment; raises BenchError when a call was not clear after one retry."""
        for result in (moving, others):
            if result.errors or result.raw["requests_unsent"]:
                raise BenchError(
                    f"errors after one retry: {result.errors}, unsent: "
                    f"{result.raw['requests_unsent']}"
                )
            self.resends += int(result.raw["resends"])
        self.rates.append(moving.raw["requests_per_second"] + others.raw["requests_per_second"])


class Round:
    """One cluster of its own, so many moves of each kind, one judgement."""

    def __init__(self, moves: int, segments: Segments, say: Callable[[str], None]) -> None:
        self._moves, self._segments, self._say = moves, segments, say
        self._side = ClusterSide(SHAPE, ["MOVE"])
        # In memory where that is: a file of 2.5 MB/s is written out at once every half minute, and
        # commits wait for the disk behind 200 MB of it.
        folder = MEMORY if MEMORY.is_dir() else self._side.home
        self._record = tempfile.TemporaryDirectory(prefix="tc-history-", dir=folder)
        self._history = Path(self._record.name)
        self._numbers = itertools.count(1)
        self._moving: list[str] = []
        self._others: list[str] = []
        self._moved: list[Moved] = []
        self._still: list[Span] = []
        self.capacities: list[float] = []
        self.violations: Counter[str] = Counter()
        self.seconds: dict[Kind, float] = defaultdict(float)

    def run(self) -> list[Pause]:
        """The pause of each move."""
        try:
            self._side.up()
            mover = Mover(self._side.home / self._side.name)
            self._moving = mover.alone(SYMBOLS)[:MOVING]
            self._others = [symbol for symbol in SYMBOLS if symbol not in self._moving]
            for kind in KINDS:
                self._move_all(mover, kind)
            return self._judged()
        finally:
            self._side.remove()
            self._record.cleanup()

    def _load(self, name: str, symbols: Sequence[str], rate: float, seconds: float) -> LoadResult:
        prefix = f"{name[0]}{next(self._numbers)}-"
        load = Load(
            mode="rest", url=self._side.url, symbols=symbols, prefix=prefix, rate=rate,
            keys_file=self._side.keys_file, duration_seconds=seconds, seed=sum(prefix.encode()),
            warmup_seconds=WARMUP_SECONDS, resends=1, **SMALL_BOOKS,
            connections=CONNECTIONS if rate else CONNECTIONS_OF_CAPACITY,
            record_file=self._history / f"{prefix}.jsonl",
        )  # fmt: skip
        return run_load(load)

    def _see_capacity(self) -> None:
        """What can be done now. Not on the symbols that move: they shall not have more history."""
        seen = self._load("capacity", self._others, 0, CAPACITY_SECONDS)
        self.capacities.append(seen.raw["requests_per_second"])

    @contextmanager
    def _trading(self, what: str, seconds: float) -> Iterator[float]:
        """Orders on all symbols for so long; gives when no other move may begin."""
        moving = RATE_PER_MOVING_SYMBOL * MOVING
        others = max(1.0, self.capacities[-1] / 2 - moving)
        begun = time.time() + WARMUP_SECONDS
        with ThreadPoolExecutor(2) as both:
            one = both.submit(self._load, "moving", self._moving, moving, seconds)
            two = both.submit(self._load, "others", self._others, others, seconds)
            yield time.monotonic() + WARMUP_SECONDS + seconds - LAST_MOVE_SECONDS
            self._segments.add(one.result(), two.result())
        if what == "still":
            self._still.append((begun, begun + seconds))

    def _move_all(self, mover: Mover, kind: Kind) -> None:
        left = self._moves
        while left > 0:
            self._see_capacity()
            with self._trading("still", STILL_SECONDS):
                pass
            with self._trading(kind, MOVING_SECONDS) as last_begin:
                time.sleep(WARMUP_SECONDS)
                while left > 0 and time.monotonic() < last_begin:
                    begun = time.monotonic()
                    done = [mover.move(kind, self._moving[left % MOVING])]
                    if time.monotonic() > last_begin + LAST_MOVE_SECONDS:
                        break  # nobody traded any more when it ended: it does not count
                    self.seconds[kind] += sum(each.ended - each.begun for each in done)
                    self._moved += done
                    left -= len(done)
                    time.sleep(max(0.0, begun + MOVE_EVERY_SECONDS - time.monotonic()))
            told = [m.told_milliseconds for m in self._moved if m.kind == kind]
            self._say(f"{len(told)} {kind} moves, told pauses up to {max(told):.0f} ms")

    def _judged(self) -> list[Pause]:
        calls = read_history(sorted(self._history.glob("*.jsonl")), self._side.accounts)
        dump = read_shards(self._side.conninfos(), dict.fromkeys(SYMBOLS, GRID))
        shift = time.time() - time.monotonic()
        broken = check(calls, dump)
        self.violations += Counter(violation.law for violation in broken)
        if set(self.violations) - {"H1", "H2"}:
            raise BenchError(describe(broken))
        self._say(f"{len(calls):,} calls judged: {dict(self.violations) or 'all laws hold'}")
        self._note_others(calls, shift)
        return self._pauses(calls, dump, shift)

    def _note_others(self, calls: Sequence[Call], shift: float) -> None:
        """What the orders on other symbols took, with moves and without them."""
        others = set(self._others)
        latencies = Latencies([call for call in calls if call.key.symbol in others], shift)
        self._segments.p99["still"].append(latencies.p99_milliseconds(self._still))
        for kind in KINDS:
            spans = [
                (move.begun, move.ended + AFTERMATH_SECONDS)
                for move in self._moved if move.kind == kind
            ]  # fmt: skip
            self._segments.p99[kind].append(latencies.p99_milliseconds(spans))

    def _pauses(self, calls: Sequence[Call], dump: Dump, shift: float) -> list[Pause]:
        found: list[Pause] = []
        for symbol in self._moving:
            edges = edges_of(dump, symbol)
            latencies = Latencies([c for c in calls if c.key.symbol == symbol], shift)
            usual = latencies.p99_milliseconds(self._still)
            for move in (m for m in self._moved if m.symbol == symbol):
                edge = edge_within(edges, move.begun, move.ended)
                if edge is None:
                    raise BenchError(f"the log of {symbol} does not show its {move.kind} move")
                found.append(_pause(move, edge, latencies, usual))
        return found


def _pause(move: Moved, edge: Edge, latencies: Latencies, usual: float) -> Pause:
    client = max(0.0, latencies.worst_milliseconds(edge) - usual)
    return Pause(move.kind, edge.milliseconds, client, move.told_milliseconds)


@dataclass
class MovesUnderLoad:
    """Rounds until there are so many moves of each kind."""

    moves: int
    rounds: int
    say: Callable[[str], None]

    def measure(self) -> list[Figure]:
        """Pauses, what was lost or doubled, and what other symbols noticed."""
        segments = Segments()
        rounds = [
            Round(math.ceil(self.moves / self.rounds), segments, self.say)
            for _ in range(self.rounds)
        ]
        pauses = [pause for each in rounds for pause in each.run()]
        violations = sum((each.violations for each in rounds), Counter[str]())
        load = {
            "calls_per_second": round(median(segments.rates)),
            "capacity_calls_per_second": round(
                median([seen for each in rounds for seen in each.capacities])
            ),
            "calls_per_second_of_a_moving_symbol": RATE_PER_MOVING_SYMBOL,
            "cancels_percent": SMALL_BOOKS["cancel_percent"],
            "sent_again_once": segments.resends,
            "cluster": f"{SHAPE}, {SHAPE.replicas} backends",
        }
        figures = [
            figure
            for kind in KINDS
            for figure in _figures(kind, [p for p in pauses if p.kind == kind], {
                **load,
                "move_seconds": round(sum(e.seconds[kind] for e in rounds)
                                      / sum(p.kind == kind for p in pauses), 2),
            })
        ]  # fmt: skip
        return [
            *figures,
            Figure("moves_lost_orders", "orders", [violations["H1"]], details=load),
            Figure("moves_doubled_orders", "orders", [violations["H2"]], details=load),
            *(
                Figure(
                    f"{kind}_moves_other_symbols_p99_milliseconds", "ms", segments.p99[kind],
                    "the same without moves", segments.p99["still"],
                )
                for kind in KINDS
            ),
        ]  # fmt: skip


def _figures(kind: Kind, pauses: Sequence[Pause], load: dict[str, object]) -> list[Figure]:
    details = {**load, "from": "last command before to first one after, in the log"}
    made = []
    for seen in ("server", "client", "told"):
        values = sorted(float(getattr(pause, seen)) for pause in pauses)
        at = partial(_quantile, values)
        if seen == "server":
            made += [
                Figure(f"{kind}_move_pause_p50_milliseconds", "ms", [at(0.5)], details=details),
                Figure(f"{kind}_move_pause_p99_milliseconds", "ms", [at(0.99)], details=details),
                Figure(f"{kind}_move_pause_max_milliseconds", "ms", [values[-1]], details=details),
                Figure(f"{kind}_moves_measured", "moves", [len(values)], details=load),
            ]
        else:
            more = {"p50": at(0.5), "max": round(values[-1], 2), **load}
            name = "client_pause" if seen == "client" else "pause_told"
            made.append(
                Figure(f"{kind}_move_{name}_p99_milliseconds", "ms", [at(0.99)], details=more)
            )
    return made


def _quantile(values: Sequence[float], part: float) -> float:
    return round(values[min(len(values) - 1, math.ceil(len(values) * part) - 1)], 2)
