"""The model of PostgreSQL that the searches trust, and the real one, give the same answers.

Each test runs against both: the same statements, the same clients that wait, die and come late.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import pq

from trading_contract.move_protocol.rows import SlotRow, SlotState
from trading_contract.move_protocol.steps import (
    Place,
    RowStep,
    activate,
    follow,
    poison,
    seal,
    set_move,
    tomb,
    unseal,
)
from trading_contract.tests.move_world import server as model
from trading_contract.tests.move_world.statements import (
    EMPTY,
    Append,
    Collect,
    Commit,
    CopyPart,
    FinishCopy,
    Prepare,
    Statement,
    Take,
    Verified,
    rows_of,
)
from trading_engine.tests.integration.partition_process import Site

A, B = uuid.UUID(int=1), uuid.UUID(int=2)
M, OTHER = uuid.UUID(int=11), uuid.UUID(int=12)
SLOT = 7
FIRST, PAST = "", "~"


class Client(Protocol):
    """One transaction that is under way."""

    def answer(self) -> str:
        """Its SQLSTATE, "" when it committed."""

    def waits(self) -> bool:
        """Whether it waits for a lock."""

    def die(self) -> None:
        """Nobody will hear the answer; what was sent lives on."""


class Shard(Protocol):
    """One slot on one server."""

    def put(self, row: SlotRow | None, commands: bytes = b"") -> None:
        """As if it had come to this, with the rows of these commands."""

    def begin(self, *statements: Statement) -> Client:
        """Send a transaction, and go on."""

    def hold(self) -> Client:
        """Somebody has the row's lock until it is told to die."""

    def row(self) -> SlotRow | None:
        """What a plain SELECT shows."""

    def rows(self) -> list[int]:
        """The commands whose rows are there."""


def run(shard: Shard, *statements: Statement) -> str:
    """Send a transaction and wait for its end."""
    return shard.begin(*statements).answer()


class ModelClient:
    """A transaction of the model."""

    def __init__(self, shard: ModelShard, number: int) -> None:
        self._shard, self._number = shard, number
        self.code: str | None = None

    def answer(self) -> str:
        self._shard.settle()
        assert self.code is not None, "it waits for ever"
        return self.code

    def waits(self) -> bool:
        self._shard.settle()
        return self.code is None

    def die(self) -> None:
        if self._number == ModelShard.HOLDER:
            self._shard.free()
        else:
            self._shard.orphan(self._number)


class ModelShard:
    """The model, run until nothing can go on."""

    HOLDER = 0

    def __init__(self) -> None:
        self.server = model.Server()
        self.clients: dict[int, ModelClient] = {}

    def put(self, row: SlotRow | None, commands: bytes = b"") -> None:
        self.server = model.Server(row, rows_of(commands))

    def begin(self, *statements: Statement) -> ModelClient:
        number = len(self.clients) + 1
        self.clients[number] = ModelClient(self, number)
        self.server = model.sent(self.server, number, *statements)
        self.settle()
        return self.clients[number]

    def hold(self) -> ModelClient:
        held = model.Session(self.HOLDER, (), (self.server.row, self.server.data))
        self.server = self.server._replace(sessions=(*self.server.sessions, held))
        return ModelClient(self, self.HOLDER)

    def free(self) -> None:
        (held,) = (s for s in self.server.sessions if s.client == self.HOLDER)
        self.server = model.without(self.server, held)
        self.settle()

    def orphan(self, number: int) -> None:
        (session,) = (s for s in self.server.sessions if s.client == number)
        self.server = model.orphaned(self.server, session)

    def settle(self) -> None:
        while True:
            ready = [
                s for s in self.server.sessions
                if s.client != self.HOLDER and model.can_go_on(self.server, s)
            ]  # fmt: skip
            if not ready:
                return
            self.server, code = model.ended(self.server, ready[0])
            if ready[0].client in self.clients:
                self.clients[ready[0].client].code = code

    def row(self) -> SlotRow | None:
        return self.server.row

    def rows(self) -> list[int]:
        return sorted(c for part in self.server.data.parts for c in part)


