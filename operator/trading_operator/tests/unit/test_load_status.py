"""What the status says of the load: rounded, bounded, seldom written, unknown told as such."""

from __future__ import annotations

from trading_contract.load import PartitionLoad
from trading_contract.load_status import PARTS_MAX, ClusterLoadStatus
from trading_operator.cli.load_table import load_tables
from trading_operator.planner.load_status import SAME_SECONDS_MAX, load_status, seldom
from trading_operator.planner.scaling.observed_load import ClusterLoad, LoadAnswer, look_at_load
from trading_operator.planner.scaling.signals import Tier
from trading_operator.tests import loads

START = 1_700_000_000.0
OFTEN = 30.0


def worked(per_second: int, parts: int = 1) -> ClusterLoad:
    """Two looks, ten seconds apart, at partitions that do this much each, and a silent one."""
    names = [f"partition-{number}" for number in range(parts)]
    expected = {Tier.PARTITIONS: {*names, "partition-silent"}}

    def told(name: str, number: int, seconds: float) -> PartitionLoad:
        done = int(per_second * seconds) + number * (seconds > 0)
        return loads.partition(
            name, cpu_seconds_total=done / 1000, open_orders=12_345,
            commits=(loads.commits("shard-0", commands_total=done),),
            slots=(loads.slot(
                number, first=f"A{number:04}", past=f"A{number + 1:04}", commands_total=done,
                busy_seconds_total=done / 2000, open_orders=12_345,
                hottest=(loads.hot("COLD", 0.0), loads.hot("HOT", done / 2000)),
            ),),
        )  # fmt: skip

    before = None
    for seconds in (0.0, 10.0):
        answers = [
            LoadAnswer(name, START + seconds, told(name, number, seconds))
            for number, name in enumerate(names)
        ]
        before = look_at_load(before, answers, expected, START + seconds)
    assert before is not None
    return before


def test_figures_are_rounded_and_who_is_silent_is_unknown() -> None:
    told = load_status(worked(1234))
    silent, busy = told.partitions
    assert (silent.name, silent.per_second, silent.cpu_percent) == ("partition-silent", None, None)
    assert silent.unknown.startswith("Missing")
    assert (busy.name, busy.per_second, busy.cpu_percent, busy.unknown) == (
        "partition-0", 1200, 120, "",
    )  # fmt: skip
    assert (busy.slots, busy.open_orders, busy.queued) == (1, 12_000, 0)
    (slot,) = told.slots
    assert (slot.first, slot.partition, slot.cpu_percent) == ("A0000", "partition-0", 120)
    assert slot.hottest == ("HOT",)
    assert told.observed_at == "2023-11-14T22:13:30Z"
    assert told.end_to_end is None  # no replica was asked


def test_it_is_bounded_and_the_busiest_are_told() -> None:
    told = load_status(worked(1000, parts=200))
    assert len(told.partitions) == len(told.slots) == PARTS_MAX
    assert told.partitions[0].unknown
    assert told.partitions[1].name == "partition-199"
    assert told.slots[0].first == "A0199"
    assert len(told.model_dump_json(by_alias=True)) < 64 << 10


def said(load: ClusterLoad, at: float) -> ClusterLoadStatus:
    """What was said of it at that time."""
    fresh = seldom(load, None, at, OFTEN)
    assert fresh is not None
    return fresh


def test_what_was_said_holds_for_a_while() -> None:
    before = said(worked(1000), START + 10)
    other = worked(5000)
    assert seldom(other, before, START + 10 + OFTEN - 1, OFTEN) is before
    assert seldom(other, before, START + 10 + OFTEN, OFTEN) == load_status(other)
    assert seldom(None, before, START + 1000, OFTEN) is before  # its time tells its age


def test_nothing_new_is_written_seldom_and_small_changes_are_nothing_new() -> None:
    before = said(worked(1000), START + 10)
    same = worked(1001)
    assert seldom(same, before, START + 10 + OFTEN, OFTEN) is before
    later = seldom(same, before, START + 10 + SAME_SECONDS_MAX, OFTEN)
    assert later is not before


def test_a_look_without_any_answer_says_nothing() -> None:
    nobody = look_at_load(None, (), {Tier.SHARDS: {"shard-0"}}, START)
    assert seldom(nobody, None, START, OFTEN) is None


def test_a_clock_that_was_set_back_does_not_silence_it() -> None:
    before = said(worked(1000), START + 10)
    assert seldom(worked(9000), before, START - 5000, OFTEN) != before


def test_people_see_figures_and_what_is_unknown() -> None:
    text = load_tables(load_status(worked(1234)))
    assert "partition-silent  ?" in text
    assert "Missing: it gave no reading" in text
    assert "HOT" in text
    assert text.endswith("load as of 2023-11-14T22:13:30Z")
