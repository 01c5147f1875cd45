"""Order routes of the ordinary server: the order entry of the fast lane, the same answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from trading_backend.bodies import read_body
from trading_backend.order_entry import HttpAnswer, OrderEntry, error_body
from trading_backend.routes import answers
from trading_backend.routes.order_parameters import ORDER, TARGET, documented

TOO_LARGE = HttpAnswer(
    413,
    [(b"content-type", b"application/json"), (b"connection", b"close")],
    error_body(-1101, "Request body is too large; see limits.bodyBytesMax."),
)


async def serve_order(entry: OrderEntry, request: Request) -> Response:
    """Read the request as it was sent, ask order entry, answer."""
    body, scope = await read_body(request, entry.body_bytes_max), request.scope
    if body is None:
        answer = TOO_LARGE
    else:
        answer = await entry.handle(
            request.method, scope["path"], scope["query_string"], body, scope["headers"]
        )
    response = Response(answer.body, answer.status)
    response.raw_headers = [
        *(h for h in answer.headers if h[0] != b"content-length"),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    return response


def order_routes(entry: OrderEntry) -> APIRouter:
    """The routes for single orders."""
    router = APIRouter(prefix="/api/v3", tags=["orders"])

    async def serve(request: Request) -> Response:
        return await serve_order(entry, request)

    def add(method: str, path: str, summary: str, extra: dict[str, Any]) -> None:
        router.add_api_route(
            path, serve, methods=[method], summary=summary, openapi_extra=extra,
            response_class=Response, operation_id=f"{method.lower()}{path.replace('/', '_')}",
        )  # fmt: skip

    replace = (
        *ORDER, "cancelReplaceMode", "cancelOrderId", "cancelOrigClientOrderId",
        "cancelNewClientOrderId",
    )  # fmt: skip
    show = answers.content
    add("POST", "/order", "New order", documented(ORDER, show(answers.PLACED)))
    add("DELETE", "/order", "Cancel an order",
        documented((*TARGET, "newClientOrderId"), show(answers.CANCELLED)))  # fmt: skip
    add("GET", "/order", "An order's state, after all commands before it",
        documented(TARGET, show(answers.ORDER)))  # fmt: skip
    add("POST", "/order/test", "Check an order, place nothing",
        documented((*ORDER, "computeCommissionRates"), show({})))  # fmt: skip
    add("POST", "/order/cancelReplace", "Cancel an order and place another, in one step",
        documented(replace, show(answers.REPLACED)))  # fmt: skip
    add("PUT", "/order/amend/keepPriority", "Reduce an order's quantity at its place in the queue",
        documented((*TARGET, "newQty"), show(answers.AMENDED)))  # fmt: skip
    add("GET", "/openOrders", "Open orders of one symbol, or of all",
        documented(("symbol",), show([answers.ORDER]), optional=frozenset({"symbol"})),
    )  # fmt: skip
    add("DELETE", "/openOrders", "Cancel all open orders of a symbol",
        documented(("symbol",), show([answers.CANCELLED])))  # fmt: skip
    return router
