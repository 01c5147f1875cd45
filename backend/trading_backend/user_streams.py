"""Private streams on `/ws-api/v3`: `userDataStream.subscribe` and its kin."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from trading_backend.balances import balances_of
from trading_backend.errors import ApiError
from trading_backend.executions import ExecutionFeeds, Executions
from trading_backend.order_entry import StreamWriter
from trading_backend.replica import Replica, now_ms
from trading_backend.stream_events import execution_report, position_event
from trading_contract.codes import Refusal
from trading_contract.errors import WorldError

logger = logging.getLogger(__name__)

CHANNELS = 64  # executions of account n are told on channel n mod this
SUBSCRIPTIONS_MAX = 10  # on one stream
LIVE_SECONDS_MAX = 5.0
SWEEP_SECONDS = 5.0
POSITIONS_SECONDS = 0.25  # trades within this time are told as one change of the positions


class UserStreams:
    """All private subscriptions of this replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._subscriptions: dict[StreamWriter, dict[int, _Subscription]] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._feeds = ExecutionFeeds(replica.channels, replica.partitions)
        replica.partitions.on_retold = self._feeds.on_retold

    async def close(self) -> None:
        """End the feeds."""
        await self._feeds.close()

    async def handle(
        self, stream: StreamWriter, method: str, request: bytes, account: int, params: bytes
    ) -> None:
        """Serve one `userDataStream.*` request: always one answer."""
        answer: dict[str, Any] = {"id": json.loads(request), "status": 200}
        try:
            answer["result"] = await self._serve(stream, method, account, _fields(params))
        except ApiError as problem:
            answer["status"] = problem.status
            answer["error"] = {"code": problem.code, "msg": problem.message}
        except Exception:
            logger.exception("%s", method)
            answer["status"], answer["error"] = 500, {"code": -1000, "msg": "Unknown error."}
        stream.send_text(msgspec.json.encode(answer))

    async def _serve(
        self, stream: StreamWriter, method: str, account: int, fields: dict[str, Any]
    ) -> dict[str, Any]:
        if method == "userDataStream.unsubscribe":
            self._end(stream, fields.get("subscriptionId"))
            return {}
        if method == "userDataStream.subscribe.signature":
            account = self._signed(fields)
        elif method != "userDataStream.subscribe":
            raise ApiError(Refusal.UNSUPPORTED)
        elif account < 0:
            raise ApiError(Refusal.NOT_LOGGED_ON)
        return {"subscriptionId": await self._begin(stream, account)}

    def _signed(self, params: dict[str, Any]) -> int:
        fields = {
            name: json.dumps(value) if isinstance(value, bool) else str(value)
            for name, value in params.items()
        }
        for name in fields:
            if name not in ("apiKey", "timestamp", "recvWindow", "signature"):
                raise ApiError(Refusal.UNKNOWN_PARAMETER, name[:40])
        payload = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "signature")
        return self._replica.keys.signed(
            fields.get("apiKey", ""), payload.encode(), fields, "read", now_ms()
        )

    async def _begin(self, stream: StreamWriter, account: int) -> int:
        subscriptions = self._subscriptions.setdefault(stream, {})
        if len(subscriptions) >= SUBSCRIPTIONS_MAX:
            raise ApiError(Refusal.TOO_MUCH_WEIGHT)
        if any(s.account == account for s in subscriptions.values()):
            raise ApiError(Refusal.INVALID_PARAMETER, "subscription, which exists already")
        number = max(subscriptions, default=-1) + 1
        subscription = subscriptions[number] = _Subscription(self._replica, stream, account, number)
        subscription.listen(self._feeds)
        self._sweep_later()
        # Answered when it is live: who trades after the answer hears of every execution.
        if await self._replica.channels.wait_live(subscription.channel, LIVE_SECONDS_MAX):
            subscription.begin()
            return number
        if number in self._subscriptions.get(stream, {}):
            self._end(stream, number)
        raise ApiError(Refusal.BUSY)

    def _end(self, stream: StreamWriter, number: Any) -> None:
        """End one subscription, or all of the stream (None); raises `ApiError` when unknown."""
        subscriptions = self._subscriptions.get(stream, {})
        if number is not None and (not isinstance(number, int) or number not in subscriptions):
            raise ApiError(Refusal.INVALID_PARAMETER, "subscriptionId")
        for each in list(subscriptions) if number is None else [number]:
            subscriptions.pop(each).close()
        if not subscriptions:
            self._subscriptions.pop(stream, None)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Forget streams whose client is gone."""
        self._sweeping = None
        for stream in list(self._subscriptions):
            if not stream.is_open:
                self._end(stream, None)
        if self._subscriptions:
            self._sweep_later()


def _fields(params: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(params or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise ApiError(Refusal.MALFORMED_JSON, "params") from None


class _Subscription:
    """One account on one stream."""

    def __init__(self, replica: Replica, stream: StreamWriter, account: int, number: int) -> None:
        self.account = account
        self.channel = f"{{user-{account % CHANNELS}}}:executions"
        self._replica = replica
        self._stream = stream
        self._number = number
        self._began = False
        self._closed = False
        self._positions: asyncio.Task[None] | None = None
        self._traded = False  # since the positions were told
        self._unsubscribe: Callable[[], None] | None = None

    def listen(self, feeds: ExecutionFeeds) -> None:
        """Hear the account's channel."""
        self._unsubscribe = feeds.listen(self.channel, self)

    def close(self) -> None:
        """Say nothing more."""
        self._closed = True
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._positions is not None:
            self._positions.cancel()

    def begin(self) -> None:
        """The client is told that it is subscribed: from now on nothing may be missing."""
        self._began = True

    def on_executions(self, executions: Executions) -> None:
        """Those of all accounts of the channel."""
        for execution in executions:
            if execution["account"] != self.account:
                continue
            style = self._replica.formats.get(execution["s"])
            if style is not None:
                self._send(execution_report(style, execution, now_ms()))
            if execution["kind"] == "TRADE":
                self._tell_positions()

    def on_gap(self) -> None:
        """Said rather than hidden: the client asks for its open orders and trades."""
        if self._began:
            self._send({"e": "eventStreamGap", "E": now_ms()})

    def _tell_positions(self) -> None:
        self._traded = True
        if self._positions is None or self._positions.done():
            self._positions = asyncio.get_running_loop().create_task(self._positions_soon())

    async def _positions_soon(self) -> None:
        while self._traded and self._stream.is_open and not self._closed:
            await asyncio.sleep(POSITIONS_SECONDS)
            self._traded = False
            try:
                held = await balances_of(self._replica.store, self._replica.formats, self.account)
            except WorldError as problem:
                logger.info("positions: %s", problem)
                self._traded = True
            else:
                self._send(position_event(held, now_ms()))

    def _send(self, event: dict[str, Any]) -> None:
        self._stream.send_text(
            msgspec.json.encode({"subscriptionId": self._number, "event": event})
        )
