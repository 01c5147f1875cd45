"""Public WebSocket streams: `/ws`, `/ws/<streams>`, `/stream?streams=`."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from trading_backend.market_books import DepthEvent, MarketBook
from trading_backend.replica import Replica, now_ms
from trading_backend.stream_events import (
    agg_trade_event,
    book_ticker_event,
    depth_event,
    partial_depth_event,
    trade_event,
)
from trading_backend.symbol_formats import SymbolFormat

logger = logging.getLogger(__name__)

STREAMS_MAX = 1024
WAITING_MAX = 4096
INBOUND_PER_SECOND_MAX = 50
THROTTLE_SECONDS = 0.1
_STREAM = re.compile(
    r"^([a-z0-9]{2,16})@(trade|aggTrade|bookTicker|depth(?:5|10|20)?)(?:@(0|100|1000)ms)?$"
)


class StreamClient:
    """One connection: its streams and what waits to be sent; `overflow` when it does not read."""

    def __init__(self, replica: Replica, combined: bool) -> None:
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MAX)
        self.overflow = asyncio.Event()
        self.streams: dict[str, Callable[[], None]] = {}
        self._replica = replica
        self._combined = combined

    def subscribe(self, names: list[str]) -> str:
        """Begin to listen; returns what is wrong, or ""."""
        if len(self.streams) + len(names) > STREAMS_MAX:
            return f"more than {STREAMS_MAX} streams on one connection"
        for name in names:
            match = _STREAM.match(name)
            style = self._replica.formats.get(match[1].upper()) if match else None
            if match is None or style is None:
                return f"unknown stream {name[:60]!r}; write btcusdt@depth, @trade or @bookTicker"
        for name in names:
            match = _STREAM.match(name)
            if name not in self.streams and match is not None:
                symbol, kind, pace = match[1].upper(), match[2], match[3]
                listener = _Listener(self, name, self._replica.formats[symbol], kind, pace)
                end = self._replica.feed.listen(symbol, listener)
                self.streams[name] = _both(end, listener.close)
        return ""

    def unsubscribe(self, names: list[str]) -> None:
        """Stop listening."""
        for name in names:
            end = self.streams.pop(name, None)
            if end is not None:
                end()

    def close(self) -> None:
        """Stop listening to everything."""
        self.unsubscribe(list(self.streams))

    def push(self, stream: str, event: dict[str, Any]) -> None:
        """Queue an event; a full queue ends the connection rather than grow."""
        data = {"stream": stream, "data": event} if self._combined else event
        self.answer(msgspec.json.encode(data))

    def answer(self, data: bytes) -> None:
        """Queue a message."""
        try:
            self.waiting.put_nowait(data)
        except asyncio.QueueFull:
            self.overflow.set()


class _Listener:
    """One stream of one client."""

    def __init__(
        self, client: StreamClient, name: str, style: SymbolFormat, kind: str, pace: str | None
    ) -> None:
        self._client = client
        self._name = name
        self._style = style
        self._kind = kind
        self._pace = 0.0 if pace == "0" else THROTTLE_SECONDS
        self._pending: DepthEvent | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._book: MarketBook | None = None
        self._best: object = None

    def close(self) -> None:
        """Forget what waits."""
        if self._timer is not None:
            self._timer.cancel()

    def on_trades(self, symbol: str, trades: list[tuple[int, ...]]) -> None:
        """Trades of the symbol."""
        if self._kind == "trade":
            for trade in trades:
                self._client.push(self._name, trade_event(self._style, trade, now_ms()))
        elif self._kind == "aggTrade":
            for trade in trades:
                self._client.push(self._name, agg_trade_event(self._style, trade, now_ms()))

    def on_depth(self, symbol: str, book: MarketBook, event: DepthEvent) -> None:
        """Levels of the symbol."""
        if self._kind == "bookTicker":
            best = book.best()
            if best != self._best:
                self._best = best
                self._client.push(self._name, book_ticker_event(self._style, book.update_id, best))
        elif self._kind.startswith("depth"):
            self._book = book
            if self._pending is None:
                self._pending = DepthEvent(
                    event.first, event.last, dict(event.bids), dict(event.asks)
                )
            else:
                self._pending.merge(event)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._pace, self._flush)

    def _flush(self) -> None:
        self._timer = None
        event, self._pending = self._pending, None
        if event is None or self._book is None:
            return
        if self._kind == "depth":
            made = depth_event(self._style, event, self._book, now_ms())
        else:
            made = partial_depth_event(self._style, self._book, int(self._kind[5:]))
        self._client.push(self._name, made)


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def end() -> None:
        first()
        second()

    return end


def stream_routes(replica: Replica) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["streams"])

    @router.websocket("/ws")
    async def plain(socket: WebSocket) -> None:
        await serve(socket, [], combined=False)

    @router.websocket("/ws/{streams:path}")
    async def named(socket: WebSocket, streams: str) -> None:
        # ccxt numbers its connections: /ws/0 names no stream.
        names = [] if streams.isdigit() else streams.split("/")
        await serve(socket, names, combined=False)

    @router.websocket("/stream")
    async def combined(socket: WebSocket) -> None:
        names = socket.query_params.get("streams", "")
        await serve(socket, names.split("/") if names else [], combined=True)

    async def serve(socket: WebSocket, names: list[str], *, combined: bool) -> None:
        await socket.accept()
        client = StreamClient(replica, combined)
        problem = client.subscribe(names)
        if problem:
            await socket.close(1008, problem)
            return
        work = [
            asyncio.ensure_future(_read(socket, client)),
            asyncio.ensure_future(_write(socket, client)),
            asyncio.ensure_future(client.overflow.wait()),
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            if client.overflow.is_set():
                await socket.close(1008, "events are not being read")
        finally:
            client.close()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    return router


async def _write(socket: WebSocket, client: StreamClient) -> None:
    while True:
        await socket.send_text((await client.waiting.get()).decode())


async def _read(socket: WebSocket, client: StreamClient) -> None:
    loop = asyncio.get_running_loop()
    second, count = 0, 0
    try:
        while True:
            text = await socket.receive_text()
            count = count + 1 if int(loop.time()) == second else 1
            second = int(loop.time())
            if count > INBOUND_PER_SECOND_MAX:
                await socket.close(1008, f"more than {INBOUND_PER_SECOND_MAX} messages a second")
                return
            client.answer(_asked(client, text))
    except (WebSocketDisconnect, RuntimeError):
        return


def _asked(client: StreamClient, text: str) -> bytes:
    """The answer to SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS."""
    number: Any = None
    try:
        asked = json.loads(text)
        number = asked.get("id")
        method, params = asked["method"], asked.get("params", [])
        if not isinstance(params, list) or not all(isinstance(p, str) for p in params):
            raise ValueError("params: must be a list of stream names")
        result: Any = None
        if method == "SUBSCRIBE":
            problem = client.subscribe(params)
            if problem:
                raise ValueError(problem)
        elif method == "UNSUBSCRIBE":
            client.unsubscribe(params)
        elif method == "LIST_SUBSCRIPTIONS":
            result = list(client.streams)
        else:
            raise ValueError(f"method: unknown method {str(method)[:40]!r}")
    except (ValueError, KeyError, AttributeError, TypeError) as problem:
        message = f"missing field {problem}" if isinstance(problem, KeyError) else str(problem)
        return msgspec.json.encode({"error": {"code": 2, "msg": message}, "id": number})
    return msgspec.json.encode({"result": result, "id": number})
