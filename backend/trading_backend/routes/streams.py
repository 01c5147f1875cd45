"""Public WebSocket streams: `/ws`, `/ws/<streams>`, `/stream?streams=`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from trading_backend.replica import Replica, now_ms
from trading_backend.stream_topics import Topics
from trading_contract.errors import UserError

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 10_000
STREAMS_MAX = 1024
WAITING_MAX = 4096
WAITING_BYTES_MAX = 8 << 20
INBOUND_PER_SECOND_MAX = 50
LIFE_SECONDS_MAX = 24 * 3600
REASON_BYTES_MAX = 120  # a close frame holds 123

POLICY, TRY_LATER, GOING_AWAY, TEXT_ONLY = 1008, 1013, 1001, 1003


class StreamClient:
    """One connection: its streams and what waits to be sent. `over` tells why it must end."""

    def __init__(self, topics: Topics, *, combined: bool) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[tuple[int, str]] = loop.create_future()
        self.leaving: dict[str, Callable[[], None]] = {}
        self._topics = topics
        self._combined = combined
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._some = asyncio.Event()

    def subscribe(self, names: list[str]) -> None:
        """Begin to listen, to all of them or none; raises `UserError`."""
        fresh = [name for name in dict.fromkeys(names) if name not in self.leaving]
        if len(self.leaving) + len(fresh) > STREAMS_MAX:
            raise UserError(f"more than {STREAMS_MAX} streams on one connection")
        for name in fresh:
            self._topics.check(name)
        for name in fresh:
            self.leaving[name] = self._topics.join(name, self)

    def unsubscribe(self, names: list[str]) -> None:
        """Stop listening."""
        for name in names:
            leave = self.leaving.pop(name, None)
            if leave is not None:
                leave()

    def close(self) -> None:
        """Stop listening to everything."""
        self.unsubscribe(list(self.leaving))
        self.over.cancel()

    def end(self, code: int, reason: str) -> None:
        """Close the connection soon, for this reason."""
        if not self.over.done():
            self.over.set_result((code, reason))

    def push(self, topic: str, event: bytes) -> None:
        """Queue an event."""
        if self._combined:
            event = b'{"stream":"' + topic.encode() + b'","data":' + event + b"}"
        self.send(event)

    def send(self, data: bytes) -> None:
        """Queue a message; a full queue ends the connection rather than grow."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_BYTES_MAX:
            self._waiting.clear()
            self._waiting_bytes = 0
            self.unsubscribe(list(self.leaving))
            self.end(POLICY, "events are not being read")
        self._some.set()

    def announce_shutdown(self) -> None:
        """Tell the client that this replica goes away soon."""
        self.send(msgspec.json.encode({"event": {"e": "serverShutdown", "E": now_ms()}}))

    async def take(self) -> bytes:
        """The next message."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        data = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        return data


def stream_routes(replica: Replica) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["streams"])
    topics = Topics(replica)

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
        if len(replica.stream_clients) >= CONNECTIONS_MAX:
            await socket.close(TRY_LATER, "too many connections; try again later")
            return
        client = StreamClient(topics, combined=combined)
        replica.stream_clients.add(client)
        try:
            client.subscribe(names)
            await _serve(socket, client)
        except UserError as problem:
            await socket.close(POLICY, _short(str(problem)))
        finally:
            replica.stream_clients.discard(client)
            client.close()

    return router


def _short(reason: str) -> str:
    return reason.encode("ascii", "replace")[:REASON_BYTES_MAX].decode()


async def _serve(socket: WebSocket, client: StreamClient) -> None:
    """Read and write until the client is gone or must go."""
    reading = asyncio.ensure_future(_read(socket, client))
    writing = asyncio.ensure_future(_write(socket, client))
    timer = asyncio.get_running_loop().call_later(
        LIFE_SECONDS_MAX, client.end, GOING_AWAY, "24 hours are over"
    )
    try:
        await asyncio.wait((reading, writing, client.over), return_when=asyncio.FIRST_COMPLETED)
        writing.cancel()
        if client.over.done():
            await _end(socket, *client.over.result())
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        logger.debug("a stream's client went first")
    finally:
        timer.cancel()
        reading.cancel()
        writing.cancel()
        await asyncio.gather(reading, writing, return_exceptions=True)


async def _end(socket: WebSocket, code: int, reason: str) -> None:
    """Close, and soon: who does not read does not read this either."""
    end = socket.scope.get("state", {}).get("end")
    if end is None:  # another server than ours
        await asyncio.wait_for(socket.close(code, reason), 5)
    else:
        end(code, reason)


async def _write(socket: WebSocket, client: StreamClient) -> None:
    while not client.over.done():
        await socket.send_text((await client.take()).decode())


async def _read(socket: WebSocket, client: StreamClient) -> None:
    clock = asyncio.get_running_loop().time
    second, count = 0, 0
    while not client.over.done():
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if not isinstance(text, str):
            client.end(TEXT_ONLY, "send text messages")
            return
        count = count + 1 if int(clock()) == second else 1
        second = int(clock())
        if count > INBOUND_PER_SECOND_MAX:
            client.end(POLICY, f"more than {INBOUND_PER_SECOND_MAX} messages a second")
            return
        client.send(_asked(client, text))


def _asked(client: StreamClient, text: str) -> bytes:
    """The answer to SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS."""
    number: Any = None
    try:
        asked = msgspec.json.decode(text, type=dict[str, Any])
        given = asked.get("id")
        number = given if isinstance(given, (int, str)) else None
        result = _do(client, asked.get("method"), asked.get("params", []))
    except (UserError, msgspec.DecodeError, RecursionError) as problem:
        return msgspec.json.encode({"error": {"code": 2, "msg": str(problem)}, "id": number})
    return msgspec.json.encode({"result": result, "id": number})


def _do(client: StreamClient, method: Any, params: Any) -> Any:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise UserError("params: must be a list of stream names")
    if method == "SUBSCRIBE":
        client.subscribe(params)
    elif method == "UNSUBSCRIBE":
        client.unsubscribe(params)
    elif method == "LIST_SUBSCRIPTIONS":
        return list(client.leaving)
    else:
        raise UserError(
            f"method: must be SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS, not {method!r:.40}"
        )
    return None
