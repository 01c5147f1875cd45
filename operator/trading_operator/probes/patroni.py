"""Asks Patroni on each member of a shard what it is: the primary, or who follows how closely.

Each is asked for itself. `GET /cluster` of one would tell of all, but as of 4.1.5 it makes that
member forget which version of the leader's lock it has judged: asked in the middle of an election
it may take a lock that another one holds, and both are primaries of the same timeline for a second
(patroni/patroni issue 3718). `PATCH /config` and `POST /switchover` do so as well; they are for
shards that have a primary.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from trading_operator.planner.kubernetes.seen import MemberSeen

PORT = 8008
TIMEOUT_SECONDS = 2.0
PRIMARIES = frozenset({"primary", "master"})
# What Patroni says of those that a commit waits for.
SYNCHRONOUS = ("sync_standby", "quorum_standby")
SERVING = "running"


async def read_member(name: str, host: str) -> MemberSeen | None:
    """The member on `host` as it tells itself; None when it does not answer in time."""
    answer = await _answer(host, "/patroni")
    return None if answer is None else parse_member(name, answer)


async def read_config(host: str) -> dict[str, Any] | None:
    """Patroni's dynamic configuration; None when it does not answer in time."""
    return await _answer(host, "/config")


async def _answer(host: str, path: str) -> dict[str, Any] | None:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{PORT}{path}") as response,
        ):
            answer = await response.json(content_type=None)
    except (TimeoutError, OSError, ValueError, aiohttp.ClientError):
        return None
    return answer if response.status == HTTPStatus.OK and isinstance(answer, dict) else None


def parse_member(name: str, answer: Mapping[str, Any]) -> MemberSeen:
    """The answer of `GET /patroni`; what it does not tell is not so."""
    serves = answer.get("state") == SERVING
    is_primary = serves and answer.get("role") in PRIMARIES
    is_streaming = serves and answer.get("replication_state") == "streaming"
    return MemberSeen(
        name=name,
        is_leader=is_primary,
        is_streaming=is_streaming,
        is_synchronous=any(answer.get(word) is True for word in SYNCHRONOUS),
        follows_nobody=serves and not (is_primary or "replication_state" in answer),
    )
