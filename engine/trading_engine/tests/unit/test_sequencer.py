"""What the sequencer promises for each command, without a shard."""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from trading_contract.wire import (
    COMMAND_BYTES,
    FLAG_CANCELLED_PART,
    FLAG_MORE,
    Code,
    Command,
    EndReason,
    Kind,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from trading_engine._core import Sequencer
from trading_engine.tests.sequenced import Harness

_ids = itertools.count(1)
BUY, SELL = Side.BUY, Side.SELL


def place(side: Side, price: int, quantity: int, account: int = 1, **others: Any) -> Command:
    others.setdefault("client_id", f"c{next(_ids)}")
    return Command(
        0, Kind.PLACE, others.pop("symbol", "BTC"), account=account, side=side, price=price,
        quantity=quantity, **others,
    )  # fmt: skip


def about(kind: Kind, order_id: int = 0, account: int = 1, **others: Any) -> Command:
    return Command(0, kind, "BTC", account=account, order_id=order_id, **others)


def test_an_order_that_rests_is_one_open_row_and_one_reply() -> None:
    world = Harness()
    reply = world.one(place(BUY, 100, 5, client_id="mine"))
    assert (reply.code, reply.order_id, reply.status) == (Code.OK, 1, OrderStatus.NEW)
    assert (reply.created_us, reply.epoch, reply.sequence) == (world.now_us, 1, 1)
    (row,) = world.tables.open_orders.values()
    assert (row["order_id"], row["client_id"], row["price"], row["quantity"]) == (1, "mine", 100, 5)
    assert not world.tables.closed_orders and not world.tables.trades


def test_a_trade_closes_the_filled_side_and_updates_the_other() -> None:
    world = Harness()
    maker = world.one(place(BUY, 100, 5))
    taker = world.one(place(SELL, 99, 2, account=2))
    assert (taker.status, taker.executed, taker.executed_quote) == (OrderStatus.FILLED, 2, 200)
    assert [(f.trade_id, f.price, f.quantity, f.maker_order_id) for f in taker.fills] == [
        (1, 100, 2, maker.order_id)
    ]
    assert world.tables.open_orders["BTC", 1]["executed"] == 2
    assert world.tables.closed_orders["BTC", 2]["entry_trade_id"] == 1
    assert world.tables.trades["BTC", 1]["maker_account"] == 1


def test_an_order_that_ends_in_its_own_batch_is_only_closed() -> None:
    world = Harness()
    world.ask(place(BUY, 100, 5), about(Kind.CANCEL, 1))
    assert not world.tables.open_orders
    assert list(world.tables.closed_orders) == [("BTC", 1)]


def test_ids_are_dense_over_batches_and_refusals() -> None:
    world = Harness()
    first = world.one(place(BUY, 100, 5))
    refused = world.one(place(BUY, 0, 5))
    second = world.one(place(BUY, 100, 5))
    assert refused.code is Code.INVALID_ORDER
    assert (first.order_id, second.order_id) == (1, 2)


def test_the_same_client_id_and_body_names_the_first_order() -> None:
    world = Harness()
    order = place(BUY, 100, 5, client_id="again")
    first = world.one(order)
    same = world.one(order)
    other = world.one(replace(order, price=101))
    assert (same.code, same.order_id) == (Code.DUPLICATE_SAME, first.order_id)
    assert other.code is Code.DUPLICATE_OTHER
    assert len(world.tables.open_orders) == 1


def test_a_client_id_is_taken_per_account_and_symbol_only() -> None:
    world = Harness("BTC", "ETH")
    codes = [
        world.one(place(BUY, 100, 5, client_id="x")).code,
        world.one(place(BUY, 100, 5, client_id="x", account=2)).code,
        world.one(place(BUY, 100, 5, client_id="x", symbol="ETH")).code,
    ]
    assert codes == [Code.OK] * 3


def test_a_repeat_within_one_batch_is_seen() -> None:
    world = Harness()
    order = place(BUY, 100, 5, client_id="twice")
    first, second = world.ask(order, order)
    assert (first[0].code, second[0].code) == (Code.OK, Code.DUPLICATE_SAME)


def test_client_ids_of_ended_orders_leave_by_number_and_by_age() -> None:
    world = Harness(ended_max=2, window_us=1000)
    ids = ["a", "b", "c"]
    for client_id in ids:
        order = world.one(place(BUY, 100, 5, client_id=client_id))
        world.one(about(Kind.CANCEL, order.order_id))
    assert world.one(place(BUY, 100, 5, client_id="c")).code is Code.DUPLICATE_SAME
    assert world.one(place(BUY, 100, 5, client_id="a")).code is Code.OK
    world.now_us += 5000
    world.ask(about(Kind.QUERY_ORDER, 1))
    assert world.one(place(BUY, 100, 5, client_id="c")).code is Code.OK
    assert world.one(place(BUY, 100, 5, client_id="a")).code is Code.DUPLICATE_SAME  # still open


def test_a_cancel_by_client_id_finds_the_order_of_that_account_only() -> None:
    world = Harness()
    world.one(place(BUY, 100, 5, client_id="target"))
    foreign = world.one(about(Kind.CANCEL, account=2, target_client_id="target"))
    own = world.one(about(Kind.CANCEL, target_client_id="target"))
    again = world.one(about(Kind.CANCEL, target_client_id="target"))
    assert foreign.code is Code.ORDER_NOT_ACTIVE
    assert (own.code, own.status, own.end_reason) == (Code.OK, OrderStatus.CANCELED, EndReason.USER)
    assert again.code is Code.ORDER_NOT_ACTIVE


def test_a_cancel_by_number_and_client_id_needs_both_to_agree() -> None:
    world = Harness()
    world.ask(place(BUY, 100, 5, client_id="one"), place(BUY, 100, 5, client_id="two"))
    wrong = world.one(about(Kind.CANCEL, 1, target_client_id="two"))
    right = world.one(about(Kind.CANCEL, 2, target_client_id="two"))
    assert (wrong.code, right.code) == (Code.ORDER_NOT_ACTIVE, Code.OK)


def test_cancel_replace_answers_both_halves() -> None:
    world = Harness()
    world.one(place(BUY, 100, 5))
    (replies,) = world.ask(replace(place(BUY, 90, 7), kind=Kind.CANCEL_REPLACE, order_id=1))
    assert [r.flags for r in replies] == [FLAG_MORE | FLAG_CANCELLED_PART, 0]
    assert [(r.code, r.order_id, r.status) for r in replies] == [
        (Code.OK, 1, OrderStatus.CANCELED),
        (Code.OK, 2, OrderStatus.NEW),
    ]


def test_cancel_replace_of_an_unknown_order_places_nothing() -> None:
    world = Harness()
    (replies,) = world.ask(replace(place(BUY, 90, 7), kind=Kind.CANCEL_REPLACE, order_id=9))
    assert replies[0].code is Code.ORDER_NOT_ACTIVE
    assert replies[0].flags == FLAG_MORE | FLAG_CANCELLED_PART
    assert replies[-1].code is not Code.OK
    assert not world.tables.open_orders


def test_cancel_all_lists_the_accounts_orders_and_ends() -> None:
    world = Harness()
    world.ask(place(BUY, 100, 5), place(BUY, 99, 5), place(BUY, 98, 5, account=2))
    (replies,) = world.ask(about(Kind.CANCEL_ALL))
    assert [r.code for r in replies] == [Code.OK, Code.OK, Code.END]
    assert [r.order_id for r in replies[:-1]] == [1, 2]
    assert replies[-1].executed == 2
    assert [key[1] for key in world.tables.open_orders] == [3]


def test_reduce_amend_and_replace_change_the_row() -> None:
    world = Harness()
    world.one(place(BUY, 100, 10))
    reduced = world.one(about(Kind.REDUCE, 1, quantity=3))
    amended = world.one(about(Kind.AMEND, 1, quantity=5))
    replaced = world.one(about(Kind.REPLACE, 1, price=101, quantity=8))
    assert [reduced.quantity, amended.quantity] == [7, 5]
    assert (replaced.price, replaced.quantity, replaced.order_id) == (101, 8, 1)
    row = world.tables.open_orders["BTC", 1]
    assert (row["price"], row["quantity"]) == (101, 8)


def test_a_market_order_by_quote_tells_what_it_bought() -> None:
    world = Harness()
    world.one(place(SELL, 10, 100, account=2))
    reply = world.one(
        place(BUY, 0, 0, type=OrderType.MARKET, quote_quantity=55, client_id="by-quote")
    )
    assert (reply.executed, reply.quantity, reply.executed_quote) == (5, 5, 50)


def test_what_self_trade_prevention_takes_is_told_and_stored() -> None:
    world = Harness()
    world.one(place(SELL, 100, 5))
    reply = world.one(place(BUY, 100, 8, self_trade=SelfTrade.EXPIRE_TAKER))
    assert (reply.status, reply.prevented, reply.executed) == (OrderStatus.EXPIRED_IN_MATCH, 8, 0)
    assert world.tables.closed_orders["BTC", 2]["prevented"] == 8


def test_queries_change_nothing_and_need_no_commit() -> None:
    world = Harness()
    world.one(place(BUY, 100, 5, client_id="q"))
    raw = b"".join(
        replace(c, request_id=n).pack()
        for n, c in enumerate(
            (about(Kind.QUERY_ORDER, 1), about(Kind.QUERY_OPEN), about(Kind.CANCEL, 77)), 500
        )
    )
    world.sequencer.enqueue(7, raw)
    batch = world.sequencer.sequence(0, world.now_us, 10)
    assert not batch.changes
    by_number, listed, unknown = world.replies(batch, [500, 501, 502])
    assert (by_number[0].order_id, by_number[0].client_id) == (1, "q")
    assert [r.code for r in listed] == [Code.OK, Code.END]
    assert unknown[0].code is Code.ORDER_NOT_ACTIVE


def test_a_query_for_another_accounts_order_finds_nothing() -> None:
    world = Harness()
    world.one(place(BUY, 100, 5))
    assert world.one(about(Kind.QUERY_ORDER, 1, account=2)).code is Code.NO_SUCH_ORDER


def test_depth_tells_levels_and_the_update_that_made_them() -> None:
    world = Harness()
    world.ask(place(BUY, 100, 5), place(BUY, 100, 2), place(SELL, 105, 1))
    depth = world.depth(Command(0, Kind.QUERY_DEPTH, "BTC", quantity=10))
    assert (depth.bids, depth.asks, depth.update_id) == (((100, 7),), ((105, 1),), 3)


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "XRP"},
        {"account": -1},
        {"quantity": 0},
        {"quantity": -5},
        {"price": -1},
        {"price": 2**62, "quantity": 2**62},
        {"client_id": ""},
        {"type": OrderType.MARKET, "time_in_force": TimeInForce.FOK, "price": 7},
    ],
    ids=str,
)
def test_an_impossible_order_is_refused_and_leaves_no_trace(change: dict[str, Any]) -> None:
    world = Harness()
    reply = world.one(replace(place(BUY, 100, 5), **change))
    assert reply.code in (Code.INVALID_ORDER, Code.MALFORMED, Code.UNKNOWN_SYMBOL)
    assert reply.order_id == 0
    assert not world.tables.slots


