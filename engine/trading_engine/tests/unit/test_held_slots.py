"""Commands that are set aside while their slot changes, and slots that change."""

from __future__ import annotations

import hashlib

from trading_contract.wire import Code, Command, Kind, Side
from trading_engine.tests.sequenced import Harness

SLOT = 1


def place(symbol: str, client_id: str, **others: int) -> Command:
    """A bid of 1 at 10."""
    return Command(
        others.get("number", 0), Kind.PLACE, symbol, account=1, side=Side.BUY, price=10, quantity=1,
        client_id=client_id,
    )  # fmt: skip


def send(world: Harness, *commands: Command) -> None:
    """Queue them, and let what may into a batch; commit it."""
    assert world.sequencer.enqueue(7, b"".join(c.pack() for c in commands))
    batch = world.sequencer.sequence(0, world.now_us, 100)
    world.tables.commit(batch)


def test_what_is_set_aside_goes_first_when_it_goes_on() -> None:
    world = Harness("AA", "BB")
    world.sequencer.hold_slot(SLOT)
    send(world, place("AA", "one"), place("BB", "two"))
    assert (world.sequencer.held(0), world.sequencer.waiting(0)) == (2, 0)
    assert not world.tables.open_orders
    assert world.sequencer.enqueue(7, place("AA", "three").pack())
    world.sequencer.resume_held(0)
    assert (world.sequencer.held(0), world.sequencer.waiting(0)) == (0, 3)
    send(world)
    assert world.tables.open_orders["AA", 1]["client_id"] == "one"
    assert world.tables.open_orders["AA", 2]["client_id"] == "three"


def test_what_is_set_aside_is_refused_when_the_slot_is_gone() -> None:
    world = Harness("AA")
    world.sequencer.hold_slot(SLOT)
    send(world, place("AA", "one", number=4))
    world.sequencer.drop_slot(SLOT)
    refused = world.sequencer.refuse_held(0, Code.WRONG_OWNER, world.now_us)
    ((reply,),) = world.replies(refused, [4])
    assert (reply.code, reply.request_id) == (Code.WRONG_OWNER, 4)
    assert (world.sequencer.held(0), world.sequencer.waiting(0)) == (0, 0)


def test_a_shard_that_is_away_refuses_what_is_set_aside_too() -> None:
    world = Harness("AA")
    world.sequencer.hold_slot(SLOT)
    send(world, place("AA", "one", number=4))
    assert world.sequencer.enqueue(7, place("AA", "two", number=5).pack())
    refused = world.sequencer.refuse(0, Code.BUSY, world.now_us)
    answers = world.replies(refused, [4, 5])
    assert [reply.code for (reply,) in answers] == [Code.BUSY, Code.BUSY]
    assert world.sequencer.held(0) == 0


def test_a_split_slot_goes_on_as_two_that_both_continue_its_log() -> None:
    world = Harness("AA", "BB")
    send(world, place("AA", "one"), place("BB", "two"))
    chain = world.tables.slots[-1]["chain"]
    assert not world.sequencer.split_slot(SLOT, "BB", 9, 2), "it is not held"
    world.sequencer.hold_slot(SLOT)
    for at in ("", "~"):
        assert not world.sequencer.split_slot(SLOT, at, 9, 2)
    assert not world.sequencer.split_slot(SLOT, "BB", SLOT, 2), "the id is in use"
    assert world.sequencer.split_slot(SLOT, "BB", 9, 2)
    world.sequencer.resume_held(0)
    assert world.sequencer.slots() == [
        (SLOT, "", "BB", 0, 2, 2, chain), (9, "BB", "~", 0, 2, 2, chain),
    ]  # fmt: skip
    send(world, place("AA", "three"), place("BB", "four"), place("BB", "two"))
    rows = [(row["slot_id"], row["epoch"], row["sequence"]) for row in world.tables.slots[1:]]
    assert rows == [(SLOT, 2, 3), (9, 2, 3)]
    assert len(world.tables.open_orders) == 4, "a client id was forgotten"


def test_merged_slots_go_on_as_one_beyond_both() -> None:
    world = Harness("AA", "BB")
    world.sequencer.hold_slot(SLOT)
    assert world.sequencer.split_slot(SLOT, "BB", 9, 2)
    world.sequencer.resume_held(0)
    send(world, place("AA", "one"), place("BB", "two"), place("BB", "three"))
    left, right = world.sequencer.slot(SLOT), world.sequencer.slot(9)
    assert left is not None
    assert right is not None
    chain = hashlib.sha256(left[6] + right[6]).digest()
    assert not world.sequencer.merge_slots(SLOT, 9, 3, 2, chain), "they are not held"
    world.sequencer.hold_slot(SLOT)
    assert not world.sequencer.merge_slots(SLOT, 9, 3, 2, chain), "one is not held"
    world.sequencer.hold_slot(9)
    assert not world.sequencer.merge_slots(9, SLOT, 3, 2, chain), "they are no neighbours so"
    assert world.sequencer.merge_slots(SLOT, 9, 3, 2, chain)
    world.sequencer.resume_held(0)
    assert world.sequencer.slots() == [(SLOT, "", "~", 0, 3, 2, chain)]
    send(world, place("BB", "four"), place("AA", "five"))
    assert world.tables.slots[-1]["sequence"] == 4
    assert len(world.tables.open_orders) == 5


def test_a_followed_slot_answers_nobody_and_opens_only_where_it_is() -> None:
    world = Harness("AA")
    send(world, place("AA", "one"))
    row = world.tables.slots[-1]
    follower = world.recovered()
    follower.follow_slot(SLOT, "", "~", 0, 1, row["sequence"], row["chain"])
    assert follower.slots() == []
    other = Harness("AA")
    other.sequencer = follower
    assert other.one(place("AA", "two")).code is Code.WRONG_OWNER
    assert not follower.open_slot(SLOT, 0, 2, row["sequence"] + 1, row["chain"])
    assert not follower.open_slot(SLOT, 0, 2, row["sequence"], bytes(32))
    assert not follower.open_slot(9, 0, 2, row["sequence"], row["chain"])
    assert follower.open_slot(SLOT, 0, 2, row["sequence"], row["chain"])
    assert not follower.open_slot(SLOT, 0, 3, row["sequence"], row["chain"]), "it is open"
    assert other.one(place("AA", "one")).code is Code.DUPLICATE_SAME
