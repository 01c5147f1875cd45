"""Breadth first through all states of the small world."""

from __future__ import annotations

from dataclasses import dataclass, field

from trading_contract.tests.move_world.happenings import following
from trading_contract.tests.move_world.properties import (
    is_repeatable,
    is_settled,
    wrong,
    wrong_change,
    wrong_of_engines,
)
from trading_contract.tests.move_world.world import Core, Limits, World, beginning


@dataclass
class Found:
    """What a search saw. `problem` ends it; `path` is how to get there."""

    states: int = 0
    changes: int = 0
    problem: str = ""
    path: list[str] = field(default_factory=list)
    row_pairs: set[tuple[str, str]] = field(default_factory=set)
    happened: set[str] = field(default_factory=set)


class _Numbers:
    """One number for equal values. What is known by identity need not be hashed again."""

    def __init__(self) -> None:
        self._by_identity: dict[int, int] = {}
        self._by_value: dict[object, int] = {}
        self.values: list[object] = []

    def of(self, value: object) -> int:
        number = self._by_identity.get(id(value))
        if number is None:
            number = self._by_value.get(value)
            if number is None:
                number = self._by_value[value] = len(self.values)
                self.values.append(value)
                self._by_identity[id(value)] = number
        return number


class _Search:
    def __init__(self, limits: Limits, core: Core) -> None:
        self.limits, self.core = limits, core
        self.found = Found()
        self.parts = _Numbers()
        self.numbers: dict[tuple[int, ...], int] = {}
        self.keys: list[tuple[int, ...]] = []
        self.came: list[tuple[int, str]] = []
        self.back: list[list[int]] = []
        self.judged: dict[tuple[int, ...], str] = {}

    def number(self, world: World, before: int, what: str) -> int:
        of = self.parts.of
        key = (*map(of, world.servers), *map(of, world.engines), of(world.fates), of(world.left))
        known = self.numbers.get(key)
        if known is None:
            known = self.numbers[key] = len(self.keys)
            self.keys.append(key)
            self.came.append((before, what))
            self.back.append([])
        if before >= 0:
            self.back[known].append(before)
        return known

    def world(self, number: int) -> World:
        x, y, first, second, fates, left = (self.parts.values[n] for n in self.keys[number])
        return World((x, y), (first, second), fates, left)  # type: ignore[arg-type]

    def judge(self, world: World, number: int) -> str:
        problem = next(wrong_of_engines(world), "")
        key = self.keys[number]
        rest = (key[0], key[1], key[4])
        if problem or rest in self.judged:
            return problem or self.judged[rest]
        problem = next(wrong(world, self.core), "")
        if not problem and not is_repeatable(world, self.core):
            problem = "S18: an action of the table is not idempotent"
        self.judged[rest] = problem
        return problem

    def failed(self, at: int, problem: str) -> Found:
        self.found.states = len(self.keys)
        self.found.problem = problem
        while at > 0:
            at, what = self.came[at]
            self.found.path.insert(0, what)
        return self.found


def search(limits: Limits, core: Core, states_max: int = 5_000_000) -> Found:
    """Visit every state. Liveness: from each one the end of its move can be reached."""
    seen = _Search(limits, core)
    found = seen.found
    seen.number(beginning(limits), -1, "")
    settled: list[int] = []
    at = 0
    while at < len(seen.keys):
        world = seen.world(at)
        problem = seen.judge(world, at)
        if problem:
            return seen.failed(at, problem)
        if is_settled(world):
            settled.append(at)
        found.row_pairs.add(states_of(world))
        for what, after in following(world, limits, core):
            found.changes += 1
            found.happened.add(what)
            number = seen.number(after, at, what)
            problem = next(wrong_change(world, after), "")
            if problem:
                return seen.failed(number, problem)
        if len(seen.keys) > states_max:
            return seen.failed(at, f"more than {states_max} states")
        at += 1
    found.states = len(seen.keys)
    stuck = _never_settled(seen.back, settled)
    if stuck is not None:
        return seen.failed(stuck, "L1: this move can never end")
    return found


def _never_settled(back: list[list[int]], settled: list[int]) -> int | None:
    reached = bytearray(len(back))
    waiting = list(settled)
    for number in waiting:
        reached[number] = 1
    while waiting:
        for before in back[waiting.pop()]:
            if not reached[before]:
                reached[before] = 1
                waiting.append(before)
    missed = reached.find(0)
    return None if missed < 0 else missed


def states_of(world: World) -> tuple[str, str]:
    """The states of both rows."""
    x, y = (server.row.state.value if server.row else "-" for server in world.servers)
    return x, y
