"""The load balancer's configuration is accepted by the real program and says the truth."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from trading_operator.planner.actions import Component
from trading_operator.planner.observed import Role
from trading_operator.substrates.processes.haproxy import ANSWERS, balancer_config, error_file
from trading_operator.substrates.processes.layout import Layout

COMPONENT = Component(
    "load-balancer", Role.BALANCER, 18999,
    (("replicas", "replica-0=127.0.0.1:18991,replica-1=127.0.0.1:18992"),),
)  # fmt: skip


@pytest.mark.parametrize(
    "replicas", ["", "replica-0=127.0.0.1:18991", "a=127.0.0.1:1,b=127.0.0.1:2"]
)
def test_haproxy_accepts_the_configuration(tmp_path: Path, replicas: str) -> None:
    binary = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if binary is None:
        pytest.skip("needs the package haproxy")
    for code in ANSWERS:
        (tmp_path / f"{code}.http").write_text(error_file(code))
    config = tmp_path / "haproxy.cfg"
    component = Component("load-balancer", Role.BALANCER, 18999, (("replicas", replicas),))
    config.write_text(balancer_config(tmp_path, component, lambda _: None))
    checked = subprocess.run(
        [binary, "-c", "-f", str(config)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_replicas_are_reached_at_their_sockets_where_these_have_room(tmp_path: Path) -> None:
    layout = Layout(Path("/var/lib/demo"))
    text = balancer_config(tmp_path, COMPONENT, layout.socket_file)
    assert "server replica-0 unix@/var/lib/demo/sockets/replica-0.sock check" in text
    deep = Layout(Path("/var/lib") / ("x" * 90))
    text = balancer_config(tmp_path, COMPONENT, deep.socket_file)
    assert "server replica-0 127.0.0.1:18991 check" in text


def test_only_connections_that_failed_are_tried_again() -> None:
    text = balancer_config(Path("/nowhere"), COMPONENT, lambda _: None)
    (line,) = [line.strip() for line in text.splitlines() if "retry-on" in line]
    assert line == "retry-on conn-failure"


@pytest.mark.parametrize(("code", "number"), [(502, -1006), (503, -1008), (504, -1007)])
def test_its_own_answers_are_json_with_a_right_length(code: int, number: int) -> None:
    head, _, body = error_file(code).partition("\r\n\r\n")
    assert json.loads(body)["code"] == number
    assert f"Content-Length: {len(body)}" in head
    assert ("not applied" in body) is (code == 503)
    assert ("unknown" in body) is (code != 503)
