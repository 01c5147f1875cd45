"""The FastAPI application of a replica: routes, and one place where errors become answers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from trading_backend.errors import ApiError
from trading_backend.last_answers import LastAnswers
from trading_backend.replica import Replica
from trading_backend.routes.account import account_routes
from trading_backend.routes.batch_orders import batch_order_routes
from trading_backend.routes.general import general_routes
from trading_backend.routes.health import health_routes
from trading_backend.routes.market_data import market_data_routes
from trading_backend.routes.orders import order_routes
from trading_backend.routes.streams import stream_routes
from trading_backend.routes.tickers import ticker_routes
from trading_backend.user_streams import UserStreams
from trading_backend.weights import UsedWeight
from trading_contract.codes import Refusal
from trading_contract.errors import TradingError, WorldError

logger = logging.getLogger(__name__)


def create_app(replica: Replica) -> FastAPI:
    """The application; its lifespan starts and ends the replica."""
    user_streams = UserStreams(replica)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await replica.start()
        try:
            yield
        finally:
            await user_streams.close()
            await replica.close()

    app = FastAPI(
        title="tradingcluster",
        description="Order entry and market data of one exchange, in the shape of Binance spot.",
        version="0.1.0",
        lifespan=lifespan,
    )
    replica.entry.user_streams = user_streams.handle
    app.include_router(general_routes(replica))
    app.include_router(market_data_routes(replica))
    app.include_router(ticker_routes(replica))
    app.include_router(order_routes(replica.entry))
    app.include_router(batch_order_routes(replica.entry))
    app.include_router(account_routes(replica))
    app.include_router(stream_routes(replica))
    app.include_router(health_routes(replica))
    app.add_exception_handler(TradingError, _on_trading_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_any_error)
    app.add_middleware(UsedWeight)
    app.add_middleware(LastAnswers, entry=replica.entry)
    return app


def _answer(problem: ApiError) -> JSONResponse:
    headers = {}
    if problem.retry_after_seconds:
        headers["Retry-After"] = str(problem.retry_after_seconds)
    return JSONResponse(
        {"code": problem.code, "msg": problem.message}, problem.status, headers=headers
    )


async def _on_trading_error(request: Request, problem: Exception) -> JSONResponse:
    if isinstance(problem, ApiError):
        return _answer(problem)
    if isinstance(problem, WorldError):
        logger.warning("%s: %s", request.url.path, problem)
        return _answer(ApiError(Refusal.BUSY, retry_after_seconds=1))
    return await _on_any_error(request, problem)


async def _on_disconnect(request: Request, _: Exception) -> JSONResponse:
    """The client went in the middle of its body: nobody hears this answer, and nothing is amiss."""
    logger.debug("%s: the client went before its request was whole", request.url.path)
    return JSONResponse({"code": -1000, "msg": "The request is not whole."}, 400)


async def _on_any_error(request: Request, problem: Exception) -> JSONResponse:
    logger.error("%s: %s: %s", request.url.path, type(problem).__name__, problem)
    return JSONResponse({"code": -1000, "msg": "An unknown error occurred."}, 500)


async def _on_http_error(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    texts = {404: "No such route.", 405: "This method is not supported on this route."}
    text = texts.get(problem.status_code, str(problem.detail))
    return JSONResponse(
        {"code": -1000, "msg": text}, problem.status_code, headers=dict(problem.headers or {})
    )
