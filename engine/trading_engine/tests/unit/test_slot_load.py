"""What slots and symbols cost: counted by what their commands did, hottest exact."""

from __future__ import annotations

from trading_contract.wire import Command, Kind, Side
from trading_engine._core import Sequencer
from trading_engine.tests.sequenced import Harness

HOTTEST_MAX = 8


def place(symbol: str, client_id: str, side: Side = Side.BUY, **more: int) -> Command:
    """An order of 1 at 10."""
    return Command(
        0, Kind.PLACE, symbol, account=more.get("account", 1), side=side,
        price=more.get("price", 10), quantity=1, client_id=client_id,
    )  # fmt: skip


def loads(sequencer: Sequencer) -> dict[int, tuple[int, int, int, int, int]]:
    """By slot: commands, orders, trades, busy nanoseconds, open orders."""
    return {row[0]: (row[1], row[2], row[3], row[4], row[5]) for row in sequencer.slot_loads()}


def hottest(sequencer: Sequencer, slot: int = 1) -> dict[str, int]:
    """Busy nanoseconds of the symbols that a slot tells."""
    return {name: ns for row in sequencer.slot_loads() if row[0] == slot for name, ns in row[6]}


def two_slots(*symbols: str) -> Harness:
    """Slot 1 has what lies before M, slot 2 the rest."""
    world = Harness(*symbols)
    world.sequencer.set_slot(1, "", "M", 0, 1, 0, bytes(32))
    world.sequencer.set_slot(2, "M", "~", 0, 1, 0, bytes(32))
    return world


def test_counters_are_of_the_slot_and_open_orders_follow_the_book() -> None:
    world = two_slots("AA", "ZZ")
    world.ask(place("AA", "one"), place("AA", "two", price=9), place("ZZ", "three"))
    taker = place("AA", "four", Side.SELL, account=2)
    world.ask(taker, taker)  # trades; repeated
    commands, orders, trades, busy, still_open = loads(world.sequencer)[1]
    assert (commands, orders, trades, still_open) == (4, 3, 1, 1)
    assert loads(world.sequencer)[2][:3] == (1, 1, 0)
    assert busy > 0
    assert sum(row[4] for row in loads(world.sequencer).values()) == world.sequencer.open_orders


def test_open_orders_are_right_after_recovery_and_after_a_split() -> None:
    world = Harness("AA", "BB", "ZZ")
    world.ask(place("AA", "one"), place("ZZ", "two"), place("ZZ", "three", price=9))
    world.restart()
    assert loads(world.sequencer)[1][4] == 3
    world.sequencer.hold_slot(1)
    assert world.sequencer.split_slot(1, "M", 2, 5)
    assert [row[4] for row in loads(world.sequencer).values()] == [1, 2]
    world.sequencer.drop_slot(2)
    world.sequencer.forget_slot(2)
    assert {slot: row[4] for slot, row in loads(world.sequencer).items()} == {1: 1}


def test_a_busy_slot_costs_more_than_a_quiet_one() -> None:
    world = two_slots("AA", "ZZ")
    for number in range(50):
        busy = [place("ZZ", f"z-{number}-{each}") for each in range(20)]
        world.ask(place("AA", f"a-{number}"), *busy)
    quiet_ns, busy_ns = (row[3] for row in loads(world.sequencer).values())
    assert 15 < busy_ns / quiet_ns < 25  # 20 orders to 1, as every order here does the same


def test_the_hottest_are_the_busiest_of_this_round_and_the_one_before() -> None:
    names = [f"S{number:03}" for number in range(100)]
    world = Harness(*names)
    hot = set(names[90:98])
    world.ask(*(place(name, f"all-{name}") for name in names))
    for number in range(30):
        world.ask(*(place(name, f"{number}-{name}") for name in sorted(hot)))
    assert set(hottest(world.sequencer)) == hot
    before = hottest(world.sequencer)
    world.sequencer.begin_round()
    world.ask(place("S001", "later"))
    assert set(hottest(world.sequencer)) == hot | {"S001"}
    assert all(hottest(world.sequencer)[name] == before[name] for name in hot)
    world.sequencer.begin_round()
    assert set(hottest(world.sequencer)) == {"S001"}


def test_the_hottest_are_bounded_and_exact_in_whatever_order_they_come() -> None:
    names = [f"S{number:02}" for number in range(40)]
    world = Harness(*names)
    orders = [  # each one more than the one before, which is then no longer among the hottest
        place(name, f"{name}-{each}") for number, name in enumerate(names) for each in range(number)
    ]
    world.ask(*orders)
    assert set(hottest(world.sequencer)) == set(names[-HOTTEST_MAX:])
    backwards = Harness(*names)
    backwards.ask(*orders[::-1])
    assert set(hottest(backwards.sequencer)) == set(names[-HOTTEST_MAX:])


def test_refusals_are_counted() -> None:
    world = Harness("AA")
    world.ask(place("NOPE", "one"), place("AA", "two"), place("AA", "", Side.SELL))
    assert world.sequencer.refusals == 2
    assert loads(world.sequencer)[1][:2] == (2, 1)
