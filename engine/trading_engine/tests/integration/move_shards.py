"""One slot on the model of PostgreSQL and on the real one, behind the same face."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

import psycopg
from psycopg import pq

from trading_contract.move_protocol.rows import SlotRow, SlotState
from trading_contract.move_protocol.steps import (
    RowStep,
)
from trading_contract.tests.move_world import server as model
from trading_contract.tests.move_world.statements import (
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
        self._sent = ""
        self.code: str | None = None

    def send(self, texts: list[str]) -> None:
        self._sent = "; ".join(["BEGIN", *texts, "COMMIT"])
        self._pgconn.send_query(self._sent.encode())

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
                "SELECT wait_event_type, state, query <> '' AND starts_with(%s, query)"
                " FROM pg_stat_activity WHERE pid = %s",
                (self._sent, self._pid),
            ).fetchone()
            # Before the server has read what was sent, it is idle, too.
            if row is None or (str(row[1]).startswith("idle") and row[2]):
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
        self._opened: list[psycopg.Connection[Any]] = []
        self._admin = self._connect("postgres")

    def _connect(self, user: str) -> psycopg.Connection[Any]:
        address = self._site.topology.shards[0]
        password = (self._site.secrets / user).read_text().strip()
        made = psycopg.connect(
            host="127.0.0.1", port=self._site.servers[0].port, dbname=address.database, user=user,
            password=password, autocommit=True,
        )  # fmt: skip
        self._opened.append(made)
        return made

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
        for connection in self._opened:
            connection.close()


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
