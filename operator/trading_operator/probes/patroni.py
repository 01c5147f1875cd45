"""Asks Patroni on a member how its shard is: who leads, and who follows how closely."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import aiohttp

from trading_operator.planner.kubernetes.seen import MemberSeen

PORT = 8008
TIMEOUT_SECONDS = 2.0
# What Patroni calls those that a commit waits for.
SYNCHRONOUS = frozenset({"sync_standby", "quorum_standby"})
LEADERS = frozenset({"leader", "master", "primary", "standby_leader"})


async def read_members(host: str) -> tuple[MemberSeen, ...]:
    """The members as the one on `host` tells them; empty when it does not answer in time."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{PORT}/cluster") as response,
        ):
            return parse_members(await response.json(content_type=None))
    except (TimeoutError, OSError, ValueError, TypeError, KeyError, aiohttp.ClientError):
        return ()


async def read_config(host: str) -> dict[str, Any] | None:
    """Patroni's dynamic configuration; None when it does not answer in time."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{PORT}/config") as response,
        ):
            answer = await response.json(content_type=None)
    except (TimeoutError, OSError, ValueError, aiohttp.ClientError):
        return None
    return answer if response.status == HTTPStatus.OK and isinstance(answer, dict) else None


def parse_members(answer: dict[str, Any]) -> tuple[MemberSeen, ...]:
    """The answer of `GET /cluster`."""
    return tuple(
        MemberSeen(
            name=member["name"],
            is_leader=member["role"] in LEADERS,
            is_streaming=member.get("state") == "streaming",
            is_synchronous=member["role"] in SYNCHRONOUS,
        )
        for member in answer["members"]
    )
