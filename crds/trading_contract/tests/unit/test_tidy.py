"""Style that a machine can check: sizes, names, places. Each refusal says which line and why."""

from __future__ import annotations

import ast
import operator
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
COMPONENTS = ("operator", "backend", "engine", "crds")
FOLDERS = {*COMPONENTS, "charts", "examples", "e2e", "benchmarks", "docs", ".ci"}
FILES = {
    *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile"),
    *("pyproject.toml", "CMakeLists.txt", "Dockerfile"),
    *(".gitignore", ".dockerignore", ".pre-commit-config.yaml", ".clang-format", ".clang-tidy"),
}
BANNED_NAMES = {"utils", "util", "common", "misc", "helpers", "helper"}
FILE_LINES_MAX = 500
LINE_CHARACTERS_MAX = 100
FUNCTION_LINES_MAX = 70
CODE = {".py", ".pyi", ".cpp", ".hpp", ".sql", ".sh"}
GENERATED = {Path("crds/tradingclusters.yaml"), Path("crds/symbolmoves.yaml")}


def tracked() -> list[Path]:
    """All files that are committed or could be, relative to the root."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [Path(line) for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def code() -> Iterator[tuple[Path, str]]:
    """Files of code with their text."""
    for path in tracked():
        if path.suffix in CODE and path not in GENERATED:
            yield path, (ROOT / path).read_text(encoding="utf-8")


def python(*parts: str) -> Iterator[tuple[Path, ast.Module]]:
    """Python files below one of the folders, or all, with their trees."""
    for path, text in code():
        if path.suffix == ".py" and (not parts or any(str(path).startswith(p) for p in parts)):
            yield path, ast.parse(text)


def is_test(path: Path) -> bool:
    """Whether the file is a test or serves tests."""
    return "tests" in path.parts or path.parts[0] == "e2e"


def refuse(problems: list[str]) -> None:
    """Fail with one line per problem."""
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def test_no_component_folder_is_a_package() -> None:
    refuse(
        [
            f"{c}/__init__.py hides the stdlib"
            for c in COMPONENTS
            if (ROOT / c / "__init__.py").exists()
        ]
    )
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))


def test_the_top_level_holds_nothing_else() -> None:
    tops = {(path.parts[0], len(path.parts) > 1) for path in tracked()}
    refuse(
        [
            f"{name}: {'a folder' if is_folder else 'a file'} that does not belong here"
            for name, is_folder in sorted(tops)
            if name not in (FOLDERS if is_folder else FILES)
        ]
    )


def test_no_file_holds_both_sides_of_a_merge() -> None:
    mark = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    refuse(
        [
            f"{path}: a merge was not brought to its end"
            for path in tracked()
            if mark.search((ROOT / path).read_bytes())
        ]
    )


def test_no_file_is_too_long() -> None:
    refuse(
        [
            f"{path}: {lines} lines, at most {FILE_LINES_MAX}"
            for path, text in code()
            if (lines := len(text.splitlines())) > FILE_LINES_MAX
        ]
    )


def test_no_line_is_too_long() -> None:
    refuse(
        [
            f"{path}:{number}: {len(line)} characters, at most {LINE_CHARACTERS_MAX}"
            for path, text in code()
            for number, line in enumerate(text.splitlines(), 1)
            if len(line) > LINE_CHARACTERS_MAX and "http" not in line
        ]
    )


def test_no_function_is_too_long() -> None:
    refuse(
        [
            f"{path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"
            for path, tree in python()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
        ]
    )


def test_no_file_has_a_name_that_says_nothing() -> None:
    refuse([f"{path}: say what it holds" for path, _ in code() if path.stem in BANNED_NAMES])


CLOCKS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
}


def test_the_planner_and_the_contract_know_no_clock() -> None:
    pure = ("operator/trading_operator/planner", "crds/trading_contract")
    refuse(
        [
            f"{path}:{node.lineno}: {name}: time comes in as an argument"
            for path, tree in python(*pure)
            if not is_test(path)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and (name := ".".join(ast.unparse(node).split(".")[-2:])) in CLOCKS
        ]
    )


LEFTOVER = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|\bbreakpoint\(\)")


def test_nothing_is_left_over() -> None:
    refuse(
        [
            f"{path}:{number}: {found[0]}"
            for path, text in code()
            for number, line in enumerate(text.splitlines(), 1)
            if (found := LEFTOVER.search(line))
        ]
    )


def test_only_command_lines_print() -> None:
    printing = {"__main__.py", "cli"}
    refuse(
        [
            f"{path}:{node.lineno}: print belongs to command lines; log instead"
            for path, tree in python(*COMPONENTS)
            if not is_test(path) and not printing & set(path.parts)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
        ]
    )


def test_every_module_says_what_it_is() -> None:
    refuse(
        [
            f"{path}: no docstring"
            for path, tree in python(*COMPONENTS)
            if tree.body and not ast.get_docstring(tree)
        ]
    )
