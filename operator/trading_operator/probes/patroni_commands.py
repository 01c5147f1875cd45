"""What Patroni is asked to do. The operator asks; it never promotes anybody itself."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import aiohttp

from trading_contract.errors import WorldError
from trading_operator.probes.patroni import PORT

USER = "operator"
SWITCH_SECONDS_MAX = 30.0


async def switch_over(hosts: Sequence[str], leader: str, candidate: str, password: str) -> None:
    """Hand the primary's part over. Raises WorldError with Patroni's answer when it refuses."""
    body = {"leader": leader, "candidate": candidate}
    said = "no member answers"
    timeout = aiohttp.ClientTimeout(total=SWITCH_SECONDS_MAX)
    auth = aiohttp.BasicAuth(USER, password)
    async with aiohttp.ClientSession(timeout=timeout, auth=auth) as session:
        for host in hosts:
            try:
                async with session.post(f"http://{host}:{PORT}/switchover", json=body) as answer:
                    text = " ".join((await answer.text()).split())[:300]
                    if answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
                        return
                    said = f"{answer.status} {text}"
            except (TimeoutError, OSError, aiohttp.ClientError) as error:
                said = type(error).__name__
    raise WorldError(f"switching over from {leader} to {candidate}: {said}")