def _raw(**bytes_at: tuple[int, bytes]) -> bytes:
    raw = bytearray(place(BUY, 100, 5, client_id="abc").pack())
    for at, value in bytes_at.values():
        raw[at : at + len(value)] = value
    return bytes(raw)


CLIENT_ID_AT, KIND_AT = 88, 160


@pytest.mark.parametrize(
    "raw",
    [
        _raw(kind=(KIND_AT, b"\x00")),
        _raw(kind=(KIND_AT, b"\xff")),
        _raw(side=(KIND_AT + 1, b"\x02")),
        _raw(type=(KIND_AT + 2, b"\x09")),
        _raw(time_in_force=(KIND_AT + 3, b"\x7f")),
        _raw(self_trade=(KIND_AT + 4, b"\x05")),
        _raw(client_id=(CLIENT_ID_AT, b"\xff\xfe")),
        _raw(client_id=(CLIENT_ID_AT, b"a\0b")),
        _raw(target=(CLIENT_ID_AT + 36, b"it's")),
        _raw(symbol=(8, b"\xff" * 16)),
        _raw(symbol=(8, b"btc")),
    ],
)
def test_garbage_is_answered_and_changes_nothing(raw: bytes) -> None:
    world = Harness()
    assert len(raw) == COMMAND_BYTES
    world.sequencer.enqueue(7, raw)
    batch = world.sequencer.sequence(0, world.now_us, 1)
    assert not batch.changes
    (_, data), *rest = batch.outboxes
    assert not rest
    code = struct.unpack_from("<H", data, 8 + 184)[0]
    assert Code(code) in (Code.MALFORMED, Code.UNKNOWN_SYMBOL)


