"""Our core as a candidate of tracebook-conformance.

Run by `python -m trading_engine.tests.tracebook_adapter`; stdout is the protocol. Does what our API
refuses: snaps prices to the grid, scales quantities from floats, maps owners.
"""

from __future__ import annotations

import sys
from decimal import ROUND_HALF_EVEN, Decimal

from tracebook.conformance.model import (
    BookSnapshot,
    BookState,
    ConformanceConfig,
    EngineMetadata,
    Observation,
    Outcome,
    RestingOrder,
    TradeFill,
    canonical_decimal,
)
from tracebook.conformance.protocol import serve_stdio
from tracebook.core.order import OrderSide, SelfTradePolicy
from tracebook.core.order import OrderType as TracebookType
from tracebook.core.price_level import infer_price_decimals
from tracebook.events import MarketEvent

from trading_engine import _core
from trading_engine.core_records import (
    Code,
    Command,
    Event,
    EventKind,
    Kind,
    OrderState,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    pack_commands,
    unpack_events,
    unpack_orders,
)

INT64_MAX = 2**63 - 1
_REASONS = {
    Code.ORDER_NOT_ACTIVE: "ORDER_NOT_ACTIVE",
    Code.DUPLICATE_OTHER: "DUPLICATE_ORDER_ID",
    Code.INVALID_REPLACEMENT: "INVALID_REPLACEMENT",
}
_MODES = {
    SelfTradePolicy.NONE: SelfTrade.NONE,
    SelfTradePolicy.CANCEL_RESTING: SelfTrade.EXPIRE_MAKER,
    SelfTradePolicy.CANCEL_INCOMING: SelfTrade.EXPIRE_TAKER,
}
_TIMES = {TracebookType.IOC: TimeInForce.IOC, TracebookType.FOK: TimeInForce.FOK}


class Adapter:
    """One engine, one core symbol per tracebook symbol."""

    metadata = EngineMetadata("trading-core", "0.1.0", "C++20")

    def __init__(self, config: ConformanceConfig) -> None:
        self._config = config
        self._engine = _core.MatchingEngine()
        self._symbols: dict[str, int] = {}
        self._price_places = infer_price_decimals(config.tick_size)

    def apply(self, event: MarketEvent, index: int) -> Observation:
        """Run one event; what it did and the digest of the whole book after it."""
        events = self._run(event)
        refused = [e for e in events if e.kind == EventKind.REJECTED]
        outcome = Outcome("applied")
        if refused:
            reason = _REASONS.get(Code(refused[0].code), "INVALID_ORDER")
            outcome = Outcome("rejected", reason)
        trades = tuple(self._trade(event.symbol, e) for e in events if e.kind == EventKind.TRADE)
        state = self.snapshot()
        return Observation(index, outcome, trades, state.digest(), state.order_count)

    def snapshot(self) -> BookState:
        """Every resting order, in priority order."""
        books = []
        for name in sorted(self._symbols):
            orders = unpack_orders(self._engine.orders(self._symbols[name]))
            bids = tuple(self._resting(o) for o in orders if o.side == Side.BUY)
            asks = tuple(self._resting(o) for o in orders if o.side == Side.SELL)
            books.append(BookSnapshot(name, bids, asks))
        return BookState(tuple(books))

    def close(self) -> None:
        """Nothing to give back."""

    def _run(self, event: MarketEvent) -> list[Event]:
        if event.symbol not in self._symbols:
            if event.op in ("cancel", "reduce", "replace"):
                return [Event(kind=EventKind.REJECTED, code=Code.ORDER_NOT_ACTIVE)]
            self._symbols[event.symbol] = self._engine.add_symbol()
        symbol = self._symbols[event.symbol]
        command = self._command(event, symbol)._replace(symbol=symbol)
        return unpack_events(self._engine.apply(pack_commands([command])))

    def _command(self, event: MarketEvent, symbol: int) -> Command:
        if event.op == "clear":
            return Command(kind=Kind.CLEAR)
        order_id = event.order_id or 0
        if event.op == "new":
            return self._new_order(event, order_id, symbol)
        packed = self._engine.find(symbol, order_id)
        account = unpack_orders(packed)[0].account if packed is not None else 0
        if event.op == "cancel":
            return Command(kind=Kind.CANCEL, order_id=order_id, account=account)
        if event.op == "reduce":
            lots = self._lots(event.quantity or 0.0)
            return Command(kind=Kind.REDUCE, order_id=order_id, account=account, quantity=lots)
        # 0 means "unchanged" to the core; a value that was given and comes to 0 is a fault.
        price = 0 if event.price is None else self._ticks(event.price) or -1
        lots = 0 if event.quantity is None else self._lots(event.quantity) or -1
        return Command(
            kind=Kind.REPLACE, order_id=order_id, account=account, price=price, quantity=lots
        )

    def _new_order(self, event: MarketEvent, order_id: int, symbol: int) -> Command:
        market = event.order_type == TracebookType.MARKET
        lots = self._lots(event.quantity or 0.0)
        price = 0 if market else self._ticks(event.price or 0.0)
        if self._engine.find(symbol, order_id) is not None:
            lots, price = 1, 0 if market else 1  # a known id is refused whatever else is wrong
        return Command(
            order_id=order_id,
            account=event.owner + 1,  # -1, no owner, is the system's account 0
            side=Side.BUY if event.side == OrderSide.BUY else Side.SELL,
            type=OrderType.MARKET if market else OrderType.LIMIT,
            time_in_force=_TIMES.get(event.order_type, TimeInForce.GTC),
            self_trade=_MODES[self._config.self_trade_policy],
            price=price,
            quantity=lots,
        )

    def _ticks(self, price: float) -> int:
        return _bounded(round(price / self._config.tick_size))

    def _lots(self, quantity: float) -> int:
        places = self._config.quantity_decimal_places
        scaled = Decimal(str(quantity)).scaleb(places)
        return _bounded(int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN)))

    def _price(self, ticks: int) -> str:
        return canonical_decimal(round(ticks * self._config.tick_size, self._price_places))

    def _quantity(self, lots: int) -> str:
        return canonical_decimal(Decimal(lots).scaleb(-self._config.quantity_decimal_places))

    def _resting(self, order: OrderState) -> RestingOrder:
        return RestingOrder(
            order_id=order.order_id,
            price=self._price(order.price),
            remaining_quantity=self._quantity(order.remaining),
            owner=order.account - 1,
        )

    def _trade(self, symbol: str, event: Event) -> TradeFill:
        taker_buys = event.side == Side.BUY
        return TradeFill(
            symbol=symbol,
            buy_order_id=event.order_id if taker_buys else event.other_id,
            sell_order_id=event.other_id if taker_buys else event.order_id,
            price=self._price(event.price),
            quantity=self._quantity(event.quantity),
        )


def _bounded(value: int) -> int:
    """What does not fit 64 bits is refused by the core like any impossible amount."""
    return value if abs(value) <= INT64_MAX else -1


if __name__ == "__main__":
    sys.exit(serve_stdio(Adapter))
