"""Whoever follows a slot from any commit on has, at every later one, what its owner has."""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from trading_contract.wire import Code, Command, Kind
from trading_engine._core import Sequencer
from trading_engine.tests.property.test_recovery_equals_memory import SYMBOLS, commands
from trading_engine.tests.sequenced import Harness, Row

SLOT = 1
ALL = 1 << 30


def follower_of(world: Harness) -> Sequencer:
    """A sequencer that has read the tables and follows from there."""
    begun: Row = {"sequence": 0, "chain": bytes(32)}
    last = world.tables.slots[-1] if world.tables.slots else begun
    follower = Sequencer(world.ended_max, world.window_us)
    for name in world.symbols[:1]:  # of the other it hears in the rows
        follower.set_symbol(name, open_orders_per_account_max=1)
    world.load(follower)
    follower.follow_slot(SLOT, "", "~", 0, 1, last["sequence"], last["chain"])
    return follower


def replayed(follower: Sequencer, row: Row) -> int:
    """Give it one row of the log."""
    return follower.replay(SLOT, row["payload"], row["sequence"], row["chain"])


def digests(world: Harness, follower: Sequencer) -> list[tuple[bytes, str] | None]:
    """The owner's and the follower's, of all symbols."""
    since_us = world.sequencer.digest_since_us(world.now_us)
    return [s.digest(SLOT, "", "", ALL, since_us) for s in (world.sequencer, follower)]


batches_of_commands = st.lists(
    st.lists(commands(), min_size=1, max_size=8), min_size=2, max_size=12
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(batches_of_commands, st.data())
def test_a_follower_is_equal_at_every_commit_and_goes_on_as_the_owner_would(
    batches: list[list[Command]], data: st.DataObject
) -> None:
    world = Harness(*SYMBOLS)
    begins = data.draw(st.integers(0, len(batches) - 1))
    for batch in batches[:begins]:
        world.now_us += 1000
        world.ask(*batch)
    follower = follower_of(world)
    for batch in batches[begins:-1]:
        world.now_us += 1000
        before = len(world.tables.slots)
        world.ask(*batch)
        for row in world.tables.slots[before:]:
            assert replayed(follower, row) == row["sequence"] - row["previous"]
        mine, its = digests(world, follower)
        assert mine == its is not None
        assert follower.slot(SLOT) == world.sequencer.slot(SLOT)
        assert follower.idempotency_entries == world.sequencer.idempotency_entries
        assert follower.open_orders == world.sequencer.open_orders
    assert not follower.has_publications(0)
    _goes_on_alike(world, follower, batches[-1])


def _goes_on_alike(world: Harness, follower: Sequencer, last: list[Command]) -> None:
    """The next batch makes the same answers and the same rows."""
    slot = world.sequencer.slot(SLOT)
    assert slot is not None
    assert follower.open_slot(SLOT, 0, *slot[4:])
    for name in SYMBOLS:
        follower.set_symbol(name)
    questions = [
        Command(0, Kind.QUERY_OPEN, symbol, account=account)
        for symbol in SYMBOLS
        for account in (1, 2, 3)
    ]
    other = Harness(*SYMBOLS)
    other.sequencer, other.now_us = follower, world.now_us
    other.tables = copy.deepcopy(world.tables)
    sent = [*questions, *last, *questions]
    answers = [
        [[replace(reply, request_id=0) for reply in replies] for replies in each.ask(*sent)]
        for each in (other, world)
    ]
    assert answers[0] == answers[1]
    assert other.tables.slots == world.tables.slots
    assert other.tables.open_orders == world.tables.open_orders
    assert other.tables.closed_orders == world.tables.closed_orders
    assert other.tables.trades == world.tables.trades
    assert other.tables.states == world.tables.states


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batches_of_commands, st.data())
def test_a_log_that_is_not_the_owners_is_refused(
    batches: list[list[Command]], data: st.DataObject
) -> None:
    world = Harness(*SYMBOLS)
    follower = follower_of(world)
    for batch in batches:
        world.now_us += 1000
        world.ask(*batch)
    if not world.tables.slots:
        return
    row = world.tables.slots[0]
    at = data.draw(st.integers(0, len(row["payload"]) - 1))
    flipped = bytearray(row["payload"])
    flipped[at] ^= data.draw(st.integers(1, 255))
    cut = row["payload"][:at]
    change = data.draw(
        st.sampled_from(
            [{"payload": bytes(flipped)}, {"payload": cut}, {"sequence": row["sequence"] + 1},
             {"chain": bytes(32)}]
        )
    )  # fmt: skip
    assert replayed(follower, row | change) == -1
    assert replayed(follower_of(Harness(*SYMBOLS)), row) == row["sequence"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(commands(), min_size=5, max_size=40), st.integers(1, 3))
def test_slices_of_a_digest_are_of_all_symbols(sent: list[Command], orders_max: int) -> None:
    world = Harness(*SYMBOLS)
    follower = follower_of(world)
    world.ask(*sent)
    for row in world.tables.slots:
        replayed(follower, row)
    since_us = world.sequencer.digest_since_us(world.now_us)
    first, seen = "", []
    while first < "~":
        mine = world.sequencer.digest(SLOT, first, "", orders_max, since_us)
        assert mine is not None
        assert follower.digest(SLOT, first, mine[1], ALL, since_us) == mine
        seen.append(mine)
        assert mine[1] > first
        first = mine[1]
    assert len(seen) <= len(SYMBOLS)


def test_a_follower_that_remembers_too_little_gives_no_digest() -> None:
    world = Harness("AA", ended_max=1)
    place = Command(0, Kind.PLACE, "AA", account=1, price=10, quantity=1, client_id="a")
    for number in range(4):
        world.now_us += 1000
        world.ask(replace(place, client_id=f"c{number}"), Command(0, Kind.CANCEL_ALL, "AA", 1))
    since_us = world.sequencer.digest_since_us(world.now_us)
    assert since_us == world.now_us - 1000 + 1  # the last but one is forgotten
    assert world.sequencer.digest(SLOT, "", "", ALL, since_us) is not None
    assert world.sequencer.digest(SLOT, "", "", ALL, since_us - 1) is None


def test_a_client_id_that_the_owner_forgot_is_no_surprise_to_a_follower() -> None:
    world = Harness("AA", ended_max=1)
    follower = follower_of(Harness("AA", ended_max=1000))
    place = Command(0, Kind.PLACE, "AA", account=1, price=10, quantity=1)
    for client_id in ("a", "b", "c", "a"):
        world.now_us += 1000
        reply = world.one(replace(place, client_id=client_id))
        assert reply.code is Code.OK
        world.one(Command(0, Kind.CANCEL, "AA", account=1, order_id=reply.order_id))
    world.one(replace(place, client_id="b"))
    for row in world.tables.slots:
        assert replayed(follower, row) == 1
    slot = world.sequencer.slot(SLOT)
    assert slot is not None and follower.open_slot(SLOT, 0, *slot[4:])
    other = Harness("AA")
    other.sequencer = follower
    assert other.one(replace(place, client_id="b")).code is Code.DUPLICATE_SAME
    assert other.one(replace(place, client_id="c")).code is Code.DUPLICATE_SAME  # knows more
