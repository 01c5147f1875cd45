"""Bringing a shard up to what a partition needs: database, schema, roles, slot rows. Idempotent."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import yoyo
from psycopg import sql

from trading_contract.errors import UserError, WorldError
from trading_contract.topology import ShardAddress, SlotPlacement, Topology
from trading_engine.conninfo import shard_conninfo
from trading_engine.passwords import ADMINISTRATOR, ENGINE, OPERATOR, READER, read_password
from trading_engine.topology_file import shard_named

ROLES = (ENGINE, READER, OPERATOR)
NOBODY = "00000000-0000-0000-0000-000000000000"
CHAIN_BYTES = 32

Connection = psycopg.Connection[Any]

_INSERT_SLOT = """
INSERT INTO slot_owner (slot_id, first_sym, past_sym, epoch, owner, state, born_seq, last_seq,
  chain, partition)
SELECT %(id)s, %(first)s, %(past)s, 0, %(owner)s, 'ACTIVE', 0, 0, %(chain)s, %(partition)s
 WHERE NOT EXISTS (SELECT FROM slot_owner WHERE state = 'ACTIVE' AND slot_id <> %(id)s
   AND first_sym < %(past)s AND past_sym > %(first)s)
ON CONFLICT (slot_id) DO NOTHING RETURNING slot_id
"""
# Splits and merges change ranges; a topology may not know of them yet.
_SLOT_ROW = """
SELECT first_sym, past_sym, EXISTS (SELECT FROM slot_birth b
    WHERE b.slot_id = o.slot_id OR o.slot_id = ANY (b.parents))
  FROM slot_owner o WHERE slot_id = %s
"""


def prepare_shard(topology: Topology, shard_name: str, secrets_folder: Path) -> list[str]:
    """Do what is missing and tell it, one line per step; nothing is ever dropped.

    Raises `UserError` for a schema newer than this program and for slot rows that contradict the
    topology, `WorldError` when the shard does not answer.
    """
    shard = shard_named(topology, shard_name)
    passwords = {role: read_password(secrets_folder, role) for role in (ADMINISTRATOR, *ROLES)}
    try:
        steps = _create_database(shard, passwords[ADMINISTRATOR])
        steps += _migrate(shard, passwords[ADMINISTRATOR])
        with _connect(shard, passwords[ADMINISTRATOR]) as connection:
            for role in ROLES:
                _set_password(connection, role, passwords[role])
            slots = [slot for slot in topology.slots if slot.shard == shard_name]
            steps += _insert_slots(connection, slots, shard_name)
    except psycopg.Error as error:
        text = str(error).strip().splitlines()
        told = text[0] if text else type(error).__name__
        raise WorldError(f"shard {shard_name}: {told}") from error
    return steps


def _connect(shard: ShardAddress, password: str) -> Connection:
    conninfo = shard_conninfo(shard, ADMINISTRATOR, password, "engine/prepare-shard")
    return psycopg.connect(conninfo, autocommit=True)


def _create_database(shard: ShardAddress, password: str) -> list[str]:
    maintenance = shard.model_copy(update={"database": "postgres"})
    with _connect(maintenance, password) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (shard.database,)
        ).fetchone()
        if found is not None:
            return []
        try:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'").format(
                    sql.Identifier(shard.database)
                )
            )
        except psycopg.errors.DuplicateDatabase:  # somebody else prepares it too
            return []
    return [f"created database {shard.database}"]


def _migrate(shard: ShardAddress, password: str) -> list[str]:
    with as_file(files("trading_engine.sql") / "migrations") as folder:
        migrations = yoyo.read_migrations(str(folder))
        with _connect(shard, password) as connection:
            host, port = connection.info.host, connection.info.port
            refuse_newer_schema({each.id for each in migrations}, _applied(connection))
        backend: Any = yoyo.get_backend(  # yoyo takes one host: the member that takes writes
            f"postgresql+psycopg://{ADMINISTRATOR}:{quote(password, safe='')}@{host}:{port}/"
            f"{quote(shard.database, safe='')}"
        )
        try:
            with backend.lock():
                missing = backend.to_apply(migrations)
                backend.apply_migrations(missing)
        finally:
            backend.connection.close()
        return [f"applied {each.id}" for each in missing]


def _applied(connection: Connection) -> set[str]:
    if connection.execute("SELECT to_regclass('_yoyo_migration')").fetchone() == (None,):
        return set()
    rows = connection.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    return {row[0] for row in rows}


def refuse_newer_schema(known: set[str], applied: set[str]) -> None:
    """Raise `UserError` when the shard was prepared by a later version of this program."""
    unknown = sorted(applied - known)
    if unknown:
        raise UserError(
            f"the schema is newer than this program ({', '.join(unknown)}): install the version of"
            " tradingcluster that made it, or a later one"
        )


def _set_password(connection: Connection, role: str, password: str) -> None:
    # Hashed here, so that no log of the server can hold it.
    hashed = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed))
    )


def _insert_slots(
    connection: Connection, slots: Sequence[SlotPlacement], shard_name: str
) -> list[str]:
    steps = []
    for slot in slots:
        made = connection.execute(_INSERT_SLOT, _slot_values(slot)).fetchone()
        if made is not None:
            steps.append(f"added slot {slot.id} [{slot.first!r}, {slot.past!r})")
            continue
        row = connection.execute(_SLOT_ROW, (slot.id,)).fetchone()
        if row is None:
            raise UserError(
                f"shard {shard_name}: slot {slot.id} [{slot.first!r}, {slot.past!r}) overlaps slots"
                " that are there: ask for a split instead"
            )
        first, past, changed = row
        if (first, past) != (slot.first, slot.past) and not changed:
            raise UserError(
                f"shard {shard_name}: slot {slot.id} is [{first!r}, {past!r}) there but"
                f" [{slot.first!r}, {slot.past!r}) in the topology: ranges of a slot never change,"
                " give the new range a new id"
            )
    return steps


def _slot_values(slot: SlotPlacement) -> dict[str, Any]:
    return {
        "id": slot.id, "first": slot.first, "past": slot.past, "owner": NOBODY,
        "chain": bytes(CHAIN_BYTES), "partition": slot.partition,
    }  # fmt: skip
