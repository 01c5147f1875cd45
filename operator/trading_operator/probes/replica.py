"""How far a replica reaches, also as seen through a load balancer before it."""

from __future__ import annotations

from trading_operator.planner.observed import Reach
from trading_operator.probes.http import OK, http_status


async def ask_replica(host: str, port: int) -> Reach:
    """Its own answer. One of an older version, without `/readyz/slots`, reaches all or none."""
    status = await http_status(host, port, "/readyz")
    if status is None:
        return Reach.NOTHING
    if status == OK:
        return Reach.PARTITIONS
    reaches_slots = await http_status(host, port, "/readyz/slots") == OK
    return Reach.SLOTS if reaches_slots else Reach.REPLICA
