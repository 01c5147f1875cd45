"""When an open order last changed is the same whenever it is asked for, and whoever owns it."""

from __future__ import annotations

import itertools

from trading_contract.wire import Command, Kind, Side
from trading_engine.tests.sequenced import Harness

_ids = itertools.count(1)
BUY, SELL = Side.BUY, Side.SELL


def place(side: Side, price: int, quantity: int, account: int = 1) -> Command:
    return Command(
        0, Kind.PLACE, "BTC", account=account, side=side, price=price, quantity=quantity,
        client_id=f"c{next(_ids)}",
    )  # fmt: skip


def about(kind: Kind, order_id: int = 0, price: int = 0) -> Command:
    return Command(0, kind, "BTC", account=1, order_id=order_id, price=price)


def test_an_open_order_tells_when_it_last_changed_also_after_a_restart() -> None:
    world = Harness()
    entered = world.now_us
    for _ in range(3):
        world.one(place(BUY, 100, 5))
    world.now_us += 1000
    world.one(place(SELL, 100, 2, account=2))  # fills a part of the first
    world.now_us += 1000
    world.one(about(Kind.REPLACE, 3, price=99))
    wanted = [entered + 1000, entered, entered + 2000]

    def told() -> list[int]:
        world.now_us += 1000
        listed = [reply.time_us for reply in world.ask(about(Kind.QUERY_OPEN))[0][:-1]]
        alone = [world.one(about(Kind.QUERY_ORDER, n)).time_us for n in (1, 2, 3)]
        assert listed == alone
        return alone

    assert told() == wanted
    world.restart()
    assert told() == wanted


def test_an_open_row_from_before_the_time_was_stored_tells_that_of_its_entry() -> None:
    world = Harness()
    entered = world.now_us
    world.one(place(BUY, 100, 5))
    world.tables.open_orders["BTC", 1]["updated_us"] = 0
    world.now_us += 1000
    world.restart()
    assert world.one(about(Kind.QUERY_ORDER, 1)).time_us == entered
