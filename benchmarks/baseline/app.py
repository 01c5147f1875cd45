"""FastAPI + pydantic + asyncpg: POST /orders checks an order and inserts it in its own transaction.

No matching, no signature, no idempotency: everything left out makes this side faster, not slower.
Settings come from the environment, as `uvicorn --workers` starts this module in each worker:
BASELINE_DSN, BASELINE_POOL (connections of one worker).
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import StrEnum

import asyncpg
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

TICK, LOT = Decimal("0.01"), Decimal("0.0001")
INSERT = """
INSERT INTO orders (symbol, account, client_id, attributes, price, quantity, executed,
                    executed_quote, prevented, priority, entry_trade_id, body_hash, created_us, seq)
VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0, 0, 0, $7, 0) RETURNING order_id
"""


class Side(StrEnum):
    """BUY or SELL."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """LIMIT or MARKET."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"


class OrderCreate(BaseModel):
    """The body of a request."""

    symbol: str = Field(pattern=r"^[A-Z0-9]{2,16}$")
    side: Side
    order_type: OrderType
    quantity: Decimal = Field(gt=0)
    price: Decimal = Field(gt=0)
    client_order_id: str = Field(min_length=1, max_length=36)


class OrderAnswer(BaseModel):
    """The body of an answer."""

    orderId: int  # noqa: N815 -- the load driver looks for this name
    symbol: str
    clientOrderId: str  # noqa: N815
    status: str
    transactTime: int  # noqa: N815


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One pool per worker."""
    size = int(os.environ["BASELINE_POOL"])
    async with asyncpg.create_pool(
        os.environ["BASELINE_DSN"], min_size=size, max_size=size
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """200 when this worker serves."""
    return {"status": "ok"}


@app.post("/orders")
async def create_order(order: OrderCreate, request: Request) -> OrderAnswer:
    """Answer after the commit."""
    now_us = time.time_ns() // 1000
    attributes = int(order.side is Side.SELL) | int(order.order_type is OrderType.MARKET) << 4
    order_id = await request.app.state.pool.fetchval(
        INSERT, order.symbol, 1, order.client_order_id, attributes,
        int(order.price / TICK), int(order.quantity / LOT), now_us,
    )  # fmt: skip
    return OrderAnswer(
        orderId=order_id, symbol=order.symbol, clientOrderId=order.client_order_id,
        status="NEW", transactTime=now_us // 1000,
    )  # fmt: skip
