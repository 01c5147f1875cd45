"""Is this replica alive, and may it get requests."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from trading_backend.replica import Replica

REASONS_MAX = 20


def health_routes(replica: Replica) -> APIRouter:
    """The routes, for probes and the load balancer."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, Any]:
        return {"replica": replica.settings.replica, "revision": replica.topology.revision}

    @router.get("/servez", summary="The replica takes requests, for symbols it can reach")
    async def servez(response: Response) -> dict[str, Any]:
        response.status_code = 503 if replica.draining else 200
        return {"serving": not replica.draining}

    @router.get("/readyz", summary="Every partition is connected and every slot has an owner")
    async def readyz(response: Response) -> dict[str, Any]:
        reasons = ["draining"] if replica.draining else []
        reasons += replica.partitions.missing()
        response.status_code = 503 if reasons else 200
        return {
            "ready": not reasons,
            "reasons": reasons[:REASONS_MAX],
            "revision": replica.topology.revision,
        }

    return router
