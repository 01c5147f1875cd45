"""Exchanges that are built wrongly, one mistake each: what they tell and store, the checker sees.

Of the mistakes that reach clients' records and the shards' rows. Those of streams are caught by the
tests of streams; a client that retries under another name is a mistake of the client.
"""

from __future__ import annotations

import copy
from dataclasses import replace

from history.imagined import World
from trading_engine.core_records import Command
from trading_engine.reference import ReferenceBook

EVERY = 7  # this many things go well between two mistakes


class Wrong(World):
    """Makes its mistake now and then."""

    laws: tuple[str, ...] = ()  # that it may break; one of them at least

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def is_due(self) -> bool:
        """Whether it is time for a mistake."""
        self.count += 1
        return self.count % EVERY == 0


class AcksBeforeCommit(Wrong):
    """A process that dies between the two."""

    laws = ("H1",)

    def place(self, account: int, side: int, price: int, quantity: int, **fields: object) -> int:
        if not self.is_due():
            return super().place(account, side, price, quantity, **fields)
        before = copy.deepcopy((self.book, self.orders, self.trades, self.log))
        order_id = super().place(account, side, price, quantity, **fields)
        self.book, self.orders, self.trades, self.log = before
        return order_id


class TakesAWarningForACommit(Wrong):
    """What only one disk has is lost with it: the newest of all that was answered."""

    laws = ("H1",)
    SAFE = 60

    def place(self, account: int, side: int, price: int, quantity: int, **fields: object) -> int:
        order_id = super().place(account, side, price, quantity, **fields)
        if order_id == self.SAFE:
            self.safe = copy.deepcopy((self.orders, self.trades, self.log))
        return order_id

    def fail_over(self) -> None:
        self.orders, self.trades, self.log = self.safe


class ForgetsClientIds(Wrong):
    """A call that is sent again is another order."""

    laws = ("H2",)

    def place(self, account: int, side: int, price: int, quantity: int, **fields: object) -> int:
        order_id = super().place(account, side, price, quantity, **fields)
        if self.is_due():
            again = super().place(account, side, price, quantity, **fields)
            name = self.orders[order_id].client_id
            self.orders[again] = replace(self.orders[again], client_id=name)
            call = self.calls.pop()
            self.calls.append(replace(call, key=replace(call.key, client_order_id=name)))
        return order_id


class ChecksNoEpoch(Wrong):
    """An owner that was shut out writes what it had in hand, beside the new one."""

    laws = ("H5",)

    def append_log(self, c: Command, client_id: str) -> None:
        super().append_log(c, client_id)
        if self.is_due():
            self.log.append(replace(self.log[-1], epoch=1))
        self.log[-1] = replace(self.log[-1], epoch=max(1, self.count // EVERY))


class ReadsTheEpochWithoutALock(Wrong):
    """One stale batch slips in between the new owner's, at the next sequence."""

    laws = ("H5",)

    def append_log(self, c: Command, client_id: str) -> None:
        super().append_log(c, client_id)
        self.log[-1] = replace(self.log[-1], epoch=1 if self.is_due() else 2)


class _YoungestFirst(ReferenceBook):
    def side(self, side: int) -> list:  # type: ignore[type-arg]
        sign = -1 if side == 0 else 1
        own = super().side(side)
        return sorted(own, key=lambda order: (sign * order.price, -order.priority))


class ServesTheYoungestFirst(Wrong):
    """Last in, first out at one price."""

    laws = ("H6",)

    def __init__(self) -> None:
        super().__init__()
        self.book = _YoungestFirst()


class TradesATickOff(Wrong):
    """At the maker's price and one tick."""

    laws = ("H6",)

    def trade(self, taker: int, maker: int, price: int, quantity: int) -> None:
        super().trade(taker, maker, price + self.is_due(), quantity)


class MoveDropsRecords(Wrong):
    """The open orders of a range do not arrive, and the new owner does not know them."""

    laws = ("H1", "H5", "H6")

    def move(self) -> None:
        for order in [order for order in self.orders.values() if order.is_open][:3]:
            del self.orders[order.order_id]


class MoveCopiesTwice(Wrong):
    """History that was there already is copied again."""

    laws = ("H2", "H5", "H7")

    def move(self) -> None:
        self.trades += self.trades[-3:]


class MoveForgetsItsSource(Wrong):
    """The shard that was left goes on serving what it has."""

    laws = ("H8",)

    def move(self) -> None:
        self.owners[1] = replace(self.owners[1], state="ACTIVE")


class LetsACancelRaceAFill(Wrong):
    """Answers that it is cancelled, and leaves it in the book."""

    laws = ("H1",)

    def cancel(self, order_id: int) -> None:
        if not self.is_due():
            super().cancel(order_id)
            return
        order = self.orders[order_id]
        self.call("cancel", order.account, order.client_id, order_id=order_id)


class LosesALeg(Wrong):
    """A trade fills the taker only."""

    laws = ("H7",)

    def trade(self, taker: int, maker: int, price: int, quantity: int) -> None:
        before = self.orders[maker]
        super().trade(taker, maker, price, quantity)
        if self.is_due():
            self.orders[maker] = before


class ReusesSequences(Wrong):
    """After a failover it begins before its end."""

    laws = ("H5",)

    def append_log(self, c: Command, client_id: str) -> None:
        super().append_log(c, client_id)
        if self.is_due():
            before = self.log[-2]
            self.log[-1] = replace(
                self.log[-1], seq_lo=before.seq_lo, seq_hi=before.seq_hi, epoch=before.epoch + 1
            )


class ReadsStatusFromAStandby(Wrong):
    """What is not there yet is told as refused for ever."""

    laws = ("H3",)

    def place(self, account: int, side: int, price: int, quantity: int, **fields: object) -> int:
        if self.is_due():
            fields = {"outcome": "fail", "order_id": None, "code": "-2010"}
        return super().place(account, side, price, quantity, **fields)


BUILDS: tuple[type[Wrong], ...] = (
    AcksBeforeCommit, TakesAWarningForACommit, ForgetsClientIds, ChecksNoEpoch,
    ReadsTheEpochWithoutALock, ServesTheYoungestFirst, TradesATickOff, MoveDropsRecords,
    MoveCopiesTwice, MoveForgetsItsSource, LetsACancelRaceAFill, LosesALeg, ReusesSequences,
    ReadsStatusFromAStandby,
)  # fmt: skip
