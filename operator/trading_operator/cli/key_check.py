"""Waits until the replicas know of a new key, or no longer of a revoked one."""

from __future__ import annotations

import json
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from trading_operator.cli.status import current_status
from trading_operator.substrates.processes.layout import Layout

WAIT_SECONDS_MAX = 5.0
LOOK_SECONDS = 0.1
KEY_REJECTED = -2015


def wait_until_followed(layout: Layout, api_key: str, *, is_known: bool) -> bool:
    """Whether every ready replica came to know the key (or to refuse it) in time.

    A wrong signature is enough to tell: a known key gets another code than an unknown one.
    """
    status = current_status(layout)
    ports = [p.port for p in status.processes if p.role == "replica" and p.state == "ready"]
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while ports:
        ports = [port for port in ports if _knows(port, api_key) is not is_known]
        if ports and time.monotonic() > deadline:
            return False
        if ports:
            time.sleep(LOOK_SECONDS)
    return True


def _knows(port: int, api_key: str) -> bool | None:
    """None when the replica does not answer: then it reads the keys when it starts."""
    query = f"timestamp={time.time_ns() // 1_000_000}&signature={'0' * 64}"
    request = Request(
        f"http://127.0.0.1:{port}/api/v3/account?{query}", headers={"X-MBX-APIKEY": api_key}
    )
    try:
        with urlopen(request, timeout=1):  # noqa: S310
            return True
    except HTTPError as error:
        try:
            return bool(json.loads(error.read()).get("code") != KEY_REJECTED)
        except (ValueError, AttributeError):
            return None
    except (URLError, OSError):
        return None
