"""Conditions that cut the tables of a slot into bites, by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """One of a slot's; `key` begins with the slot, or its symbol."""

    name: str
    key: tuple[str, ...]
    seq: str = "seq"
    of_symbols: bool = True

    def rows_of(
        self, slot: tuple[int, str, str], after: Key | None, last: Key | None
    ) -> sql.Composed:
        """The condition for the slot's rows beyond a key, up to and with another; None: the end."""
        id_, first, past = slot
        if after is not None and last is not None:
            return self._between(after, last)
        column = sql.Identifier(self.key[0])
        lower, upper = (first, past) if self.of_symbols else (id_, id_ + 1)
        ends = [
            # Not both: of two lower ends the server may begin to read at the wider one.
            sql.SQL("{} >= {}").format(column, lower) if after is None
            else sql.SQL("{} > {}").format(self.keys, _row(after)),
            sql.SQL("{} < {}").format(column, upper),
        ]  # fmt: skip
        if last is not None:
            ends += [
                sql.SQL("{} <= {}").format(column, last[0]),
                sql.SQL("{} <= {}").format(self.keys, _row(last)),
            ]
        return sql.SQL(" AND ").join(ends)

    def _between(self, after: Key, last: Key) -> sql.Composed:
        """With what both keys have in common told by itself.

        Where rows of several columns are compared, only the first column tells the server where
        it may stop: each bite would read the index up to the end of its symbol.
        """
        same = next(n for n, pair in enumerate(zip(after, last, strict=True)) if pair[0] != pair[1])
        told = [
            sql.SQL("{} = {}").format(sql.Identifier(column), value)
            for column, value in zip(self.key[:same], after[:same], strict=True)
        ]
        column = sql.Identifier(self.key[same])
        if same == len(self.key) - 1:
            told.append(sql.SQL("{0} > {1} AND {0} <= {2}").format(column, after[same], last[same]))
        else:
            told.append(
                sql.SQL("{0} >= {1} AND {0} <= {2} AND {3} > {4} AND {3} <= {5}").format(
                    column, after[same], last[same], self.keys, _row(after), _row(last)
                )
            )
        return sql.SQL(" AND ").join(told)

    @property
    def columns(self) -> sql.Composed:
        """Those of the key."""
        return sql.SQL(", ").join(map(sql.Identifier, self.key))

    @property
    def keys(self) -> sql.Composed:
        """The key as a row."""
        return sql.SQL("({})").format(self.columns)


HOT = (Table("symbol_state", ("symbol",)), Table("open_orders", ("symbol", "order_id")))
COLD = (
    Table("closed_orders", ("symbol", "account", "order_id")),
    Table("trades", ("symbol", "trade_id")),
    Table("slot_log", ("slot_id", "seq_hi"), "seq_hi", of_symbols=False),
)


def _row(values: Key) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values)))
