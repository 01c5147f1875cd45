"""The checker under mutation: wrong exchanges are all caught, and none of its parts can be lost."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import history.laws
import history.replay
from history.imagined import World, busy_world
from history.laws import check, describe
from history.lies import LIES
from history.wrong_builds import BUILDS, Wrong

CLEAN_RUNS = 50
SEEDS = (3, 11, 42)


def run_of(build: type[Wrong], seed: int) -> World:
    """A busy day, with a move and a failover."""
    world = busy_world(seed, make=build)
    for event in ("move", "fail_over"):
        getattr(world, event, lambda: None)()
    return world


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_each_wrong_exchange_is_caught_every_time(build: type[Wrong]) -> None:
    for seed in SEEDS:
        world = run_of(build, seed)
        broken = {violation.law for violation in check(world.calls, world.dump())}
        assert broken & set(build.laws), f"seed {seed}: only {sorted(broken)}"


def test_right_ones_raise_no_alarm() -> None:
    for seed in range(CLEAN_RUNS):
        world = busy_world(seed, 60)
        violations = check(world.calls, world.dump())
        assert violations == [], describe(violations)


class Mutant(ast.NodeTransformer):
    """Leaves out the n-th thing that a law would say."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = 0
        self.line = 0

    def _left_out(self, node: ast.stmt) -> ast.stmt:
        self.seen += 1
        if self.seen - 1 != self.number:
            return node
        self.line = node.lineno
        return ast.copy_location(ast.Pass(), node)

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        """`broken.append(..)`."""
        call = node.value
        is_report = (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "append"
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id in REPORTS
        )
        return self._left_out(node) if is_report else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """`broken += ..`."""
        is_report = isinstance(node.target, ast.Name) and node.target.id in REPORTS
        return self._left_out(node) if is_report else node


REPORTS = {"broken", "faults"}
SOURCES = {
    module: Path(str(module.__file__)).read_text() for module in (history.laws, history.replay)
}


def mutants() -> Iterator[tuple[ModuleType, int]]:
    """Every place at which a law says something."""
    for module, source in SOURCES.items():
        counting = Mutant(-1)
        counting.visit(ast.parse(source))
        yield from ((module, number) for number in range(counting.seen))


def verdicts(worlds: list[World]) -> list[list[str]]:
    """All that the checker, as it is loaded now, says of each."""
    check_now = sys.modules["history.laws"].check
    return [[str(each) for each in check_now(world.calls, world.dump())] for world in worlds]


def worlds_with_lies() -> list[World]:
    """One for each lie, and some of wrong builds."""
    worlds = []
    for _, lie in LIES:
        world = busy_world(orders=60)
        lie(world)
        worlds.append(world)
    return worlds + [run_of(build, SEEDS[0]) for build in BUILDS]


def test_no_part_of_the_checker_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = worlds_with_lies()
    whole = verdicts(worlds)
    survivors = []
    for module, number in mutants():
        tree = ast.parse(SOURCES[module])
        mutant = Mutant(number)
        code = compile(ast.fix_missing_locations(mutant.visit(tree)), str(module.__file__), "exec")
        with monkeypatch.context() as patched:
            other = ModuleType(module.__name__)
            patched.setitem(sys.modules, module.__name__, other)
            exec(code, other.__dict__)
            if module is history.replay:
                patched.setattr(history.laws, "replayed_as_stored", other.replayed_as_stored)
            if verdicts(worlds) == whole:
                survivors.append(f"{module.__name__}:{mutant.line}")
    assert survivors == []
