"""Is this replica alive, may it get requests, and how much it has to do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from trading_backend.order_lane import FROM_CLIENTS
from trading_backend.replica import Replica
from trading_contract.load import ReplicaLoad
from trading_contract.load_metrics import CONTENT_TYPE, exposition, replica_metrics

REASONS_MAX = 20


def health_routes(replica: Replica) -> APIRouter:
    """The routes, for probes, the load balancer, the operator and Prometheus."""
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
        return answer(response, replica.partitions.missing())

    @router.get("/readyz/slots", summary="Every slot has an owner that is connected")
    async def readyz_slots(response: Response) -> dict[str, Any]:
        return answer(response, replica.partitions.missing_owners())

    def answer(response: Response, missing: list[str]) -> dict[str, Any]:
        reasons = (["draining"] if replica.draining else []) + missing
        response.status_code = 503 if reasons else 200
        return {
            "ready": not reasons,
            "reasons": reasons[:REASONS_MAX],
            "partitions": replica.partitions.connected(),
            "revision": replica.topology.revision,
        }

    # Not in the description of the API: they are not for clients, and connections that the load
    # balancer of one machine hands over do not find them.
    @router.get("/load", include_in_schema=False)
    async def load(request: Request) -> ReplicaLoad:
        refuse_clients(request)
        return replica.load.read()

    @router.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        refuse_clients(request)
        return Response(exposition(replica_metrics(replica.load.read())), media_type=CONTENT_TYPE)

    return router


def refuse_clients(request: Request) -> None:
    """Raises 404 on connections of the load balancer."""
    if request.scope.get("state", {}).get(FROM_CLIENTS):
        raise HTTPException(404)
