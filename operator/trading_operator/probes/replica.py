"""How far a replica reaches, also as seen through a load balancer before it."""

from __future__ import annotations

import json

from trading_operator.planner.observed import Reach, ReplicaSeen
from trading_operator.probes.http import OK, http_answer, http_status

READY_BYTES_MAX = 1 << 17  # names of thousands of partitions


async def ask_replica(host: str, port: int) -> ReplicaSeen:
    """Its own answer. One of an older version, without `/readyz/slots`, reaches all or none."""
    answer = await http_answer(host, port, "/readyz", READY_BYTES_MAX)
    if answer is None:
        return ReplicaSeen()
    status, body = answer
    if status == OK:
        return ReplicaSeen(Reach.PARTITIONS, _partitions(body))
    reaches_slots = await http_status(host, port, "/readyz/slots") == OK
    return ReplicaSeen(Reach.SLOTS if reaches_slots else Reach.REPLICA, _partitions(body))


def _partitions(body: bytes) -> frozenset[str] | None:
    try:
        names = json.loads(body)["partitions"]
        return frozenset(map(str, names)) if isinstance(names, list) else None
    except (ValueError, KeyError, TypeError):
        return None
