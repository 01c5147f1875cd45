"""`POST /api/v3/batchOrders`: many orders in one signed request, one result per item in order."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from trading_backend.order_entry import OrderEntry
from trading_backend.routes.answers import PLACED, each_or_refused
from trading_backend.routes.order_parameters import documented
from trading_backend.routes.orders import serve_order

DESCRIPTION = """
Up to `limits.batchOrdersMax` orders of any symbols. Three forms: the parameter `batchOrders` (a
JSON array, in the query or in a form body), a body of type `application/json` (the array itself),
or `application/x-ndjson` (one order per line); in the last two `timestamp` and `signature` are in
the query, and the signature covers query and body. The answer is an array: a new order's answer or
`{"code", "msg"}` for each item. One item's failure fails nothing else.
"""


def batch_order_routes(entry: OrderEntry) -> APIRouter:
    """The route for batches."""
    router = APIRouter(prefix="/api/v3", tags=["orders"])

    async def serve(request: Request) -> Response:
        return await serve_order(entry, request)

    router.add_api_route(
        "/batchOrders", serve, methods=["POST"], summary="New orders in a batch",
        description=DESCRIPTION, response_class=Response, operation_id="post_batch_orders",
        openapi_extra=documented(("batchOrders",), each_or_refused(PLACED)),
    )  # fmt: skip
    return router
