"""Reads from the shards: orders that ended, trades, sums.

Never the way to learn what an order became while its engine knows it: the engine is asked first.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from trading_backend.shard_pools import Row, ShardPools, StoreUnavailableError
from trading_contract.routing import RoutingTable
from trading_contract.topology import Topology
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

ENTRY_FILLS_MAX = 100_000
_COLUMNS = (
    "symbol, order_id, account, client_id, attributes, price, quantity, executed, executed_quote, "
    "prevented, entry_trade_id, created_us, seq"
)
_CLOSED = (
    f"SELECT {_COLUMNS}, ended_us, ended_us AS changed_us FROM closed_orders"
    " WHERE symbol = $1 AND account = $2"
)
_OPEN = (
    f"SELECT {_COLUMNS}, 0::bigint, greatest(updated_us, created_us) FROM open_orders"
    " WHERE symbol = $1 AND account = $2"
)
# Trade ids have no gap and times rise with them: the first id of a time by halving, as there is
# no index on the time. A second of slack, as a clock may be set back a little.
_SINCE = (
    "(WITH RECURSIVE half(low, past) AS ("
    "SELECT min(trade_id), max(trade_id) + 1 FROM trades WHERE symbol = $1 UNION ALL "
    "SELECT CASE WHEN t.time_us < {0} - 1000000 THEN middle + 1 ELSE low END, "
    "CASE WHEN t.time_us < {0} - 1000000 THEN past ELSE middle END "
    "FROM half, LATERAL (SELECT (low + past) / 2 AS middle) m, "
    "LATERAL (SELECT time_us FROM trades WHERE symbol = $1 AND trade_id = middle) t "
    "WHERE low < past) SELECT coalesce(max(low), 0) FROM half)"
)
_SUMS = (
    "SELECT symbol, sum(CASE WHEN taker_side = 0 THEN q ELSE -q END * s)::text AS base, "
    "sum(CASE WHEN taker_side = 0 THEN -q ELSE q END * price * s)::text AS quote "
    "FROM (SELECT symbol, quantity::numeric AS q, price, taker_side, 1 AS s FROM trades "
    "WHERE symbol = ANY($1) AND taker_account = $2 UNION ALL "
    "SELECT symbol, quantity::numeric, price, taker_side, -1 FROM trades "
    "WHERE symbol = ANY($1) AND maker_account = $2) t GROUP BY symbol"
)

UNTIL_MAX_US = 1 << 62


@dataclasses.dataclass(frozen=True)
class Page:
    """Which part of a list: the newest `limit` rows, or those from an id or a time on."""

    limit: int
    from_id: int | None = None
    since_us: int | None = None
    until_us: int = UNTIL_MAX_US

    @property
    def order(self) -> str:
        """ASC when it has a beginning, else DESC: the newest."""
        return "DESC" if self.from_id is None and self.since_us is None else "ASC"

    @property
    def bounds(self) -> tuple[int, int, int]:
        """(least id, earliest time, latest time)."""
        return self.from_id or 0, self.since_us or 0, self.until_us


class Store:
    """Read connections to all shards of the topology, opened when first needed."""

    def __init__(self, secrets_folder: Path, connections_max: int) -> None:
        self._pools = ShardPools(secrets_folder, connections_max)
        self._routes: RoutingTable | None = None
        self.claimed: Callable[[str], str | None] = _unclaimed  # before the topology counts
        self._shards: frozenset[str] = frozenset()

    def set_topology(self, topology: Topology) -> None:
        """Read from these shards; pools of changed ones are opened anew."""
        self._pools.set_shards(topology.shards)
        self._routes = RoutingTable.of(topology)
        self._shards = frozenset(shard.name for shard in topology.shards)

    async def close(self) -> None:
        """Close all connections."""
        await self._pools.close()

    async def _fetch(self, symbol: str, query: str, *values: object) -> Sequence[Row]:
        return await self._pools.fetch(self._shard(symbol), query, *values)

    def _shard(self, symbol: str) -> str:
        if self._routes is None:
            raise StoreUnavailableError("no topology yet")
        claimed = self.claimed(symbol)
        return claimed if claimed in self._shards else self._routes.locate(symbol).shard

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
                symbol,
                f"{_CLOSED} AND order_id = $3 UNION ALL {_OPEN} AND order_id = $3",
                symbol, account, order_id,
            )  # fmt: skip
        else:  # an open one would have been known to its engine
            rows = await self._fetch(
                symbol,
                f"{_CLOSED} AND client_id = $3 ORDER BY order_id DESC LIMIT 1",
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

    async def closed_orders(self, symbol: str, account: int, page: Page) -> list[Reply]:
        """Orders of an account that ended, by id: the newest `limit`, or from `from_id` on."""
        rows = await self._fetch(
            symbol,
            f"{_CLOSED} AND order_id >= $3 AND created_us >= $4 AND created_us <= $5 "
            f"ORDER BY order_id {page.order} LIMIT $6",
            symbol, account, *page.bounds, page.limit,
        )  # fmt: skip
        return sorted((_reply(row) for row in rows), key=lambda reply: reply.order_id)

    async def trades_of(
        self, symbol: str, account: int, page: Page, order_id: int = 0
    ) -> list[Row]:
        """Trades of an account, each once, by id."""
        side = (
            "symbol = $1 AND {0}_account = $2 AND trade_id >= $3 AND ($4 = 0 OR {0}_order_id = $4)"
        )
        window = "AND time_us >= $5 AND time_us <= $6"
        newest = f"ORDER BY trade_id {page.order} LIMIT $7"
        part = f"(SELECT * FROM trades WHERE {side} {window} {newest})"
        from_id, since_us, until_us = page.bounds
        rows = await self._fetch(
            symbol,
            f"SELECT * FROM ({part.format('maker')} UNION {part.format('taker')}) t "
            f"{newest}",
            symbol, account, from_id, order_id, since_us, until_us, page.limit,
        )  # fmt: skip
        return sorted(rows, key=lambda row: row["trade_id"])

    async def trades(self, symbol: str, page: Page) -> list[Row]:
        """Public trades, by id: the newest `limit`, or from `from_id` on."""
        begin = "" if page.since_us is None else f"AND trade_id >= {_SINCE.format('$3::bigint')} "
        rows = await self._fetch(
            symbol,
            f"SELECT * FROM trades WHERE symbol = $1 AND trade_id >= $2 AND time_us >= $3 {begin}"
            f"AND time_us <= $4 ORDER BY trade_id {page.order} LIMIT $5",
            symbol, *page.bounds, page.limit,
        )  # fmt: skip
        return sorted(rows, key=lambda row: row["trade_id"])

    async def candles(
        self, symbol: str, width_us: int, window: tuple[int, int], limit: int
    ) -> list[Row]:
        """Open, high, low, close, volume per interval of `width_us` that begins at its multiples.

        Of trades in `window` (first, last microsecond), the first `limit` intervals.
        """
        rows = await self._fetch(
            symbol,
            "SELECT time_us / $2 * $2 AS open_us, "
            "(array_agg(price ORDER BY trade_id))[1] AS open, "
            "max(price) AS high, min(price) AS low, "
            "(array_agg(price ORDER BY trade_id DESC))[1] AS close, "
            "(array_agg(quantity ORDER BY trade_id DESC))[1] AS last_quantity, "
            "sum(quantity)::text AS volume, "
            "sum(price::numeric * quantity)::text AS quote, count(*) AS count, "
            "min(trade_id) AS first_id, max(trade_id) AS last_id, "
            "coalesce(sum(quantity) FILTER (WHERE taker_side = 0), 0)::text AS taker_volume, "
            "coalesce(sum(price::numeric * quantity) FILTER (WHERE taker_side = 0), 0)::text "
            "AS taker_quote FROM trades WHERE symbol = $1 AND time_us BETWEEN $3 AND $4 "
            f"AND trade_id >= {_SINCE.format('$3::bigint')} "
            "GROUP BY 1 ORDER BY 1 LIMIT $5",
            symbol, width_us, *window, limit,
        )  # fmt: skip
        return list(rows)

    async def sums_of(self, account: int, symbols: Sequence[str]) -> dict[str, tuple[int, int]]:
        """By symbol: (lots bought less sold, ticks * lots received less paid). All shards or none.

        Raises `StoreUnavailableError` when one of them does not answer.
        """
        by_shard: dict[str, list[str]] = {}
        for symbol in symbols:
            by_shard.setdefault(self._shard(symbol), []).append(symbol)
        parts = await asyncio.gather(
            *(self._pools.fetch(shard, _SUMS, names, account) for shard, names in by_shard.items())
        )
        return {r["symbol"]: (int(r["base"]), int(r["quote"])) for rows in parts for r in rows}


def _unclaimed(_: str) -> None:
    return None


def _bits(row: Row, shift: int) -> int:
    return int(row["attributes"]) >> shift & 15


def _reply(row: Row) -> Reply:
    return Reply(
        request_id=0, symbol=row["symbol"], order_id=row["order_id"], account=row["account"],
        price=row["price"], quantity=row["quantity"], executed=row["executed"],
        executed_quote=row["executed_quote"], prevented=row["prevented"],
        created_us=row["created_us"], time_us=row["changed_us"], epoch=0,
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
