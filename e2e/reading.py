"""Somebody who reads all the time, and knows what must be there."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

from exchange import Exchange, Trader

PAUSE_SECONDS = 0.02
BUSY = 503


class Reader:
    """Open orders over all symbols, and its own trades: whole at each reading, each once.

    It rests one order on each symbol, buys a little, and asks for its trades right after. A context
    manager; `wrong` tells what was not whole.
    """

    def __init__(self, exchange: Exchange, symbols: list[str], quantity: str = "1") -> None:
        self._trader = Trader(exchange.rest, exchange.create_key("reader"))
        self._symbols, self._quantity = symbols, quantity
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")
        self._open: list[tuple[str, int]] = []
        self._trades: dict[str, list[int]] = defaultdict(list)
        self.wrong: list[str] = []
        self.readings = 0

    def __enter__(self) -> Self:
        time.sleep(1.5)  # replicas look at the keys twice a second
        for symbol in sorted(self._symbols):
            made = self._trader.place(symbol, "BUY", self._quantity, "90")
            self._open.append((symbol, made["orderId"]))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join(60)
        self._trader.http.close()

    def trades(self) -> int:
        """How many it made."""
        return sum(len(each) for each in self._trades.values())

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set() and len(self.wrong) < 20:
            number += 1
            try:
                self._look(self._symbols[number % len(self._symbols)])
            except Exception as problem:  # a thread's would be lost
                self.wrong.append(repr(problem))
            time.sleep(PAUSE_SECONDS)

    def _look(self, symbol: str) -> None:
        found = self._asked("GET", "openOrders")
        orders = sorted((each["symbol"], each["orderId"]) for each in found)
        if orders != self._open:
            self.wrong.append(f"open orders {orders} instead of {self._open}")
        bought = self._asked(
            "POST", "order", symbol=symbol, side="BUY", type="LIMIT", timeInForce="IOC",
            quantity=self._quantity, price="101", newOrderRespType="FULL",
            newClientOrderId=f"reader-{self.readings}",
        )  # fmt: skip
        self._trades[symbol] += [fill["tradeId"] for fill in bought["fills"]]
        asked = self._asked("GET", "myTrades", symbol=symbol, fromId=0, limit=1000)
        trades = [each["id"] for each in asked]
        if trades != self._trades[symbol][:1000]:
            missing = sorted(set(self._trades[symbol]) ^ set(trades))
            self.wrong.append(f"{symbol}: {missing[:5]} are missing in its trades, or not its own")
        self.readings += 1

    def _asked(self, method: str, path: str, **params: object) -> Any:
        """The answer; sent once more when that is what the answer says."""
        answer = self._trader.signed(method, path, **params)
        if answer.status_code == BUSY:
            time.sleep(0.1)
            answer = self._trader.signed(method, path, **params)
        if answer.status_code != 200:
            raise ValueError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json()
