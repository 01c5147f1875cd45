"""Private streams on `/ws-api/v3`: `userDataStream.subscribe` and its kin."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from trading_backend.errors import ApiError
from trading_backend.order_entry import StreamWriter
from trading_backend.replica import Replica, now_ms
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.codes import Refusal
from trading_contract.wire import EndReason, OrderStatus, OrderType, Side, TimeInForce

logger = logging.getLogger(__name__)

CHANNELS = 64  # executions of account n are told on channel n mod this


class UserStreams:
    """All private subscriptions of this replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._ends: dict[StreamWriter, dict[int, Callable[[], None]]] = {}

    def handle(
        self, stream: StreamWriter, method: str, request: bytes, account: int, params: bytes
    ) -> None:
        """Serve one `userDataStream.*` request."""
        number = json.loads(request)
        try:
            if method == "userDataStream.subscribe":
                if account < 0:
                    raise ApiError(Refusal.NOT_LOGGED_ON)
            elif method == "userDataStream.subscribe.signature":
                account = self._signed(json.loads(params))
            elif method == "userDataStream.unsubscribe":
                self._end(stream, json.loads(params or b"{}").get("subscriptionId"))
                return self._answer(stream, number, {})
            else:
                raise ApiError(Refusal.UNSUPPORTED)
        except ApiError as problem:
            error = {"code": problem.code, "msg": problem.message}
            answer = {"id": number, "status": problem.status, "error": error}
            return stream.send_text(msgspec.json.encode(answer))
        self._answer(stream, number, {"subscriptionId": self._begin(stream, account)})

    def _answer(self, stream: StreamWriter, number: Any, result: dict[str, Any]) -> None:
        stream.send_text(msgspec.json.encode({"id": number, "status": 200, "result": result}))

    def _signed(self, params: dict[str, Any]) -> int:
        fields = {
            name: json.dumps(value) if isinstance(value, bool) else str(value)
            for name, value in params.items()
        }
        payload = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "signature")
        return self._replica.keys.signed(
            fields.get("apiKey", ""), payload, fields, "read", now_ms()
        )

    def _begin(self, stream: StreamWriter, account: int) -> int:
        ends = self._ends.setdefault(stream, {})
        number = max(ends, default=-1) + 1
        subscription = _Subscription(self._replica, stream, account, number)
        ends[number] = self._replica.channels.subscribe(
            f"{{user-{account % CHANNELS}}}:executions", subscription.on_message
        )
        subscription.gone = lambda: self._end(stream, None)
        return number

    def _end(self, stream: StreamWriter, number: int | None) -> None:
        ends = self._ends.get(stream, {})
        for each in [number] if number is not None else list(ends):
            end = ends.pop(each, None)
            if end is not None:
                end()
        if not ends:
            self._ends.pop(stream, None)


class _Subscription:
    """One account on one stream."""

    def __init__(self, replica: Replica, stream: StreamWriter, account: int, number: int) -> None:
        self.gone: Callable[[], None] = lambda: None
        self._replica = replica
        self._stream = stream
        self._account = account
        self._number = number
        self._seen: dict[str, tuple[str, int]] = {}  # partition -> (incarnation, number)

    def on_message(self, data: bytes) -> None:
        """Executions of the account's channel, of all its accounts."""
        if not self._stream.is_open:
            return self.gone()
        message = msgspec.msgpack.decode(data)
        partition, incarnation, number = message["p"], message["i"], message["n"]
        before = self._seen.get(partition)
        self._seen[partition] = (incarnation, number)
        if before is not None and (incarnation, number) != (before[0], before[1] + 1):
            # Said rather than hidden: the client asks for its open orders and trades.
            self._send({"e": "eventStreamGap", "E": now_ms()})
        for execution in message["x"]:
            if execution["account"] == self._account:
                style = self._replica.formats.get(execution["s"])
                if style is not None:
                    self._send(execution_report(style, execution, now_ms()))

    def _send(self, event: dict[str, Any]) -> None:
        self._stream.send_text(
            msgspec.json.encode({"subscriptionId": self._number, "event": event})
        )


def execution_report(style: SymbolFormat, x: dict[str, Any], now: int) -> dict[str, Any]:
    """An `executionReport` of one execution."""
    status = OrderStatus(x["status"])
    kind = "TRADE_PREVENTION" if x["end_reason"] == EndReason.SELF_TRADE else x["kind"]
    client_id, original = x["client_id"], ""
    if x["kind"] == "CANCELED":
        original, client_id = client_id, x["target_client_id"] or client_id
    return {
        "e": "executionReport", "E": now, "s": x["s"], "c": client_id, "C": original,
        "S": Side(x["side"]).name, "o": OrderType(x["type"]).name,
        "f": TimeInForce(x["time_in_force"]).name, "q": style.quantity(x["quantity"]),
        "p": style.price(x["price"]), "P": style.price(0), "F": style.quantity(0), "g": -1,
        "x": "REPLACED" if kind == "REDUCED" else kind, "X": status.name, "r": "NONE",
        "i": x["order_id"], "l": style.quantity(x["last_quantity"]),
        "z": style.quantity(x["executed"]), "L": style.price(x["last_price"]), "n": "0", "N": None,
        "T": x["time_us"] // 1000, "t": x["trade_id"] or -1, "I": x["order_id"],
        "w": status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED), "m": x["maker"], "M": False,
        "O": x["created_us"] // 1000, "Z": style.notional(x["executed_quote"]),
        "Y": style.notional(x["last_price"] * x["last_quantity"]), "Q": style.notional(0),
        "W": x["created_us"] // 1000, "V": "EXPIRE_TAKER",
    }  # fmt: skip
