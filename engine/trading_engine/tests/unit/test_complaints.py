"""A problem that stays is told once."""

from __future__ import annotations

import logging

import pytest

from trading_engine.complaints import Complaints


def test_a_problem_is_told_when_it_begins_changes_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    complaints = Complaints(logging.getLogger("test"))
    complaints.over("shard-1")
    for _ in range(3):
        complaints.about("shard-1", "not prepared")
        complaints.about("shard-2", "not prepared")
    complaints.about("shard-1", "refused", then="later")
    complaints.over("shard-1")
    complaints.over("shard-1")
    complaints.about("shard-1", "refused")
    assert [record.getMessage() for record in caplog.records] == [
        "shard-1: not prepared; trying again",
        "shard-2: not prepared; trying again",
        "shard-1: refused; later",
        "shard-1: well again",
        "shard-1: refused; trying again",
    ]
