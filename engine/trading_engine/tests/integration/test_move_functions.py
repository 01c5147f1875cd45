"""The shard's own guards: no change of owner or range but by the owner, at that very point."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
import pytest

from trading_contract.errors import UserError
from trading_contract.topology import SlotPlacement
from trading_engine.passwords import ENGINE, OPERATOR, READER
from trading_engine.tests.integration.moving_site import two_slots
from trading_engine.tests.integration.partition_process import PASSWORDS, Site

ME = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"
MOVE = "33333333-3333-3333-3333-333333333333"
STATE = "SELECT slot_id, epoch, owner::text, partition, state, first_sym, past_sym, last_seq"
BEFORE = [
    (1, 4, ME, "p0", "ACTIVE", "", "M", 7), (2, 6, ME, "p0", "ACTIVE", "M", "~", 9),
]  # fmt: skip
HAND_OVER = f"hand_over('{{1,2}}', '{{4,6}}', '{{7,9}}', '{ME}', '{MOVE}', '{OTHER}', 'p1')"
SPLIT = f"split_slot('{{1}}', '{{4}}', '{{7}}', '{ME}', 'G', 5)"
MERGE = f"merge_slots('{{1,2}}', '{{4,6}}', '{{7,9}}', '{ME}')"
DIGEST = f"log_digest('{{1}}', '{{4}}', '{{7}}', '{ME}', '{MOVE}', 0, '', 'M', 'x')"
CALLS = {"hand over": HAND_OVER, "split": SPLIT, "merge": MERGE, "digest": DIGEST}


@pytest.fixture
def held(site: Site) -> Site:
    """Slots 1 and 2 are held by ME at epochs 4 and 6, sequences 7 and 9; OTHER follows both."""
    site.rows("DELETE FROM slot_owner")
    two_slots(site)
    site.prepare()
    site.rows(f"UPDATE slot_owner SET owner = '{ME}', epoch = 2 + 2 * slot_id,"
              " last_seq = 5 + 2 * slot_id, chain = sha256(slot_id::text::bytea)")  # fmt: skip
    site.rows(
        "INSERT INTO slot_follower SELECT n, '" + MOVE + f"', 1, 'p1', '{OTHER}', 0, 0, '', '',"
        " now() FROM generate_series(1, 2) n"
    )
    return site


def call(site: Site, what: str, role: str = ENGINE) -> str:
    """SQLSTATE of a call as a role; empty: done."""
    database = site.topology.shards[0].database
    try:
        with site.servers[0].connect(database, role, PASSWORDS[role]) as connection:
            connection.execute(f"SELECT {what}")
    except psycopg.Error as problem:
        return problem.sqlstate or "lost"
    return ""


def state(site: Site) -> list[tuple[Any, ...]]:
    """All rows of slot_owner."""
    return site.rows(f"{STATE} FROM slot_owner ORDER BY slot_id")


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize(
    "change",
    [
        "epoch = epoch + 1", "last_seq = last_seq + 1", "owner = gen_random_uuid()",
        "state = 'SEALED'", "move_id = gen_random_uuid()",
    ],
)  # fmt: skip
def test_nothing_changes_unless_all_is_as_the_owner_believes(
    what: str, change: str, held: Site
) -> None:
    held.rows(f"UPDATE slot_owner SET {change} WHERE slot_id = 1")
    before = state(held)
    assert call(held, CALLS[what]) == "TC002"
    assert state(held) == before


@pytest.mark.parametrize(
    "change",
    [
        "incarnation = gen_random_uuid()", "move_id = gen_random_uuid()", "partition = 'p2'",
        "problem = 'differs'", "slot_id = 77",
    ],
)  # fmt: skip
def test_nothing_is_handed_over_to_one_who_does_not_follow(change: str, held: Site) -> None:
    held.rows(f"UPDATE slot_follower SET {change} WHERE slot_id = 2")
    assert call(held, HAND_OVER) == "TC002"
    assert state(held) == BEFORE


def test_what_is_done_is_done_to_all_slots_of_the_call(held: Site) -> None:
    assert call(held, DIGEST) == ""
    assert held.rows("SELECT slot_id, seq, past_sym, digest FROM slot_digest") == [
        (1, 7, "M", b"x")
    ]
    assert state(held) == BEFORE
    assert call(held, HAND_OVER) == ""
    assert state(held) == [
        (1, 5, OTHER, "p1", "ACTIVE", "", "M", 7), (2, 7, OTHER, "p1", "ACTIVE", "M", "~", 9),
    ]  # fmt: skip
    assert call(held, HAND_OVER) == "TC002"
    assert held.rows("SELECT count(*) FROM slot_owner WHERE handed_over_at > now() - interval '1m'"
                     ) == [(2,)]  # fmt: skip


@pytest.mark.parametrize(
    "others",
    ["'A', 1", "'', 5", "'M', 5", "'Z', 5", "'G', 2"],
)
def test_a_split_is_inside_and_its_id_is_new(others: str, held: Site) -> None:
    assert call(held, f"split_slot('{{1}}', '{{4}}', '{{7}}', '{ME}', {others})") == "TC002"
    assert state(held) == BEFORE


def test_an_id_that_has_a_log_is_not_new(held: Site) -> None:
    held.rows("INSERT INTO slot_log (slot_id, seq_hi, seq_lo, epoch, payload, chain)"
              " VALUES (5, 1, 1, 1, '', '')")  # fmt: skip
    assert call(held, SPLIT) == "TC002"


def test_a_split_and_a_merge_are_told_and_prepared_again_without_objection(held: Site) -> None:
    assert call(held, SPLIT) == ""
    assert state(held)[0] == (1, 5, ME, "p0", "ACTIVE", "", "G", 7)
    assert state(held)[2] == (5, 5, ME, "p0", "ACTIVE", "G", "M", 7)
    held.prepare()  # the topology is of before
    chain = hashlib.sha256(b"1").digest()
    births = "SELECT slot_id, epoch, born_seq, chain, parents FROM slot_birth ORDER BY epoch"
    assert held.rows(births) == [(5, 5, 7, chain, [1])]
    assert call(held, f"merge_slots('{{1,2}}', '{{5,6}}', '{{7,9}}', '{ME}')") == "TC002"
    assert call(held, f"merge_slots('{{5,2}}', '{{5,6}}', '{{7,9}}', '{ME}')") == ""
    assert state(held)[1] == (2, 6, "00000000-0000-0000-0000-000000000000", None, "MOVED", "M",
                              "~", 9)  # fmt: skip
    assert state(held)[2] == (5, 7, ME, "p0", "ACTIVE", "G", "~", 9)
    merged = hashlib.sha256(chain + hashlib.sha256(b"2").digest()).digest()
    assert held.rows(births)[1] == (5, 7, 9, merged, [5, 2])
    held.prepare()


def test_a_new_slot_over_others_is_refused(held: Site) -> None:
    over = SlotPlacement(id=8, first="", past="~", partition="p0", shard="shard-0")
    held.write(slots=(over,))
    with pytest.raises(UserError, match=r"slot 8 .* overlaps slots that are there"):
        held.prepare()


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("role", [READER, OPERATOR])
def test_only_partitions_may(what: str, role: str, held: Site) -> None:
    assert call(held, CALLS[what], role) == "42501"
    assert state(held) == BEFORE


def test_nobody_changes_the_owner_past_the_functions(held: Site) -> None:
    database = held.topology.shards[0].database
    for change in ("epoch = 9", "owner = gen_random_uuid()", "partition = 'p1'", "past_sym = 'Z'"):
        with (
            held.servers[0].connect(database, ENGINE, PASSWORDS[ENGINE]) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(f"UPDATE slot_owner SET {change}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("first_sym = 'Z', past_sym = 'A'", "first_sym Z is not below past_sym A"),
        ("past_sym = first_sym", "is not below"),
        ("state = 'OPEN'", "no state OPEN"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_to_the_administrator_too(
    change: str, told: str, held: Site
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=told):
        held.rows(f"UPDATE slot_owner SET {change} WHERE slot_id = 1")
    with pytest.raises(psycopg.errors.CheckViolation, match=told):
        held.rows(
            "CREATE TEMPORARY TABLE another AS SELECT * FROM slot_owner WHERE slot_id = 1;"
            f"UPDATE another SET slot_id = 99, {change};"
            "INSERT INTO slot_owner SELECT * FROM another"
        )
    assert state(held) == BEFORE
