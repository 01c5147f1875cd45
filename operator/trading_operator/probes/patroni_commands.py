"""What Patroni is asked to do. The operator asks; it never promotes anybody itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp

from trading_contract.errors import WorldError
from trading_operator.probes.patroni import PORT

USER = "operator"
SWITCH_SECONDS_MAX = 30.0


async def switch_over(hosts: Sequence[str], leader: str, candidate: str, password: str) -> None:
    """Hand the primary's part over. Raises WorldError with Patroni's answer when it refuses."""
    body = {"leader": leader, "candidate": candidate}
    text = f"switching over from {leader} to {candidate}"
    await _ask("POST", hosts, "/switchover", body, password, text)


async def configure(hosts: Sequence[str], changes: Mapping[str, Any], password: str) -> None:
    """Change Patroni's dynamic configuration. Raises WorldError with its answer."""
    await _ask("PATCH", hosts, "/config", dict(changes), password, "configuring Patroni")


async def _ask(  # noqa: PLR0913, PLR0917 -- one request, spelled out
    method: str, hosts: Sequence[str], path: str, body: dict[str, Any], password: str, what: str
) -> None:
    said = "no member answers"
    timeout = aiohttp.ClientTimeout(total=SWITCH_SECONDS_MAX)
    auth = aiohttp.BasicAuth(USER, password)
    async with aiohttp.ClientSession(timeout=timeout, auth=auth) as session:
        for host in hosts:
            try:
                url = f"http://{host}:{PORT}{path}"
                async with session.request(method, url, json=body) as answer:
                    text = " ".join((await answer.text()).split())[:300]
                    if answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
                        return
                    said = f"{answer.status} {text}"
            except (TimeoutError, OSError, aiohttp.ClientError) as error:
                said = type(error).__name__
    raise WorldError(f"{what}: {said}")