def test_half_a_record_is_refused_as_a_whole() -> None:
    world = Harness()
    assert not world.sequencer.enqueue(7, bytes(COMMAND_BYTES - 1))
    assert world.sequencer.waiting(0) == 0


def test_a_request_that_expired_is_not_applied() -> None:
    world = Harness()
    late = world.one(place(BUY, 100, 5, expires_us=world.now_us - 1))
    in_time = world.one(place(BUY, 100, 5, expires_us=world.now_us))
    assert (late.code, in_time.code) == (Code.REQUEST_EXPIRED, Code.OK)


def test_a_newer_epoch_than_ours_means_wrong_owner() -> None:
    world = Harness()
    newer = world.one(place(BUY, 100, 5, epoch=2))
    older = world.one(place(BUY, 100, 5, epoch=1))
    assert (newer.code, newer.epoch, older.code) == (Code.WRONG_OWNER, 1, Code.OK)


def test_symbols_outside_the_slots_have_another_owner() -> None:
    sequencer = Sequencer(10, 10**9)
    sequencer.set_symbol("AAA")
    sequencer.set_symbol("MMM")
    sequencer.set_slot(1, "", "M", 0, 4, 0, bytes(32))
    world = Harness("AAA", "MMM")
    world.sequencer = sequencer
    inside = world.one(place(BUY, 100, 5, symbol="AAA"))
    outside = world.one(place(BUY, 100, 5, symbol="MMM"))
    assert (inside.code, outside.code) == (Code.OK, Code.WRONG_OWNER)


