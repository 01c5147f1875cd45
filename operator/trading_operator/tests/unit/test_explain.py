"""`tradingctl explain` and what `tradingctl plan` says of load, in a person's words."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_contract.autoscaling_status import (
    AutoscalingStatus,
    BalanceStatus,
    BlockerStatus,
)
from trading_contract.errors import UserError
from trading_contract.status import ClusterStatus, ConditionType
from trading_operator.cli.__main__ import parser
from trading_operator.cli.explain import NOTHING, explain, text, time_of
from trading_operator.cli.status import render_text
from trading_operator.planner.autoscale.limits import limit_of
from trading_operator.planner.preview import preview
from trading_operator.planner.scaling.signals import Tier
from trading_operator.tests.builders import NOW
from trading_operator.tests.loaded import ON, LoadedScene, scaling

NIGHT = datetime(2027, 1, 15, 22, 30, tzinfo=UTC)


def grown(**policy: Any) -> LoadedScene:
    """One partition was full; a second one came two looks later."""
    scene = LoadedScene(scaling("partitions", rebalancing="dryRun", policy={**ON, **policy}))
    scene.used["partition-0"] = 0.8
    scene.looks(4)
    return scene


def words(told: AutoscalingStatus, *tiers: Tier, at_seconds: float | None = None) -> str:
    """All lines."""
    return "\n".join(text(told, list(tiers or Tier), at_seconds))


def test_the_answer_names_what_holds_now_and_the_last_change_with_its_effect() -> None:
    scene = grown()
    scene.used.clear()
    scene.looks(150)
    told = words(scene.told, Tier.PARTITIONS)
    assert "partitions: 2, unchanged" in told
    assert "- NotLowLongEnough" in told or "- WouldNotFit" in told
    assert "Before that, partitions: 1 become 2, more" in told
    assert "there is more load than they should carry" in told
    assert "Observed at the same load" in told
    assert "Predictions of 1 changes were off by" in told
    assert "rebalancing: " in told
    assert "backends" not in told


def test_each_tier_is_told_also_one_that_is_off() -> None:
    told = words(grown().told)
    assert "backends: 1, unchanged" in told
    assert "mode is off: the count of the specification holds" in told


def test_at_a_time_the_decision_in_force_then_is_told() -> None:
    scene = grown()
    before = words(scene.told, Tier.PARTITIONS, at_seconds=NOW + 6)
    after = words(scene.told, Tier.PARTITIONS, at_seconds=NOW + 11)
    assert "partitions: 1, unchanged" in before
    assert "partitions: 1 become 2, more" in after
    long_ago = words(scene.told, Tier.PARTITIONS, at_seconds=NOW - 60)
    assert "the history does not reach back" in long_ago


def test_what_stands_in_the_way_is_told() -> None:
    assert "AtMax: 2 would be more than max 1" in words(grown(max=1).told, Tier.PARTITIONS)


def test_a_limit_that_load_meets_is_a_condition_with_the_way_out() -> None:
    def limited(scene: LoadedScene) -> tuple[str, str, str]:
        found = scene.previous.conditions if scene.previous else ()
        (one,) = [each for each in found if each.type is ConditionType.AUTOSCALING_LIMITED]
        return one.status, one.reason, one.message

    assert limited(grown())[:2] == ("False", "Reconciled")
    status, reason, message = limited(grown(max=1))
    assert (status, reason) == ("True", "AtMax")
    assert "raise autoscaling.partitions.max" in message


def test_a_budget_and_a_symbol_that_fills_a_partition_are_limits_too() -> None:
    told = grown(max=1).told
    blocker = BlockerStatus(reason="CostBudget", message="too dear")
    tiers = []
    for tier in told.tiers:
        assert tier.decision is not None
        decision = tier.decision.model_copy(update={"blocked_by": (blocker,)})
        tiers.append(tier.model_copy(update={"decision": decision}))
    dear = limit_of(told.model_copy(update={"tiers": tuple(tiers)}))
    assert dear == (
        "CostBudget",
        "backends: too dear: raise autoscaling.budget.costPerMonthMax",
    )
    balance = BalanceStatus(at="", reason="Balanced", unsplittable_symbols=("BTCUSDT",))
    hot = limit_of(told.model_copy(update={"tiers": (), "balance": balance}))
    assert hot is not None
    assert hot[0] == "SymbolCannotBeSplit"
    assert hot[1].startswith("BTCUSDT: ")
    assert limit_of(told.model_copy(update={"tiers": (), "balance": None})) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("2027-01-15T14:30:00Z", 1_800_023_400),
        ("2027-01-15 14:30", 1_800_023_400),
        ("14:30", 1_800_023_400),
        ("14:30:05", 1_800_023_405),
    ],
)
def test_times_are_read_as_utc(said: str, seconds: int) -> None:
    assert time_of(said, NIGHT) == seconds


def test_what_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(UserError, match=r"--at: 'noon' is no time; write 2027-01-15T22:30:00Z"):
        time_of("noon", NIGHT)


def test_a_cluster_on_kubernetes_is_explained_from_what_kubectl_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = ClusterStatus(autoscaling=grown().told)
    document = yaml.safe_dump({"status": json.loads(status.model_dump_json(by_alias=True))})
    path = tmp_path / "cluster.yaml"
    path.write_text(document)
    assert explain(parser().parse_args(["explain", "-f", str(path), "--tier", "partitions"])) == 0
    from_file = capsys.readouterr().out
    assert "partitions: " in from_file
    monkeypatch.setattr("sys.stdin", io.StringIO(document))
    assert explain(parser().parse_args(["explain", "-f", "-", "--tier", "partitions"])) == 0
    assert capsys.readouterr().out == from_file
    assert explain(parser().parse_args(["explain", "-f", str(path), "-o", "json"])) == 0
    assert json.loads(capsys.readouterr().out)["tiers"][1]["count"] == 2


def test_a_cluster_without_autoscaling_is_told_how_to_try_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("status: {}\n")
    assert explain(parser().parse_args(["explain", "-f", str(path)])) == 0
    assert capsys.readouterr().out.strip() == NOTHING


@pytest.mark.parametrize("content", ["[]", "status: {autoscaling: {tiers: 3}}", "a: b: c"])
def test_a_file_that_is_no_cluster_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"--file: .* holds no TradingCluster with its status"):
        explain(parser().parse_args(["explain", "-f", str(path)]))


def test_the_status_has_a_line_for_each_tier() -> None:
    status = ClusterStatus(autoscaling=grown(max=1).told)
    lines = [line.split() for line in render_text("demo", status).splitlines()]
    (row,) = [line for line in lines if line[:1] == ["partitions"]]
    assert row == ["partitions", "on", "1", "Hold", "LoadAboveTarget", "AtMax"]
    (row,) = [line for line in lines if line[:1] == ["redis"]]
    assert row == ["redis", "off", "3", "Hold", "SwitchedOff", "-"]


def test_a_preview_keeps_the_counts_in_effect_and_decides_nothing_about_load() -> None:
    scene = grown()
    assert preview(scene.wanted, scene.world, scene.now, scene.previous) == ()
    names = [a.describe() for a in preview(scene.wanted, scene.world, scene.now)]
    assert names == []  # what is there is kept, too, when there is no status
