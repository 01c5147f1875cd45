"""When a slot counts as missing: never while its orders are held."""

from __future__ import annotations

from trading_backend.partition_link import Claim
from trading_backend.slot_owners import HOLD_SECONDS, SlotOwners
from trading_contract.topology import SlotPlacement

LOWER = SlotPlacement(id=1, first="", past="M", partition="p0", shard="s0", epoch=1)
UPPER = SlotPlacement(id=2, first="M", past="~", partition="p1", shard="s0", epoch=1)
SLOTS = (LOWER, UPPER)


def claim(slot: SlotPlacement) -> Claim:
    """An owner's."""
    return Claim(slot.id, slot.epoch, slot.first, slot.past)


def owned(now_seconds: float = 100.0) -> SlotOwners:
    """Both slots have an owner."""
    owners = SlotOwners()
    owners.follow(SLOTS, map(claim, SLOTS), now_seconds)
    assert owners.missing(now_seconds) == []
    return owners


def test_a_slot_that_never_had_an_owner_is_missing_at_once_and_stays_so() -> None:
    owners = SlotOwners()
    owners.follow(SLOTS, [claim(LOWER)], 100.0)
    assert owners.missing(100.0) == [UPPER]
    owners.follow(SLOTS, [claim(LOWER)], 100.1)
    assert owners.missing(100.1) == [UPPER]


def test_a_slot_in_the_pause_of_a_hand_over_is_not_missing_while_its_orders_are_held() -> None:
    owners = owned(100.0)
    owners.follow(SLOTS, [claim(LOWER)], 101.0)
    assert owners.missing(101.0) == []
    assert owners.missing(101.0 + 0.99 * HOLD_SECONDS) == []
    owners.follow(SLOTS, map(claim, SLOTS), 101.1)
    assert owners.missing(999.0) == []


def test_it_is_missing_once_its_orders_are_refused_however_often_others_told_theirs() -> None:
    owners = owned(100.0)
    for elapsed in (0.0, 0.1, 0.2):
        owners.follow(SLOTS, [claim(LOWER)], 101.0 + elapsed)
    assert owners.missing(101.01 + HOLD_SECONDS) == [UPPER]
    owners.follow(SLOTS, map(claim, SLOTS), 102.0)
    owners.follow(SLOTS, [claim(LOWER)], 103.0)
    assert owners.missing(103.1) == []


def test_a_slot_that_was_merged_into_its_neighbour_is_owned_before_the_topology_says_so() -> None:
    owners = owned()
    whole = Claim(LOWER.id, 3, LOWER.first, UPPER.past)
    owners.follow(SLOTS, [whole], 101.0)
    assert owners.missing(999.0) == []


def test_a_slot_of_which_a_part_was_handed_away_is_missing_until_somebody_has_that_part() -> None:
    owners = owned()
    rest, part = Claim(LOWER.id, 2, "", "D"), Claim(9, 2, "D", "M")
    owners.follow(SLOTS, [rest, claim(UPPER)], 101.0)
    assert owners.missing(102.0) == [LOWER]
    owners.follow(SLOTS, [claim(UPPER), part, rest], 103.0)
    assert owners.missing(104.0) == []