def test_the_price_band_follows_the_last_trade() -> None:
    world = Harness()
    world.sequencer.set_symbol("BTC", price_band_percent=10)
    assert world.one(place(BUY, 5000, 1)).code is Code.OK  # nothing has traded yet
    world.one(about(Kind.CANCEL, 1))
    world.ask(place(BUY, 100, 1), place(SELL, 100, 1, account=2))
    codes = [world.one(place(BUY, price, 1)).code for price in (89, 90, 110, 111)]
    assert codes == [Code.PRICE_BAND, Code.OK, Code.OK, Code.PRICE_BAND]


def test_open_orders_per_account_are_limited() -> None:
    world = Harness()
    world.sequencer.set_symbol("BTC", open_orders_per_account_max=2)
    codes = [world.one(place(BUY, 100, 1)).code for _ in range(3)]
    other = world.one(place(BUY, 100, 1, account=2)).code
    assert codes == [Code.OK, Code.OK, Code.TOO_MANY_OPEN_ORDERS]
    assert other is Code.OK


def test_a_halted_symbol_takes_cancels_only() -> None:
    world = Harness()
    world.one(place(BUY, 100, 1))
    world.sequencer.set_symbol("BTC", halted=True)
    assert world.one(place(BUY, 100, 1)).code is Code.SYMBOL_HALTED
    assert world.one(about(Kind.CANCEL, 1)).code is Code.OK


def test_halt_and_clear_are_for_the_system_alone() -> None:
    world = Harness()
    world.one(place(BUY, 100, 1))
    assert world.one(about(Kind.HALT)).code is Code.MALFORMED
    assert world.one(about(Kind.CLEAR)).code is Code.MALFORMED
    world.one(about(Kind.HALT, account=0))
    assert world.one(place(BUY, 100, 1)).code is Code.SYMBOL_HALTED
    assert world.tables.states["BTC"]["halted"] is True
    world.one(about(Kind.CLEAR, account=0))
    assert not world.tables.open_orders
    world.restart()
    assert world.one(place(BUY, 100, 1)).code is Code.SYMBOL_HALTED
    world.one(about(Kind.RESUME, account=0))
    assert world.one(place(BUY, 100, 1)).code is Code.OK


def test_a_delisted_symbol_keeps_its_orders_but_takes_no_new_ones() -> None:
    world = Harness()
    world.one(place(BUY, 100, 1))
    world.symbols = ()
    world.restart()
    assert world.one(place(BUY, 100, 1)).code is Code.UNKNOWN_SYMBOL
    assert world.one(about(Kind.CANCEL, 1)).code is Code.OK
    world.sequencer.set_symbol("BTC")
    assert world.one(place(BUY, 100, 1)).order_id == 2


def test_every_connection_gets_its_own_answers() -> None:
    world = Harness()
    for connection in (1, 2, 3):
        command = replace(place(BUY, 100, 1), request_id=connection)
        world.sequencer.enqueue(connection, command.pack() * 1)
    batch = world.sequencer.sequence(0, world.now_us, 10)
    assert [connection for connection, _ in batch.outboxes] == [1, 2, 3]


