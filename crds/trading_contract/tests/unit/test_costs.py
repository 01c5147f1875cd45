"""Estimated costs follow from the price table and from what processes ask for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from trading_contract.costs import Counts, cost_per_month, processes, unit_costs
from trading_contract.manifest import load_cluster
from trading_contract.policies import Window
from trading_contract.tests.builders import cluster_text

SCALING = Path(__file__).parents[4] / "docs" / "scaling.md"
PRICES = "prices: {cpuCore: '20', memoryGibibyte: '4', storageGibibyte: '0.1'}"


def test_every_process_and_disk_costs() -> None:
    text = "shards: {count: 2, members: 2}, redis: {replicasPerMaster: 1}, " + PRICES
    spec = load_cluster(cluster_text(text)).spec
    assert unit_costs(spec) == {
        "backends": Decimal("7"),  # 0.25 cores, 0.5 GiB
        "partitions": Decimal("7"),
        "shards": Decimal("20"),  # two members with 1 GiB and a disk of 10 GiB each
        "redis": Decimal("4"),  # master and follower
    }
    assert cost_per_month(spec, Counts.of(spec)) == Decimal("66.00")
    assert processes(spec, Counts.of(spec)) == 12


def test_without_prices_no_cost_is_known() -> None:
    spec = load_cluster(cluster_text("")).spec
    assert cost_per_month(spec, Counts.of(spec)) is None


def test_the_least_counts_are_the_mins_of_what_scales() -> None:
    text = "partitions: {count: 4}, autoscaling: {partitions: {mode: on, min: 2}, redis: {min: 5}}"
    assert Counts.least(load_cluster(cluster_text(text)).spec) == Counts(1, 2, 1, 3)


def test_a_budget_that_covers_the_least_is_taken() -> None:
    text = PRICES + ", autoscaling: {budget: {costPerMonthMax: '29', processesMax: 6}}"
    spec = load_cluster(cluster_text(text.replace("'0.1'", "'0.0'"))).spec
    assert cost_per_month(spec, Counts.of(spec)) == Decimal("29.00")
    assert spec.autoscaling.budget.processes_max == 6


def test_a_window_may_reach_beyond_trading_hours() -> None:
    trading = Window(days=("Mon",), from_time="08:00", to_time="18:00")
    assert not Window(days=("Mon",), from_time="07:30", to_time="18:30").leaves_room((trading,))
    assert Window(days=("Mon",), from_time="07:29", to_time="18:30").leaves_room((trading,))
    assert Window(days=("Tue",), from_time="09:00", to_time="10:00").leaves_room((trading,))


def test_the_margin_of_a_window_runs_over_into_the_next_week() -> None:
    sunday = Window(days=("Sun",), from_time="22:00", to_time="23:59")
    assert 28 in sunday.minutes(30)
    assert 28 not in sunday.minutes()
    for margin in (0, 30):
        for minute in range(0, 7 * 24 * 60, 7):
            assert sunday.is_open_at(minute, margin) == (minute in sunday.minutes(margin))


# Stage: backends, partitions, shards, members, masters, followers, CPU, disk.
STAGES = {
    1: (2, 1, 1, 1, 3, 0, "500m", "10Gi"),
    2: (8, 1, 1, 2, 3, 0, "1", "50Gi"),
    3: (16, 2, 3, 2, 3, 1, "1", "100Gi"),
    4: (24, 4, 4, 2, 6, 1, "2", "200Gi"),
    5: (48, 8, 12, 3, 6, 1, "2", "500Gi"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_documented_costs_of_the_stages_are_those_computed(stage: int) -> None:
    backends, partitions, shards, members, masters, followers, cpu, disk = STAGES[stage]
    database = "{cpu: 500m, memory: 1Gi}" if stage == 1 else '{cpu: "2", memory: 8Gi}'
    spec = load_cluster(
        cluster_text(
            f'backends: {{replicas: {backends}, resources: {{cpu: "{cpu}", memory: 1Gi}}}}, '
            f'partitions: {{count: {partitions}, resources: {{cpu: "{cpu}", memory: 4Gi}}}}, '
            f"shards: {{count: {shards}, members: {members}, storage: {{size: {disk}}}, "
            f"resources: {database}}}, "
            f"redis: {{masters: {masters}, replicasPerMaster: {followers}}}, "
            "prices: {cpuCore: '25', memoryGibibyte: '3.50', storageGibibyte: '0.10'}"
        )
    ).spec
    counts = Counts.of(spec)
    row = (
        f"| {stage} | {backends} | {partitions} | {shards} x {members} | "
        f"{masters} + {masters * followers} | {processes(spec, counts)} | "
        f"{cost_per_month(spec, counts)} |"
    )
    assert row in SCALING.read_text(encoding="utf-8")
