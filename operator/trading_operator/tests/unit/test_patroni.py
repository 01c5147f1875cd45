"""What Patroni answers about one member, in its words of 4.1, and what is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trading_operator.planner.kubernetes.seen import MemberSeen
from trading_operator.probes.patroni import parse_member

NAME = "demo-shard-0-1"
STREAMS = {"state": "running", "role": "replica", "replication_state": "streaming"}


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ({"state": "running", "role": "primary", "timeline": 3}, {"is_leader": True}),
        ({"state": "running", "role": "master"}, {"is_leader": True}),
        (STREAMS, {"is_streaming": True}),
        ({**STREAMS, "sync_standby": True}, {"is_streaming": True, "is_synchronous": True}),
        ({**STREAMS, "quorum_standby": True}, {"is_streaming": True, "is_synchronous": True}),
        ({"state": "running", "role": "replica"}, {"follows_nobody": True}),
        ({**STREAMS, "replication_state": "in archive recovery"}, {}),
        ({"state": "starting", "role": "replica"}, {}),
        ({"state": "stopped", "role": "primary"}, {}),  # what it was, not what it is
        ({"state": "unknown", "role": "primary"}, {}),
        ({}, {}),
    ],
)
def test_a_member_is_what_it_says(answer: dict[str, Any], seen: dict[str, Any]) -> None:
    nothing = MemberSeen(NAME, is_leader=False, is_streaming=False)
    assert parse_member(NAME, answer) == replace(nothing, **seen)