def test_an_open_batch_takes_more_until_it_is_sealed() -> None:
    world = Harness()
    order = place(BUY, 100, 5, client_id="first")
    world.sequencer.enqueue(1, replace(order, request_id=1).pack())
    assert world.sequencer.advance(0, world.now_us, 10) == 1
    world.sequencer.enqueue(1, replace(about(Kind.CANCEL, 1), request_id=2).pack() * 3)
    assert world.sequencer.advance(0, world.now_us, 3) == 3
    batch = world.sequencer.seal(0)
    assert (batch.commands, world.sequencer.waiting(0)) == (3, 1)
    world.tables.commit(batch)
    assert list(world.tables.closed_orders) == [("BTC", 1)]
    assert not world.tables.open_orders
    assert world.sequencer.seal(0).commands == 0


def test_refusing_answers_what_waits_and_spares_the_open_batch() -> None:
    world = Harness()
    world.sequencer.enqueue(1, replace(place(BUY, 100, 5), request_id=1).pack())
    world.sequencer.advance(0, world.now_us, 10)
    world.sequencer.enqueue(1, replace(place(BUY, 100, 5), request_id=2).pack())
    (refused,) = world.replies(world.sequencer.refuse(0, Code.BUSY, world.now_us), [2])
    assert refused[0].code is Code.BUSY
    assert world.sequencer.seal(0).commands == 1


def test_the_chain_covers_every_batch_of_the_slot() -> None:
    import hashlib

    world = Harness()
    for _ in range(3):
        world.ask(place(BUY, 100, 5), place(SELL, 100, 5, account=2))
    chain = bytes(32)
    for row in world.tables.slots:
        head = chain + struct.pack(">q", row["sequence"])
        chain = hashlib.sha256(head + row["payload"]).digest()
        assert row["chain"] == chain
    assert [row["previous"] for row in world.tables.slots] == [0, 2, 4]


def test_market_data_continues_without_a_gap_over_a_restart() -> None:
    world = Harness()

    def published() -> list[Any]:
        return [
            msgspec.msgpack.decode(message)
            for name, message, keep in world.sequencer.publications(0, world.now_us)
            if name == "{BTC}:market" and not keep
        ]

    world.ask(place(BUY, 100, 5), place(SELL, 100, 2, account=2))
    (first,) = published()
    world.restart()
    world.ask(place(BUY, 99, 1))
    (second,) = published()
    assert (first["U"], first["u"], second["U"], second["u"]) == (1, 2, 3, 3)
    assert first["b"] == [[100, 3]] and second["b"] == [[99, 1]]
    assert first["t"] == [[1, 100, 2, 1, 2, 1, world.now_us]]
    assert second["bb"] == [100, 3] and second["lp"] == 100


def test_executions_go_to_the_channel_of_their_account() -> None:
    world = Harness()
    world.ask(place(BUY, 100, 5, account=3), place(SELL, 100, 5, account=67 + 64))
    found = {
        name: msgspec.msgpack.decode(message)
        for name, message, _ in world.sequencer.publications(0, world.now_us)
        if name.endswith(":executions")
    }
    assert set(found) == {"{user-3}:executions"}
    kinds = [(x["account"], x["kind"], x["maker"]) for x in found["{user-3}:executions"]]
    assert kinds == [
        (3, "NEW", False), (131, "NEW", False), (131, "TRADE", False), (3, "TRADE", True),
    ]  # fmt: skip


def test_open_orders_are_listed_oldest_first_also_after_a_restart() -> None:
    world = Harness()
    placed = [world.one(place(BUY, 90 + n % 3, 5)).order_id for n in range(6)]
    world.one(about(Kind.REPLACE, placed[1], price=80))  # the youngest now
    wanted = [placed[0], *placed[2:], placed[1]]

    def listed() -> list[int]:
        replies = world.ask(about(Kind.QUERY_OPEN))[0]
        return [reply.order_id for reply in replies[:-1]]

    assert listed() == wanted
    world.restart()
    assert listed() == wanted


def test_the_first_change_after_a_quiet_time_is_in_the_stored_book_at_once() -> None:
    world = Harness()

    def is_stored(after_us: int) -> bool:
        world.now_us += after_us
        told = world.sequencer.publications(0, world.now_us)
        return any(name == "{BTC}:depth" for name, _, _ in told)

    world.one(place(BUY, 100, 5))
    assert is_stored(after_us=0)
    world.one(place(BUY, 101, 5))
    assert not is_stored(after_us=5_000)  # at a bounded rate
    assert is_stored(after_us=100_000)
    assert not is_stored(after_us=1_000_000)
    world.sequencer.snapshots(0, world.now_us)  # what is stored now and then is no change
    world.one(place(BUY, 102, 5))
    assert is_stored(after_us=5_000)
