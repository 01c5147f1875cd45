"""The history of calls: one line of JSON for each `invoke` and one for its outcome.

    {"event": "invoke", "operation": "place", "time": 812.004113, "account": "KEY",
     "symbol": "BTCUSDT", "client_order_id": "c3-1842", "side": "BUY", "price": "64000.10",
     "quantity": "0.5"}
    {"event": "ok", "operation": "place", "time": 812.006201, "account": "KEY",
     "symbol": "BTCUSDT", "client_order_id": "c3-1842", "order_id": 77120}

`time` is CLOCK_MONOTONIC in seconds: one clock for all processes of a machine. `account` is the API
key. Outcomes: `ok` = the answer says success; `fail` = it says surely not applied; `unknown` = all
else. A call without an outcome (the recorder was killed) counts as unknown. Operations: `place`,
`cancel` (the client order id is that of the order meant) and `query` (`ok` = the order exists,
`fail` = it does not). An order may be placed several times under one client order id, but there
are never two calls of one operation for one order in flight. The load driver writes the same lines.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

Operation = Literal["place", "cancel", "query"]
Outcome = Literal["ok", "fail", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "fail", "unknown")
OPERATIONS: tuple[Operation, ...] = ("place", "cancel", "query")
NEVER = float("inf")


class HistoryError(Exception):
    """The file is no history; the message names the line."""


@dataclass(frozen=True)
class OrderKey:
    """What a client order id is unique in."""

    account: int
    symbol: str
    client_order_id: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.client_order_id} of account {self.account}"


@dataclass(frozen=True)
class Call:
    """One call with its outcome. Seconds; `returned_at` is NEVER for a call without an outcome."""

    operation: Operation
    key: OrderKey
    invoked_at: float
    side: str = ""
    price: str = ""
    quantity: str = ""
    outcome: Outcome = "unknown"
    returned_at: float = NEVER
    order_id: int | None = None
    code: str = ""


class OrderName(NamedTuple):
    """An order as its client names it."""

    account: str
    symbol: str
    client_order_id: str


class Recorder:
    """Writes a history; each line is in the file before the call goes out or its answer is used."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def invoke(self, operation: Operation, account: str, symbol: str, client_order_id: str,
               **fields: str) -> None:  # fmt: skip
        """Before the request is sent. `fields`: side, price and quantity of a place."""
        self._write("invoke", operation, OrderName(account, symbol, client_order_id), fields)

    def finish(self, outcome: Outcome, operation: Operation, account: str, symbol: str,
               client_order_id: str, **fields: str | int) -> None:  # fmt: skip
        """After the answer. `fields`: order_id and code, as far as there are any."""
        self._write(outcome, operation, OrderName(account, symbol, client_order_id), fields)

    def close(self) -> None:
        """No more lines."""
        self._file.close()

    def _write(
        self, event: str, operation: str, name: OrderName, fields: Mapping[str, str | int]
    ) -> None:
        line = {"event": event, "operation": operation, "time": time.monotonic()}
        line |= {**name._asdict(), **fields}
        with self._lock:
            self._file.write(json.dumps(line) + "\n")


def read_history(paths: Iterable[Path], accounts: Mapping[str, int]) -> list[Call]:
    """All calls of the files, by time of invocation. `accounts`: API key -> account.

    Raises HistoryError for lines that are not as above; a torn last line is left out, as its writer
    was killed before it used it.
    """
    calls: list[Call] = []
    for path in paths:
        calls += pair(_lines(path), accounts)
    return sorted(calls, key=lambda call: call.invoked_at)


def pair(lines: Iterable[Mapping[str, Any]], accounts: Mapping[str, int]) -> list[Call]:
    """The calls of one recorder's lines."""
    waiting: dict[tuple[str, OrderKey], Mapping[str, Any]] = {}
    calls: list[Call] = []
    for number, line in enumerate(lines, 1):
        try:
            key = OrderKey(accounts[line["account"]], line["symbol"], line["client_order_id"])
            event, operation = line["event"], line["operation"]
            begun = waiting.pop((operation, key), None)
            if event == "invoke":
                if begun is not None:
                    calls.append(_call(begun, key, None))
                waiting[operation, key] = line
            elif event not in OUTCOMES or operation not in OPERATIONS:
                raise HistoryError(f"line {number}: {event} {operation} is unknown")
            elif begun is None:
                raise HistoryError(f"line {number}: {operation} of {key} has no invoke")
            else:
                calls.append(_call(begun, key, line))
        except KeyError as error:
            raise HistoryError(f"line {number}: {error} is missing or unknown") from error
    calls += [_call(begun, key, None) for (_, key), begun in waiting.items()]
    return calls


def _call(begun: Mapping[str, Any], key: OrderKey, ended: Mapping[str, Any] | None) -> Call:
    return Call(
        operation=begun["operation"],
        key=key,
        invoked_at=float(begun["time"]),
        side=begun.get("side", ""),
        price=begun.get("price", ""),
        quantity=begun.get("quantity", ""),
        outcome=ended["event"] if ended else "unknown",
        returned_at=float(ended["time"]) if ended else NEVER,
        order_id=ended.get("order_id") if ended else None,
        code=str(ended.get("code", "")) if ended else "",
    )


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    texts = path.read_text(encoding="utf-8").split("\n")
    for number, text in enumerate(texts, 1):
        if not text:
            continue
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            if number == len(texts):
                return
            raise HistoryError(f"{path}:{number}: {error}") from error
        yield line
