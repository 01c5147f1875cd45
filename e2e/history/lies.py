"""Histories and shards that break a law, one each: made from a true one by one change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from history.imagined import GRID, SYMBOL, World
from history.rows import OrderRow


def first(world: World, status: str) -> OrderRow:
    acknowledged = {call.key.client_order_id for call in world.calls if call.order_id is not None}
    return next(
        order for order in world.orders.values()
        if order.status == status and order.client_id in acknowledged
    )  # fmt: skip


def lose_an_order(world: World) -> None:
    del world.orders[first(world, "NEW").order_id]


def store_another_price(world: World) -> None:
    order = first(world, "NEW")
    world.orders[order.order_id] = replace(order, price=order.price + 1)


def forget_a_cancel(world: World) -> None:
    order = first(world, "CANCELED")
    world.orders[order.order_id] = replace(order, status="EXPIRED")


def store_an_order_twice(world: World) -> None:
    order = first(world, "NEW")
    number = len(world.orders) + 1
    world.orders[number] = replace(order, order_id=number)


def answer_a_resend_with_another_id(world: World) -> None:
    order = first(world, "NEW")
    world.call(
        "place", order.account, order.client_id, order_id=order.order_id + 1, side=order.side,
        price=str(order.price * GRID.tick), quantity=str(order.quantity * GRID.lot),
    )  # fmt: skip


def store_what_was_refused(world: World) -> None:
    world.orders[len(world.orders) + 1] = OrderRow(
        SYMBOL, len(world.orders) + 1, 1, "refused", "BUY", 1, 1
    )


def store_what_nobody_sent(world: World) -> None:
    world.orders[len(world.orders) + 1] = OrderRow(
        SYMBOL, len(world.orders) + 1, 1, "surprise", "BUY", 1, 1
    )


def sequence_a_later_order_first(world: World) -> None:
    places = [i for i, c in enumerate(world.calls) if c.operation == "place" and c.order_id]
    one, other = places[0], places[-1]
    first_call, last_call = world.calls[one], world.calls[other]
    for place, call, donor in ((one, first_call, last_call), (other, last_call, first_call)):
        world.calls[place] = replace(
            call, invoked_at=donor.invoked_at, returned_at=donor.returned_at
        )


def leave_a_gap_in_the_order_ids(world: World) -> None:
    order = world.orders.pop(len(world.orders))
    world.orders[order.order_id + 1] = replace(order, order_id=order.order_id + 1)


def leave_a_gap_in_the_trade_ids(world: World) -> None:
    world.trades[-1] = replace(world.trades[-1], trade_id=len(world.trades) + 1)


def skip_a_sequence(world: World) -> None:
    del world.log[5]


def fall_back_an_epoch(world: World) -> None:
    world.log[3] = replace(world.log[3], epoch=2)


def trade_at_the_takers_price(world: World) -> None:
    orders = world.orders
    index, trade = next(
        (i, t) for i, t in enumerate(world.trades)
        if orders[t.taker_order_id].price != t.price
    )  # fmt: skip
    price = orders[trade.taker_order_id].price
    world.trades[index] = replace(trade, price=price)
    for order_id in (trade.maker_order_id, trade.taker_order_id):
        more = trade.quantity * (price - trade.price)
        row = orders[order_id]
        orders[order_id] = replace(row, executed_quote=row.executed_quote + more)


def change_the_log(world: World) -> None:
    row = world.log[4]
    world.log[4] = replace(row, payload=row.payload[:-1] + b"\1")


def lose_a_leg(world: World) -> None:
    order = first(world, "FILLED")
    world.orders[order.order_id] = replace(order, executed=order.executed - 1)


def fill_an_order_that_is_still_open(world: World) -> None:
    order = first(world, "NEW")
    world.orders[order.order_id] = replace(order, status="FILLED", is_open=False)


def give_two_orders_one_id(world: World) -> None:
    order = first(world, "NEW")
    world.orders[-1] = replace(order, client_id=f"{order.client_id}-too")


def trade_between_two_buyers(world: World) -> None:
    order = world.orders[world.trades[0].taker_order_id]
    side = {"BUY": "SELL", "SELL": "BUY"}[order.side]
    world.orders[order.order_id] = replace(order, side=side)


def trade_nothing(world: World) -> None:
    world.trades[0] = replace(world.trades[0], quantity=0)


def garble_the_log(world: World) -> None:
    row = world.log[4]
    world.log[4] = replace(row, payload=b"\x07" + row.payload[1:])


def count_a_command_too_many(world: World) -> None:
    row = world.log[4]
    world.log[4] = replace(row, seq_lo=row.seq_lo - 1)


def serve_a_slot_from_two_shards(world: World) -> None:
    world.owners[1] = replace(world.owners[1], state="ACTIVE")


def fall_back_behind_an_epoch_of_another_shard(world: World) -> None:
    world.owners[1] = replace(world.owners[1], epoch=3)


def leave_a_move_half_done(world: World) -> None:
    world.owners[1] = replace(world.owners[1], state="SEALED")


def serve_a_symbol_from_nowhere(world: World) -> None:
    world.owners[0] = replace(world.owners[0], past="L")


LIES: list[tuple[str, Callable[[World], None]]] = [
    ("H1", lose_an_order),
    ("H1", store_another_price),
    ("H1", forget_a_cancel),
    ("H2", store_an_order_twice),
    ("H2", answer_a_resend_with_another_id),
    ("H3", store_what_was_refused),
    ("H3", store_what_nobody_sent),
    ("H4", sequence_a_later_order_first),
    ("H5", leave_a_gap_in_the_order_ids),
    ("H5", leave_a_gap_in_the_trade_ids),
    ("H5", skip_a_sequence),
    ("H5", fall_back_an_epoch),
    ("H6", trade_at_the_takers_price),
    ("H6", change_the_log),
    ("H2", give_two_orders_one_id),
    ("H6", garble_the_log),
    ("H6", count_a_command_too_many),
    ("H7", lose_a_leg),
    ("H7", trade_between_two_buyers),
    ("H7", trade_nothing),
    ("H7", fill_an_order_that_is_still_open),
    ("H8", serve_a_slot_from_two_shards),
    ("H8", fall_back_behind_an_epoch_of_another_shard),
    ("H8", leave_a_move_half_done),
    ("H8", serve_a_symbol_from_nowhere),
]
