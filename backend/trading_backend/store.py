"""Reads from the shards: orders that ended, trades, sums.

Never the way to learn what an order became while its engine knows it: the engine is asked first.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from trading_contract.errors import WorldError
from trading_contract.routing import RoutingTable
from trading_contract.topology import ShardAddress, Topology
from trading_contract.wire import (
    Code,
    EndReason,
    Fill,
    Kind,
    OrderStatus,
    OrderType,
    Reply,
    SelfTrade,
    Side,
    TimeInForce,
)

READ_SECONDS_MAX = 5.0
ENTRY_FILLS_MAX = 100_000
_COLUMNS = (
    "symbol, order_id, account, client_id, attributes, price, quantity, executed, executed_quote, "
    "prevented, entry_trade_id, created_us, seq"
)
_ORDERS = (
    f"(SELECT {_COLUMNS}, 0::bigint AS ended_us FROM open_orders WHERE symbol = $1 AND account = $2"
    f" UNION ALL SELECT {_COLUMNS}, ended_us FROM closed_orders"
    " WHERE symbol = $1 AND account = $2) o"
)

Row = Any


UNTIL_MAX_US = 1 << 62


@dataclasses.dataclass(frozen=True)
class Page:
    """Which part of a list: the newest `limit` rows, or those from an id or a time on."""

    limit: int
    from_id: int = 0
    since_us: int = 0
    until_us: int = UNTIL_MAX_US


class StoreUnavailableError(WorldError):
    """A shard cannot be read now."""


class Store:
    """Read connections to all shards of the topology, opened when first needed."""

    def __init__(self, secrets_folder: Path, connections_max: int) -> None:
        self._secrets = secrets_folder
        self._connections_max = connections_max
        self._shards: dict[str, ShardAddress] = {}
        self._pools: dict[str, asyncpg.Pool[Any]] = {}
        self._opening = asyncio.Lock()
        self._routes: RoutingTable | None = None

    def set_topology(self, topology: Topology) -> None:
        """Read from these shards; pools of changed ones are opened anew."""
        shards = {shard.name: shard for shard in topology.shards}
        for name, shard in self._shards.items():
            if shards.get(name) != shard and name in self._pools:
                self._pools.pop(name).terminate()
        self._shards = shards
        self._routes = RoutingTable.of(topology)

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.terminate()
        self._pools.clear()

    async def _pool(self, shard: str) -> asyncpg.Pool[Any]:
        async with self._opening:
            if shard not in self._pools:
                hosts, ports = zip(
                    *(h.rsplit(":", 1) for h in self._shards[shard].hosts), strict=True
                )
                self._pools[shard] = await asyncpg.create_pool(
                    host=list(hosts), port=[int(p) for p in ports],
                    database=self._shards[shard].database, user="tc_reader",
                    password=(self._secrets / "tc_reader").read_text().strip(),
                    min_size=0, max_size=self._connections_max, timeout=2,
                    command_timeout=READ_SECONDS_MAX,
                    target_session_attrs=SessionAttribute.read_write,
                )  # fmt: skip
            return self._pools[shard]

    async def _fetch(self, symbol: str, query: str, *values: object) -> Sequence[Row]:
        if self._routes is None:
            raise StoreUnavailableError("no topology yet")
        shard = self._routes.locate(symbol).shard
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                pool = await self._pool(shard)
                rows: Sequence[Row] = await pool.fetch(query, *values)
                return rows
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            raise StoreUnavailableError(
                f"{shard}: {type(problem).__name__}: {problem}"
            ) from problem

    # One order

    async def find_order(
        self, symbol: str, account: int, order_id: int, client_id: str
    ) -> Reply | None:
        """The order as it is now, by id or (id 0) by client id."""
        row = await self._order(symbol, account, order_id, client_id)
        return None if row is None else _reply(row)

    async def _order(self, symbol: str, account: int, order_id: int, client_id: str) -> Row | None:
        if order_id:
            rows = await self._fetch(
                symbol, f"SELECT * FROM {_ORDERS} WHERE order_id = $3", symbol, account, order_id
            )
        else:
            rows = await self._fetch(
                symbol,
                f"SELECT * FROM {_ORDERS} WHERE client_id = $3 ORDER BY order_id DESC LIMIT 1",
                symbol, account, client_id,
            )  # fmt: skip
        return rows[0] if rows else None

    async def first_answer(self, symbol: str, account: int, order_id: int) -> Reply | None:
        """The order as its first answer told it, with its fills as taker."""
        row = await self._order(symbol, account, order_id, "")
        if row is None:
            return None
        fills: tuple[Fill, ...] = ()
        if row["entry_trade_id"]:
            trades = await self._fetch(
                symbol,
                "SELECT trade_id, price, quantity, maker_order_id, taker_order_id FROM trades "
                "WHERE symbol = $1 AND trade_id >= $2 AND taker_order_id = $3 "
                "ORDER BY trade_id LIMIT $4",
                symbol, row["entry_trade_id"], order_id, ENTRY_FILLS_MAX,
            )  # fmt: skip
            entry = row["entry_trade_id"]
            fills = tuple(
                Fill(t["trade_id"], t["price"], t["quantity"], t["maker_order_id"])
                for at, t in takewhile(
                    lambda pair: pair[1]["trade_id"] == entry + pair[0], enumerate(trades)
                )
            )
        return _as_first_told(row, fills)

    # Lists

    async def all_orders(self, symbol: str, account: int, page: Page) -> list[Reply]:
        """Orders of an account, by id: the newest `limit`, or from `from_id` on."""
        order = "ASC" if page.from_id or page.since_us else "DESC"
        rows = await self._fetch(
            symbol,
            f"SELECT * FROM {_ORDERS} WHERE order_id >= $3 AND created_us >= $4 "
            f"AND created_us <= $5 ORDER BY order_id {order} LIMIT $6",
            symbol, account, page.from_id, page.since_us, page.until_us, page.limit,
        )  # fmt: skip
        return sorted((_reply(row) for row in rows), key=lambda reply: reply.order_id)

    async def trades_of(
        self, symbol: str, account: int, page: Page, order_id: int = 0
    ) -> list[Row]:
        """Trades of an account, each once, by id."""
        order = "ASC" if page.from_id or page.since_us else "DESC"
        side = (
            "symbol = $1 AND {0}_account = $2 AND trade_id >= $3 AND ($4 = 0 OR {0}_order_id = $4)"
        )
        window = "AND time_us >= $5 AND time_us <= $6"
        part = f"(SELECT * FROM trades WHERE {side} {window} ORDER BY trade_id {order} LIMIT $7)"
        rows = await self._fetch(
            symbol,
            f"SELECT * FROM ({part.format('maker')} UNION {part.format('taker')}) t "
            f"ORDER BY trade_id {order} LIMIT $7",
            symbol, account, page.from_id, order_id, page.since_us, page.until_us, page.limit,
        )  # fmt: skip
        return sorted(rows, key=lambda row: row["trade_id"])

    async def trades(self, symbol: str, page: Page) -> list[Row]:
        """Public trades, by id: the newest `limit`, or from `from_id` on."""
        order = "ASC" if page.from_id or page.since_us else "DESC"
        rows = await self._fetch(
            symbol,
            f"SELECT * FROM trades WHERE symbol = $1 AND trade_id >= $2 AND time_us >= $3 "
            f"AND time_us <= $4 ORDER BY trade_id {order} LIMIT $5",
            symbol, page.from_id, page.since_us, page.until_us, page.limit,
        )  # fmt: skip
        return sorted(rows, key=lambda row: row["trade_id"])

    async def candles(self, symbol: str, width_us: int, since_us: int, limit: int) -> list[Row]:
        """Open, high, low, close, volume per interval of `width_us`, from `since_us` on."""
        return list(
            await self._fetch(
                symbol,
                "SELECT time_us / $2 * $2 AS open_us, "
                "(array_agg(price ORDER BY trade_id))[1] AS open, "
                "max(price) AS high, min(price) AS low, "
                "(array_agg(price ORDER BY trade_id DESC))[1] AS close, "
                "sum(quantity)::text AS volume, "
                "sum(price::numeric * quantity)::text AS quote, count(*) AS count, "
                "min(trade_id) AS first_id, max(trade_id) AS last_id, "
                "coalesce(sum(quantity) FILTER (WHERE taker_side = 0), 0)::text AS taker_volume "
                "FROM trades WHERE symbol = $1 AND time_us >= $3 GROUP BY 1 ORDER BY 1 LIMIT $4",
                symbol,
                width_us,
                since_us,
                limit,
            )
        )

    async def sums_of(self, symbol: str, account: int) -> tuple[int, int]:
        """(lots bought less sold, ticks * lots received less paid) of an account on a symbol."""
        rows = await self._fetch(
            symbol,
            "SELECT coalesce(sum(CASE WHEN taker_side = 0 THEN q ELSE -q END * s), 0)::text base, "
            "coalesce(sum(CASE WHEN taker_side = 0 THEN -q ELSE q END * price * s), 0)::text quote "
            "FROM (SELECT quantity::numeric AS q, price, taker_side, 1 AS s FROM trades "
            "WHERE symbol = $1 AND taker_account = $2 UNION ALL "
            "SELECT quantity::numeric, price, taker_side, -1 FROM trades "
            "WHERE symbol = $1 AND maker_account = $2) t",
            symbol, account,
        )  # fmt: skip
        return int(rows[0]["base"]), int(rows[0]["quote"])


def _bits(row: Row, shift: int) -> int:
    return int(row["attributes"]) >> shift & 15


def _reply(row: Row) -> Reply:
    return Reply(
        request_id=0, symbol=row["symbol"], order_id=row["order_id"], account=row["account"],
        price=row["price"], quantity=row["quantity"], executed=row["executed"],
        executed_quote=row["executed_quote"], prevented=row["prevented"],
        created_us=row["created_us"], time_us=row["ended_us"] or row["created_us"], epoch=0,
        sequence=row["seq"], client_id=row["client_id"], target_client_id="", code=Code.OK,
        kind=Kind.PLACE, status=OrderStatus(_bits(row, 16)), side=Side(_bits(row, 0)),
        type=OrderType(_bits(row, 4)), time_in_force=TimeInForce(_bits(row, 8)),
        self_trade=SelfTrade(_bits(row, 12)), end_reason=EndReason(_bits(row, 20)), flags=0,
    )  # fmt: skip


def _as_first_told(row: Row, fills: tuple[Fill, ...]) -> Reply:
    """Undo what happened after the order's entry."""
    now = _reply(row)
    executed = sum(fill.quantity for fill in fills)
    quote = sum(fill.quantity * fill.price for fill in fills)
    final = (
        now.type is OrderType.MARKET
        or now.time_in_force is not TimeInForce.GTC
        or (now.end_reason is EndReason.SELF_TRADE and row["ended_us"] == row["created_us"])
    )
    status, reason = now.status, now.end_reason
    if not final:
        reason = EndReason.NONE
        status = OrderStatus.PARTIALLY_FILLED if executed else OrderStatus.NEW
        if executed and executed >= now.quantity:
            status = OrderStatus.FILLED
    return dataclasses.replace(
        now, executed=executed, executed_quote=quote, status=status, end_reason=reason,
        time_us=now.created_us, prevented=now.prevented if final else 0, fills=fills,
    )  # fmt: skip
