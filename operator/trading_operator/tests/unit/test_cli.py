"""The command line: what it refuses, in one line with the way out, and what it prints."""

from __future__ import annotations

import io
import json
import socket
import sys
from pathlib import Path

import pytest

from trading_contract.status import ClusterStatus, Condition, ConditionType, Phase, ProcessStatus
from trading_operator.cli.__main__ import main
from trading_operator.cli.status import current_status, render_json, render_text
from trading_operator.substrates.processes.keepers import SUPERVISOR, take_keeper_lock
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.store import UP, Store
from trading_operator.tests.builders import cluster, converged, planned

FILE = """\
apiVersion: hft.trading/v1alpha1
kind: TradingCluster
metadata: {name: tested}
spec:
  symbols: [{name: BTCUSDT}]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRADINGCTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tradingctl", *words])
    return main()


def stored(home: Path, name: str = "tested") -> Layout:
    """A data folder in which nothing runs."""
    layout = Layout(home / name)
    layout.make()
    store = Store(layout)
    store.make_secrets()
    store.replace(cluster())
    return layout


@pytest.mark.parametrize(
    ("addition", "line"),
    [
        ("  partitions: {count: 0}", "spec.partitions.count"),
        ("  partitions: {cuont: 1}", "spec.partitions.cuont: unknown field"),
        ("  shards: {members: 2}", "spec.shards.members"),
        ("  redis: {masters: 2}", "spec.redis.masters"),
        ("  placement: [{range: '..M'}]", "placement: nothing covers"),
        ("  placement: [{range: '..', shard: 7}]", "placement.0.shard"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_the_field(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    addition: str, line: str,
) -> None:  # fmt: skip
    path = home.parent / "bad.yaml"
    path.write_text(f"{FILE}{addition}\n")
    assert run(monkeypatch, "up", "-f", str(path)) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert line in errors[0]
    assert not home.exists()


def test_a_taken_port_is_refused_before_anything_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = home.parent / "port.yaml"
        path.write_text(f"{FILE}  exposure: {{port: {port}}}\n")
        assert run(monkeypatch, "up", "-f", str(path)) == 2
    assert "spec.exposure.port" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("command", ["up", "apply"])
def test_a_port_that_another_program_took_while_the_cluster_was_down_is_told_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    layout = stored(home)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        layout.ports_file.write_text(json.dumps({"load-balancer": port}))
        manifest = json.loads(layout.cluster_file.read_text())
        manifest["spec"]["exposure"] = {"port": port}
        path = home.parent / "port.yaml"
        path.write_text(json.dumps(manifest))
        assert run(monkeypatch, command, "-f", str(path)) == 2
    assert f"spec.exposure.port: {port} is in use" in capsys.readouterr().err
    assert Store(layout).wish() is None


def test_data_of_another_version_is_refused_before_anything_is_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = stored(home)
    data = layout.shard_data("shard-0")
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    assert run(monkeypatch, "up", "-f", str(layout.cluster_file)) == 2
    told = capsys.readouterr().err
    assert f"shard-0: the data folder {data} was made by PostgreSQL 9, installed is" in told
    assert "pg_upgrade" in told
    assert Store(layout).wish() is None


def test_a_data_folder_that_no_file_system_makes_is_refused_with_the_way_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home.parent / "good.yaml"
    path.write_text(FILE)
    assert run(monkeypatch, "up", "-f", str(path), "--data-dir", "/proc/x") == 2
    told = capsys.readouterr().err
    assert "--data-dir: /proc/x cannot be made" in told
    assert "choose another place" in told
    assert not home.exists()


def test_plan_of_a_new_cluster_lists_every_step_and_makes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home.parent / "good.yaml"
    path.write_text(FILE)
    assert run(monkeypatch, "plan", "-f", str(path), "-o", "json") == 0
    actions = json.loads(capsys.readouterr().out)["actions"]
    assert {"subject", "action", "reason"} == set(actions[0])
    assert "start partition-0" in [each["action"] for each in actions]
    assert not home.exists()


def test_keys_are_created_listed_without_secrets_and_revoked(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = stored(home)
    assert run(monkeypatch, "keys", "create", "alice", "--scopes", "read,trade", "-o", "json") == 0
    made = json.loads(capsys.readouterr().out)
    assert len(made["apiKey"]) == len(made["secret"]) == 64
    assert made["account"] == 1
    assert layout.keys_file.stat().st_mode & 0o777 == 0o600
    assert run(monkeypatch, "keys", "create", "alice") == 2
    assert run(monkeypatch, "keys", "create", "bob", "--scopes", "read", "-o", "json") == 0
    capsys.readouterr()
    assert run(monkeypatch, "keys", "list") == 0
    listed = capsys.readouterr().out
    assert "alice" in listed
    assert made["secret"] not in listed
    assert run(monkeypatch, "keys", "revoke", "alice") == 0
    assert run(monkeypatch, "keys", "revoke", "alice") == 2
    assert run(monkeypatch, "keys", "create", "carol", "--scopes", "fly") == 2
    assert "--scopes" in capsys.readouterr().err


def test_accounts_are_not_reused(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(home)
    accounts = []
    for _ in range(2):
        run(monkeypatch, "keys", "create", "alice", "-o", "json")
        accounts.append(json.loads(capsys.readouterr().out)["account"])
        run(monkeypatch, "keys", "revoke", "alice")
        capsys.readouterr()
    assert accounts == [1, 2]


def test_purge_needs_yes_when_nobody_can_be_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = stored(home)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert run(monkeypatch, "down", "--purge") == 2
    assert "--yes" in capsys.readouterr().err
    assert layout.cluster_file.exists()
    assert run(monkeypatch, "down", "--purge", "--yes") == 0
    assert not layout.root.exists()


def test_several_clusters_must_be_told_apart(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(home, "one")
    stored(home, "two")
    assert run(monkeypatch, "status") == 2
    assert "--name: one, two" in capsys.readouterr().err
    assert run(monkeypatch, "status", "--name", "two") == 0


def test_apply_of_the_same_file_is_unchanged(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = stored(home)
    path = home.parent / "same.yaml"
    path.write_text(FILE.replace("name: BTCUSDT}", "name: " + "}, {name: ".join(
        symbol.name for symbol in cluster().spec.symbols) + "}"))  # fmt: skip
    assert run(monkeypatch, "apply", "-f", str(path)) == 0
    assert "unchanged" in capsys.readouterr().out
    assert run(monkeypatch, "apply", "-f", str(path)) == 0
    path.write_text(path.read_text() + "  backends: {replicas: 2}\n")
    assert run(monkeypatch, "apply", "-f", str(path)) == 0
    assert "configured" in capsys.readouterr().out
    after = Store(layout).cluster()
    assert after is not None
    assert after.metadata.generation == 2


def test_the_json_of_a_status_has_the_fixed_face() -> None:
    told = json.loads(render_json(planned(cluster(), converged(cluster())).status))
    assert {"phase", "conditions", "endpoints", "processes", "slots"} <= set(told)
    assert set(told["endpoints"]) == {"rest", "websocket"}
    assert set(told["processes"][0]) == {"name", "role", "pid", "port", "state"}
    assert set(told["slots"][0]) == {"first", "past", "partition", "shard", "epoch"}
    condition = {"type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"}
    assert set(told["conditions"][0]) == condition


def test_the_table_names_every_process() -> None:
    status = planned(cluster(), converged(cluster())).status
    text = render_text("tested", status)
    assert all(process.name in text for process in status.processes)


def test_a_status_is_corrected_by_what_can_be_seen_now(home: Path) -> None:
    layout = stored(home)
    store = Store(layout)
    store.set_wish(UP)
    ready = Condition(type=ConditionType.READY, status="True", reason="Reconciled",
                      observed_generation=1)  # fmt: skip
    gone = ProcessStatus(name="replica-0", role="replica", pid=2**22 + 1, port=1, state="ready")
    status = ClusterStatus(
        phase=Phase.RUNNING, observed_generation=1, conditions=(ready,), processes=(gone,)
    )
    store.report(status)
    without = {each.type: each for each in current_status(layout).conditions}
    assert without[ConditionType.READY].reason == "SupervisorDown"
    assert take_keeper_lock(layout, SUPERVISOR) is not None
    told = current_status(layout)
    found = {each.type: each for each in told.conditions}
    assert (found[ConditionType.READY].status, found[ConditionType.READY].reason) == (
        "False", "ComponentFailed",
    )  # fmt: skip
    assert told.processes[0].state == "down"
