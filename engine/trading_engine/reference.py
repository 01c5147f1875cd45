"""An order book that is slow and obviously right: the oracle of the C++ core.

Same commands, same events (without handles), same state hash; written from the rules alone, with
one list of resting orders that is sorted whenever an order is needed. For tests; never on the order
path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from trading_contract.wire import (
    FLAG_ALLOW_FAILURE,
    Code,
    EndReason,
    Kind,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from trading_engine.core_records import (
    TARGET_PART,
    WAS_RESTING,
    Command,
    Event,
    EventKind,
    OrderState,
)

INT64_MAX = 2**63 - 1
_MASK = 2**64 - 1
_NO_LIMIT = 2**28


@dataclass
class _Order:
    order_id: int
    account: int
    side: int
    type: int
    time_in_force: int
    self_trade: int
    price: int
    quantity: int
    remaining: int
    quote_left: int = 0
    by_quote: bool = False
    priority: int = 0
    traded: bool = False
    prevented: bool = False
    expired: bool = False
    was_resting: bool = False

    def open_status(self) -> OrderStatus:
        return OrderStatus.PARTIALLY_FILLED if self.traded else OrderStatus.NEW


def _status(reason: EndReason) -> OrderStatus:
    if reason == EndReason.NONE:
        return OrderStatus.FILLED
    if reason <= EndReason.DEAD_MAN:
        return OrderStatus.CANCELED
    return OrderStatus.EXPIRED_IN_MATCH if reason == EndReason.SELF_TRADE else OrderStatus.EXPIRED


@dataclass
class ReferenceBook:
    """One symbol."""

    open_orders_max: int = _NO_LIMIT
    open_orders_per_account_max: int = _NO_LIMIT
    orders: list[_Order] = field(default_factory=list)
    trade_id: int = 0
    prevented_id: int = 0
    priority: int = 0
    last_price: int = 0
    halted: bool = False

    def apply(self, command: Command) -> list[Event]:
        """Run one command; its events, with command index 0 and no handles."""
        self._events: list[Event] = []
        actions: dict[int, Callable[[Command], None]] = {
            Kind.PLACE: self._place,
            Kind.CANCEL: self._cancel,
            Kind.REDUCE: self._reduce,
            Kind.AMEND: self._amend,
            Kind.REPLACE: self._replace,
            Kind.CANCEL_REPLACE: self._cancel_replace,
            Kind.CANCEL_ALL: self._cancel_all,
            Kind.CLEAR: self._clear,
            Kind.HALT: self._halt_or_resume,
            Kind.RESUME: self._halt_or_resume,
        }
        known = (
            command.kind in actions
            and command.side in list(Side)
            and command.type in list(OrderType)
            and command.time_in_force in list(TimeInForce)
            and command.self_trade in list(SelfTrade)
            and command.reason in list(EndReason)
        )
        if known:
            actions[command.kind](command)
        else:
            self._reject(command.order_id, Code.MALFORMED)
        return self._events

    def side(self, side: int) -> list[_Order]:
        """The resting orders of one side, best price first, then oldest."""
        sign = -1 if side == Side.BUY else 1
        own = [order for order in self.orders if order.side == side]
        return sorted(own, key=lambda order: (sign * order.price, order.priority))

    def l3(self) -> list[OrderState]:
        """Bids, then asks, each best price first, then oldest."""
        return [
            OrderState(
                order_id=o.order_id,
                account=o.account,
                price=o.price,
                quantity=o.quantity,
                remaining=o.remaining,
                priority=o.priority,
                side=o.side,
                type=o.type,
                self_trade=o.self_trade,
                traded=o.traded,
            )
            for o in self.side(Side.BUY) + self.side(Side.SELL)
        ]

    def depth(self, side: int) -> list[tuple[int, int]]:
        """(price, total) of every level, best first."""
        totals: dict[int, int] = {}
        for order in self.side(side):
            totals[order.price] = totals.get(order.price, 0) + order.remaining
        return list(totals.items())

    def state_hash(self) -> int:
        """The same 64 bits as MatchingEngine.state_hash."""
        words = [self.trade_id, self.prevented_id, self.priority, self.last_price, int(self.halted)]
        for o in self.l3():
            attributes = o.side | o.type << 4 | o.self_trade << 8 | int(o.traded) << 12
            words += [o.order_id, o.account, o.price, o.quantity, o.remaining, o.priority]
            words.append(attributes)
        value = 0xCBF29CE484222325
        for word in words:
            value = ((value ^ (word & _MASK)) * 0x9E3779B97F4A7C15) & _MASK
            value ^= value >> 32
        return value

    # --- commands ---

    def _place(self, command: Command) -> None:
        code = self._refusal(command, leaving=None)
        if code != Code.OK:
            self._reject(command.order_id, code)
            return
        self._enter_new(command)

    def _enter_new(self, command: Command) -> None:
        if command.type == OrderType.LIMIT_MAKER and self._crosses(command.side, command.price):
            self._reject(command.order_id, Code.POST_ONLY_WOULD_TAKE)
            return
        taker = _Order(
            order_id=command.order_id,
            account=command.account,
            side=command.side,
            type=command.type,
            time_in_force=command.time_in_force,
            self_trade=command.self_trade,
            price=command.price,
            quantity=command.quantity,
            remaining=command.quantity,
            quote_left=command.quote_quantity,
            by_quote=command.quote_quantity > 0,
        )
        self._tell(
            EventKind.ACCEPTED,
            side=taker.side,
            order_id=taker.order_id,
            price=taker.price,
            quantity=taker.quantity,
            remaining=taker.quantity,
            number=taker.quote_left,
        )
        self._enter(taker)

    def _cancel(self, command: Command) -> None:
        order = self._owned(command.order_id, command.account)
        if order is None:
            self._reject(command.order_id, Code.ORDER_NOT_ACTIVE)
            return
        self._cancel_order(order, command.reason or EndReason.USER)

    def _reduce(self, command: Command) -> None:
        order = self._owned(command.order_id, command.account)
        if order is None:
            self._reject(command.order_id, Code.ORDER_NOT_ACTIVE)
            return
        if not 0 < command.quantity <= order.remaining:
            self._reject(command.order_id, Code.INVALID_ORDER)
            return
        if command.quantity == order.remaining:
            self._cancel_order(order, EndReason.USER)
            return
        self._take_lots(order, command.quantity)

    def _amend(self, command: Command) -> None:
        order = self._owned(command.order_id, command.account)
        if order is None:
            self._reject(command.order_id, Code.ORDER_NOT_ACTIVE)
            return
        used = order.quantity - order.remaining
        if not used < command.quantity < order.quantity:
            self._reject(command.order_id, Code.INVALID_AMEND)
            return
        self._take_lots(order, order.quantity - command.quantity)

    def _replace(self, command: Command) -> None:
        order = self._owned(command.order_id, command.account)
        if order is None:
            self._reject(command.order_id, Code.ORDER_NOT_ACTIVE)
            return
        price = command.price or order.price
        lots = command.quantity or order.remaining
        used = order.quantity - order.remaining
        others = sum(o.remaining for o in self.side(order.side)) - order.remaining
        largest = max(price * lots, used + lots, others + lots)
        if price <= 0 or lots <= 0 or command.quote_quantity or largest > INT64_MAX:
            self._reject(command.order_id, Code.INVALID_REPLACEMENT)
            return
        if self.halted:
            self._reject(command.order_id, Code.SYMBOL_HALTED)
            return
        if order.type == OrderType.LIMIT_MAKER and self._crosses(order.side, price):
            self._reject(command.order_id, Code.POST_ONLY_WOULD_TAKE)
            return
        self.orders.remove(order)
        order.price, order.quantity, order.remaining = price, used + lots, lots
        order.time_in_force = TimeInForce.GTC
        order.was_resting = True
        order.prevented = order.expired = False
        self._tell_of(EventKind.REPLACED, order)
        self._enter(order)

    def _cancel_replace(self, command: Command) -> None:
        target = self._owned(command.target_id, command.account)
        code = self._refusal(command, leaving=target)
        if code != Code.OK:
            missing = Code.ORDER_NOT_ACTIVE if target is None else Code.INVALID_REPLACEMENT
            self._reject(command.target_id, missing, TARGET_PART)
            self._reject(command.order_id, code)
            return
        if target is not None:
            self._cancel_order(target, EndReason.REPLACED, TARGET_PART)
        else:
            self._reject(command.target_id, Code.ORDER_NOT_ACTIVE, TARGET_PART)
            if not command.flags & FLAG_ALLOW_FAILURE:
                self._reject(command.order_id, Code.INVALID_REPLACEMENT)
                return
        self._enter_new(command)

    def _cancel_all(self, command: Command) -> None:
        own = [order for order in self.orders if order.account == command.account]
        self._end_all(
            sorted(own, key=lambda order: order.priority), command.reason or EndReason.MASS_CANCEL
        )

    def _clear(self, command: Command) -> None:
        everything = self.side(Side.BUY) + self.side(Side.SELL)
        self._end_all(everything, command.reason or EndReason.EXCHANGE)

    def _end_all(self, orders: list[_Order], reason: int) -> None:
        for order in orders:
            self._cancel_order(order, reason)
        self._tell(EventKind.DONE, quantity=len(orders))

    def _halt_or_resume(self, command: Command) -> None:
        self.halted = command.kind == Kind.HALT
        self._tell(EventKind.DONE)

    # --- rules ---

    def _owned(self, order_id: int, account: int) -> _Order | None:
        for order in self.orders:
            if order.order_id == order_id and order.account == account:
                return order
        return None

    def _crosses(self, side: int, price: int) -> bool:
        others = self.side(Side.SELL if side == Side.BUY else Side.BUY)
        if not others:
            return False
        return price >= others[0].price if side == Side.BUY else price <= others[0].price

    def _refusal(self, command: Command, leaving: _Order | None) -> Code:
        if not _valid(command):
            return Code.INVALID_ORDER
        if self.halted:
            return Code.SYMBOL_HALTED
        if any(order.order_id == command.order_id for order in self.orders):
            return Code.DUPLICATE_OTHER
        if command.type == OrderType.MARKET or command.time_in_force != TimeInForce.GTC:
            return Code.OK
        staying = [order for order in self.orders if order is not leaving]
        own_side = sum(order.remaining for order in staying if order.side == command.side)
        if own_side + command.quantity > INT64_MAX:
            return Code.INVALID_ORDER
        own = [order for order in staying if order.account == command.account]
        if len(staying) >= self.open_orders_max or len(own) >= self.open_orders_per_account_max:
            return Code.TOO_MANY_OPEN_ORDERS
        return Code.OK

    def _enter(self, taker: _Order) -> None:
        if taker.time_in_force != TimeInForce.FOK or self._fills_whole(taker):
            self._match(taker)
        rests = taker.type != OrderType.MARKET and taker.time_in_force == TimeInForce.GTC
        if not rests or taker.expired or taker.remaining == 0:
            self._end(taker, self._taker_reason(taker), taker.remaining)
            return
        self.priority += 1
        taker.priority = self.priority
        taker.was_resting = True
        self.orders.append(taker)
        self._tell_of(EventKind.RESTED, taker, number=taker.priority)

    def _reachable(self, taker: _Order) -> list[_Order]:
        """The makers inside the taker's limit, in the order in which it meets them."""
        others = self.side(Side.SELL if taker.side == Side.BUY else Side.BUY)
        if taker.type == OrderType.MARKET:
            return others
        if taker.side == Side.BUY:
            return [maker for maker in others if maker.price <= taker.price]
        return [maker for maker in others if maker.price >= taker.price]

    @staticmethod
    def _is_own(taker: _Order, maker: _Order) -> bool:
        return (
            taker.self_trade != SelfTrade.NONE
            and taker.account != 0
            and taker.account == maker.account
        )

    def _fills_whole(self, taker: _Order) -> bool:
        found = 0
        for maker in self._reachable(taker):
            if found >= taker.remaining:
                break
            if not self._is_own(taker, maker):
                found += maker.remaining
            elif taker.self_trade != SelfTrade.EXPIRE_MAKER:
                return False
        return found >= taker.remaining

    def _match(self, taker: _Order) -> None:
        for maker in self._reachable(taker):
            lots = taker.quote_left // maker.price if taker.by_quote else taker.remaining
            if lots == 0 or taker.expired:
                return
            if self._is_own(taker, maker):
                self._prevent(taker, maker, lots)
            else:
                self._trade(taker, maker, min(lots, maker.remaining))
            if maker.remaining > 0:
                return  # nobody behind it may be met before it is gone

    def _spend(self, taker: _Order, lots: int, price: int) -> None:
        if taker.by_quote:
            taker.quote_left -= lots * price
        else:
            taker.remaining -= lots

    def _trade(self, taker: _Order, maker: _Order, lots: int) -> None:
        self._spend(taker, lots, maker.price)
        maker.remaining -= lots
        taker.traded = maker.traded = True
        self.trade_id += 1
        self.last_price = maker.price
        status = OrderStatus.FILLED if maker.remaining == 0 else OrderStatus.PARTIALLY_FILLED
        self._tell_meeting(EventKind.TRADE, taker, maker, status, (lots, maker.remaining))
        if maker.remaining == 0:
            self._end(maker, EndReason.NONE, 0)

    def _prevent(self, taker: _Order, maker: _Order, lots: int) -> None:
        smaller = min(lots, maker.remaining)
        taker_loss, maker_loss = {
            SelfTrade.EXPIRE_TAKER: (lots, 0),
            SelfTrade.EXPIRE_MAKER: (0, maker.remaining),
            SelfTrade.EXPIRE_BOTH: (lots, maker.remaining),
            SelfTrade.DECREMENT: (smaller, smaller),
        }[SelfTrade(taker.self_trade)]
        taker.prevented = True
        expires = taker.self_trade in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH)
        if not (expires and taker.by_quote):  # then the unspent quote is told as it is
            self._spend(taker, taker_loss, maker.price)
        left = taker.quote_left if taker.by_quote else taker.remaining
        taker.expired = expires or left == 0
        maker.remaining -= maker_loss
        self.prevented_id += 1
        gone = maker.remaining == 0
        status = OrderStatus.EXPIRED_IN_MATCH if gone else maker.open_status()
        self._tell_meeting(EventKind.PREVENTED, taker, maker, status, (taker_loss, maker_loss))
        if gone:
            self._end(maker, EndReason.SELF_TRADE, 0)

    def _taker_reason(self, taker: _Order) -> EndReason:
        if taker.expired:
            return EndReason.SELF_TRADE
        if taker.by_quote:
            too_dear = taker.quote_left == 0 or bool(self._reachable(taker))
            if too_dear and taker.traded:
                return EndReason.NONE
            return EndReason.SELF_TRADE if too_dear and taker.prevented else EndReason.NO_LIQUIDITY
        if taker.remaining == 0:
            return EndReason.NONE
        if taker.type == OrderType.MARKET:
            return EndReason.NO_LIQUIDITY
        ioc = taker.time_in_force == TimeInForce.IOC
        return EndReason.IOC_UNFILLED if ioc else EndReason.FOK_UNFILLED

    def _take_lots(self, order: _Order, lots: int) -> None:
        order.remaining -= lots
        order.quantity -= lots
        self._tell_of(EventKind.REDUCED, order, number=lots)

    def _cancel_order(self, order: _Order, reason: int, flags: int = 0) -> None:
        self._end(order, EndReason(reason), order.remaining, flags)

    def _end(self, order: _Order, reason: EndReason, lost: int, flags: int = 0) -> None:
        self.orders = [other for other in self.orders if other is not order]
        self._tell(
            EventKind.ENDED,
            side=order.side,
            status=_status(reason),
            reason=reason,
            flags=flags | (WAS_RESTING if order.was_resting else 0),
            order_id=order.order_id,
            price=order.price,
            quantity=order.quantity,
            remaining=lost,
            number=order.quote_left,
        )

    # --- events ---

    def _tell(self, kind: EventKind, **fields: int) -> None:
        self._events.append(Event(kind=kind, **fields))

    def _tell_of(self, kind: EventKind, order: _Order, number: int = 0) -> None:
        self._tell(
            kind,
            side=order.side,
            status=order.open_status(),
            order_id=order.order_id,
            price=order.price,
            quantity=order.quantity,
            remaining=order.remaining,
            number=number,
        )

    def _tell_meeting(
        self, kind: EventKind, taker: _Order, maker: _Order, status: int, lots: tuple[int, int]
    ) -> None:
        self._tell(
            kind,
            side=taker.side,
            status=status,
            order_id=taker.order_id,
            other_id=maker.order_id,
            price=maker.price,
            quantity=lots[0],
            remaining=lots[1],
            number=self.trade_id if kind == EventKind.TRADE else self.prevented_id,
        )

    def _reject(self, order_id: int, code: Code, flags: int = 0) -> None:
        self._tell(
            EventKind.REJECTED,
            status=OrderStatus.REJECTED,
            code=code,
            flags=flags,
            order_id=order_id,
        )


def _valid(command: Command) -> bool:
    """What can be said of a new order without the book."""
    if command.order_id <= 0:
        return False
    lots, quote = command.quantity, command.quote_quantity
    if command.type == OrderType.MARKET:
        one_amount = (lots > 0 and quote == 0) or (lots == 0 and quote > 0)
        return command.price == 0 and command.time_in_force != TimeInForce.FOK and one_amount
    if command.type == OrderType.LIMIT_MAKER and command.time_in_force != TimeInForce.GTC:
        return False
    return command.price > 0 and lots > 0 and quote == 0 and command.price * lots <= INT64_MAX