class RealClient:
    """libpq's own calls: BEGIN, statements and COMMIT in one pipeline, as if written at once."""

    def __init__(
        self, connection: psycopg.Connection[Any], watcher: psycopg.Connection[Any]
    ) -> None:
        self._pgconn = connection.pgconn
        self._connection, self._watcher = connection, watcher
        self._pid = connection.info.backend_pid
        self.code: str | None = None

    def send(self, texts: list[str]) -> None:
        self._pgconn.send_query("; ".join(["BEGIN", *texts, "COMMIT"]).encode())

    def answer(self) -> str:
        code = ""
        while (result := self._pgconn.get_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                found = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
                code = code or found.decode()
        self._connection.close()
        return code

    def waits(self) -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            row = self._watcher.execute(
                "SELECT wait_event_type, state FROM pg_stat_activity WHERE pid = %s", (self._pid,)
            ).fetchone()
            if row is None or str(row[1]).startswith("idle"):
                return False
            if row[0] == "Lock":
                return True
        raise TimeoutError("it neither waits nor ends")

    def die(self) -> None:
        self._connection.close()


class RealShard:
    """The SQL functions in a database of their own."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._admin = self._connect("postgres")

    def _connect(self, user: str) -> psycopg.Connection[Any]:
        address = self._site.topology.shards[0]
        password = (self._site.secrets / user).read_text().strip()
        return psycopg.connect(
            host="127.0.0.1", port=self._site.servers[0].port, dbname=address.database, user=user,
            password=password, autocommit=True,
        )  # fmt: skip

    def put(self, row: SlotRow | None, commands: bytes = b"") -> None:
        with self._admin.transaction():
            for table in ("slot_owner", "symbol_state", "trades", "slot_log", "slot_verification"):
                self._admin.execute(f"DELETE FROM {table}")
            if row is not None:
                self._admin.execute(
                    "INSERT INTO slot_owner (slot_id, first_sym, past_sym, epoch, owner, state,"
                    " born_seq, last_seq, chain, move_id) VALUES (%s,%s,%s,%s,%s,%s,0,%s,%s,%s)",
                    (SLOT, FIRST, PAST, row.epoch, row.owner, row.state.value, row.last_seq,
                     row.chain, row.move_id),
                )  # fmt: skip
                if row.verified:
                    self._admin.execute(
                        "INSERT INTO slot_verification (slot_id, move_id, at_seq, digest)"
                        " VALUES (%s, %s, 0, '')", (SLOT, row.move_id),
                    )  # fmt: skip
            for text in inserts(commands):
                self._admin.execute(text)

    def begin(self, *statements: Statement) -> RealClient:
        client = RealClient(self._connect("tc_engine"), self._admin)
        client.send([text for statement in statements for text in sql_of(statement)])
        return client

    def hold(self) -> RealClient:
        connection = self._connect("postgres")
        connection.execute("BEGIN")
        connection.execute("SELECT FROM slot_owner WHERE slot_id = %s FOR UPDATE", (SLOT,))
        return RealClient(connection, self._admin)

    def row(self) -> SlotRow | None:
        found = self._admin.execute(
            "SELECT epoch, owner, state, last_seq, chain, move_id, EXISTS (SELECT FROM"
            " slot_verification v WHERE v.slot_id = o.slot_id AND v.move_id = o.move_id)"
            " FROM slot_owner o WHERE slot_id = %s", (SLOT,),
        ).fetchone()  # fmt: skip
        if found is None:
            return None
        epoch, owner, state, last, chain, move, verified = found
        return SlotRow(epoch, owner, SlotState(state), last, bytes(chain), move, verified)

    def rows(self) -> list[int]:
        found = self._admin.execute("SELECT trade_id FROM trades ORDER BY 1").fetchall()
        return [row[0] for row in found]

    def close(self) -> None:
        self._admin.close()


def inserts(commands: bytes) -> list[str]:
    """A command's row is a trade here: the plainest of the tables."""
    return [
        f"INSERT INTO trades VALUES ('S', {c}, 1, 1, 1, 1, 1, 1, 0::smallint, 1, 1)"
        for c in commands
    ]


def text_of(value: object) -> str:
    """A value as SQL; these are all ours."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    if isinstance(value, bool | int):
        return json.dumps(value)
    return f"'{value}'"


def called(function: str, *values: object) -> str:
    return f"SELECT {function}({', '.join(map(text_of, values))})"


def sql_of(statement: Statement) -> list[str]:
    """The same statement for the real shard."""
    match statement:
        case RowStep() as s:
            at = s.at or (None, None)
            return [called(
                "slot_step", SLOT, s.from_state.value, s.from_epoch, s.from_move, s.from_owner,
                *at, s.to_state.value, s.to_epoch, s.to_move, s.to_owner,
            )]  # fmt: skip
        case Take(epoch, me):
            # The function returns no row when it lost; whoever takes looks at that.
            return [f"SELECT 1 / count(*) FROM take_slot({SLOT}, {epoch}, '{me}')"]
        case Commit(me, epoch, previous, commands, chain):
            arrays = (
                f"ARRAY[{SLOT}]", f"ARRAY[{epoch}]::bigint[]", f"ARRAY[{previous}]::bigint[]",
                f"ARRAY[{previous + len(commands)}]::bigint[]", f"ARRAY[{text_of(chain)}]",
            )  # fmt: skip
            return [f"SELECT fence({', '.join(arrays)}, '{me}')", *inserts(commands)]
        case Prepare(move, owner, found):
            state, was, old = (None, None, None) if found is None else found
            return [called(
                "prepare_target", SLOT, move, FIRST, PAST, owner, "p0", "shard-0", 0,
                state.value if state else None, was, old,
            )]  # fmt: skip
        case CopyPart(move, _, content):
            return [called("copy_fence", SLOT, move, True), *inserts(content)]
        case FinishCopy(move, sequence, chain):
            return [called("finish_copy", SLOT, move, sequence, chain)]
        case Append(move, previous, commands, chain):
            before = chain[: len(chain) - len(commands)]
            fence = called(
                "shadow_fence", SLOT, move, previous, before, previous + len(commands), chain, 1,
                b"",
            )  # fmt: skip
            rows = [f"{text} ON CONFLICT DO NOTHING" for text in inserts(commands)]
            return [fence, *rows]
        case Verified(move):
            return [called("store_verification", SLOT, move, 0, "equal")]
        case Collect(move):
            return [called("collect_rows", SLOT, move, 1000)]


@pytest.fixture(params=["model", "real"])
def shard(request: pytest.FixtureRequest) -> Iterator[Shard]:
    """Both, in turn."""
    if request.param == "model":
        yield ModelShard()
        return
    real = RealShard(request.getfixturevalue("site"))
    yield real
    real.close()


def at(state: SlotState, chain: bytes = b"", **fields: Any) -> SlotRow:
    """A row of move M where that state needs one."""
    known = {"epoch": 4, "owner": A, "last_seq": len(chain), "chain": chain}
    if state is not SlotState.ACTIVE:
        known["move_id"] = M
    return SlotRow(state=state, **{**known, **fields})


ACTIVE = at(SlotState.ACTIVE, b"\1")
NAMED = at(SlotState.ACTIVE, b"\1", move_id=M)
SEALED = at(SlotState.SEALED, b"\1")
PREPARED = at(SlotState.PREPARED, b"\1", epoch=0)
BROKEN = at(SlotState.PREPARED, epoch=0, last_seq=-1)
FOLLOWER = at(SlotState.FOLLOWER, b"\1")
COMMIT = Commit(A, 4, 1, b"\2", b"\1\2")


def test_a_commit_of_the_owner_passes_and_any_other_is_fenced(shard: Shard) -> None:
    for commit, code in (
        (COMMIT, ""),
        (Commit(A, 3, 1, b"\2", b"\1\2"), "TC001"),
        (Commit(B, 4, 1, b"\2", b"\1\2"), "TC001"),
        (Commit(A, 4, 0, b"\2", b"\1\2"), "TC001"),
    ):
        shard.put(ACTIVE, b"\1")
        assert run(shard, commit) == code, commit
        assert shard.rows() == ([1, 2] if code == "" else [1])
    for row in (SEALED, FOLLOWER, PREPARED, None):
        shard.put(row, b"\1")
        assert run(shard, COMMIT) == "TC001", row
        assert shard.rows() == [1]


STEPS = [
    (ACTIVE, set_move(ACTIVE, M)),
    (NAMED, set_move(NAMED, None)),
    (NAMED, seal(NAMED, A, (1, b"\1"))),
    (PREPARED, activate(SEALED, PREPARED)),
    (PREPARED, poison(PREPARED)),
    (SEALED, unseal(SEALED)),
    (SEALED, follow(SEALED)),
    (at(SlotState.FOLLOWER, b"\1", verified=True), tomb(FOLLOWER)),
]


@pytest.mark.parametrize(("row", "step"), STEPS, ids=[step.name for _, step in STEPS])
def test_a_step_passes_once_and_only_on_the_row_it_expects(
    shard: Shard, row: SlotRow, step: RowStep
) -> None:
    shard.put(row, b"\1")
    assert run(shard, step) == ""
    done = shard.row()
    assert done is not None
    assert (done.state, done.epoch, done.move_id) == (step.to_state, step.to_epoch, step.to_move)
    again = run(shard, step)
    assert again == "TC002"
    assert shard.row() == done
    others = [
        at(SlotState.ACTIVE, b"\1", epoch=9, move_id=OTHER), at(SlotState.SEALED, epoch=9),
        at(SlotState.PREPARED, b"\1", epoch=0, move_id=OTHER),
        at(SlotState.PREPARED, b"\2", epoch=9), at(SlotState.FOLLOWER, b"\1", epoch=9), None,
    ]  # fmt: skip
    for other in others:
        shard.put(other)
        assert run(shard, step) == "TC002", other
        assert shard.row() == other


def test_an_activation_needs_exactly_the_end_of_the_source(shard: Shard) -> None:
    for chain in (b"", b"\2", b"\1\2"):
        shard.put(at(SlotState.PREPARED, chain, epoch=0))
        assert run(shard, activate(SEALED, PREPARED)) == "TC002", chain


def test_steps_that_no_move_makes_are_refused_whatever_the_row_is(shard: Shard) -> None:
    for change in (
        {"to_state": SlotState.FOLLOWER}, {"to_epoch": 5}, {"at": None}, {"to_move": OTHER},
    ):  # fmt: skip
        shard.put(NAMED)
        step = seal(NAMED, A, (1, b"\1"))
        wrong = RowStep(**{name: getattr(step, name) for name in step.__slots__} | change)
        assert run(shard, wrong) == "TC004", change
        assert shard.row() == NAMED
    shard.put(SEALED)
    by_one = RowStep(
        Place.SOURCE, "", SlotState.SEALED, 4, M, SlotState.ACTIVE, 5, M,
    )  # fmt: skip
    assert run(shard, by_one) == "TC004"


def test_a_step_that_fails_takes_its_batch_along(shard: Shard) -> None:
    shard.put(ACTIVE, b"\1")
    assert run(shard, COMMIT, seal(NAMED, A, (2, b"\1\2"))) == "TC002"
    assert (shard.row(), shard.rows()) == (ACTIVE, [1])
    shard.put(NAMED, b"\1")
    assert run(shard, COMMIT, seal(NAMED, A, (2, b"\1\2"))) == ""
    assert shard.row() == at(SlotState.SEALED, b"\1\2")


def test_a_step_that_waited_sees_the_row_as_it_is_by_then(shard: Shard) -> None:
    shard.put(NAMED, b"\1")
    holder = shard.hold()
    commit = shard.begin(COMMIT)
    assert commit.waits()
    take = shard.begin(Take(4, B))
    assert take.waits()
    assert shard.row() == NAMED  # a plain SELECT waits for nothing
    holder.die()
    assert commit.answer() == ""
    assert take.answer() == ""
    row = shard.row()
    assert row is not None
    assert (row.epoch, row.owner, row.last_seq) == (5, B, 2)
    assert run(shard, Commit(A, 4, 2, b"\3", b"\1\2\3")) == "TC001"


def test_a_dead_clients_transaction_lives_on(shard: Shard) -> None:
    shard.put(ACTIVE, b"\1")
    holder = shard.hold()
    commit = shard.begin(COMMIT)
    assert commit.waits()
    commit.die()
    taker = shard.begin(Take(4, B))
    assert taker.waits()
    holder.die()
    assert taker.answer() == ""  # it waited behind the dead one's commit
    row = shard.row()
    assert row is not None
    assert (row.epoch, row.last_seq, shard.rows()) == (5, 2, [1, 2])


def test_of_two_equal_batches_one_passes(shard: Shard) -> None:
    shard.put(ACTIVE, b"\1")
    holder = shard.hold()
    first, second = shard.begin(COMMIT), shard.begin(COMMIT)
    assert first.waits()
    assert second.waits()
    holder.die()
    assert sorted([first.answer(), second.answer()]) == ["", "TC001"]
    assert shard.rows() == [1, 2]


def test_a_target_is_prepared_once_and_only_on_what_was_read(shard: Shard) -> None:
    shard.put(None)
    assert run(shard, Prepare(M, A, None)) == ""
    assert shard.row() == BROKEN
    assert run(shard, Prepare(OTHER, A, None)) == "TC002"
    for state in (SlotState.ABORTED, SlotState.MOVED):
        row = at(state, b"\1")
        shard.put(row)
        assert run(shard, Prepare(OTHER, B, (state, 3, M))) == "TC002"
        assert run(shard, Prepare(OTHER, B, (state, 4, OTHER))) == "TC002"
        assert run(shard, Prepare(OTHER, B, (state, 4, M))) == ""
        assert shard.row() == at(SlotState.PREPARED, owner=B, last_seq=-1, move_id=OTHER)
    for row in (ACTIVE, SEALED, PREPARED):
        shard.put(row)
        assert run(shard, Prepare(OTHER, B, (row.state, row.epoch, row.move_id))) == "TC002"


def test_a_follower_is_prepared_where_it_is_and_anything_else_only_when_empty(
    shard: Shard,
) -> None:
    shard.put(FOLLOWER, b"\1")
    assert run(shard, Prepare(OTHER, A, (SlotState.FOLLOWER, 4, M))) == ""
    assert shard.row() == at(SlotState.PREPARED, b"\1", move_id=OTHER)
    assert shard.rows() == [1]
    shard.put(at(SlotState.ABORTED, b"\1"), b"\1")
    assert run(shard, Prepare(OTHER, A, (SlotState.ABORTED, 4, M))) == "TC006"


def test_a_copy_goes_only_into_the_target_of_its_move_until_it_is_whole(shard: Shard) -> None:
    part = CopyPart(M, 0, b"\1")
    for row in (None, ACTIVE, PREPARED, at(SlotState.PREPARED, last_seq=-1, move_id=OTHER)):
        shard.put(row)
        assert run(shard, part) == "TC002", row
        assert shard.rows() == []
    shard.put(BROKEN)
    assert run(shard, part) == ""
    assert run(shard, FinishCopy(OTHER, 1, b"\1")) == "TC002"
    assert run(shard, FinishCopy(M, 1, b"\1")) == ""
    assert run(shard, FinishCopy(M, 2, b"\1\2")) == "TC002"
    assert (shard.row(), shard.rows()) == (PREPARED, [1])


def test_the_shadow_takes_each_batch_once_and_in_order(shard: Shard) -> None:
    for row in (PREPARED, FOLLOWER):
        shard.put(row, b"\1")
        second = Append(M, 1, b"\2", b"\1\2")
        assert run(shard, Append(M, 2, b"\3", b"\1\2\3")) == "TC005"
        assert run(shard, Append(M, 1, b"\2", b"\3\2")) == "TC005"  # of another history
        assert run(shard, second) == ""
        assert run(shard, second) == ""
        assert run(shard, Append(OTHER, 2, b"\3", b"\1\2\3")) == "TC002"
        now = shard.row()
        assert now is not None
        assert (now.last_seq, now.chain, shard.rows()) == (2, b"\1\2", [1, 2])
    for other in (ACTIVE, SEALED, BROKEN, None):
        shard.put(other)
        assert run(shard, Append(M, 1, b"\2", b"\1\2")) == "TC002", other


def test_nothing_is_cleaned_up_without_a_verification(shard: Shard) -> None:
    shard.put(FOLLOWER, b"\1")
    assert run(shard, tomb(FOLLOWER)) == "TC002"
    assert run(shard, Verified(OTHER)) == "TC002"
    assert run(shard, Verified(M)) == ""
    assert run(shard, Collect(M)) == "TC002"
    assert run(shard, tomb(FOLLOWER)) == ""
    assert run(shard, Collect(OTHER)) == "TC002"
    assert shard.rows() == [1]
    assert run(shard, Collect(M)) == ""
    assert shard.rows() == []
    shard.put(at(SlotState.MOVED, b"\1"), b"\1")
    assert run(shard, Collect(M)) == "TC002"


def test_only_a_dead_target_is_collected(shard: Shard) -> None:
    for row in (ACTIVE, NAMED, SEALED, PREPARED, FOLLOWER):
        shard.put(row, b"\1")
        assert run(shard, Collect(M)) == "TC002", row
        assert shard.rows() == [1]
    shard.put(at(SlotState.ABORTED, b"\1"), b"\1")
    assert run(shard, Collect(M)) == ""
    assert shard.rows() == []
    assert EMPTY.seen == b""
