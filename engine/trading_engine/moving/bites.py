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
        lower, upper = (first, past) if self.of_symbols else (id_, id_ + 1)
        if last is not None:
            return self._between(lower, after, last)
        column = sql.Identifier(self.key[0])
        begin = (
            # Not both: of two lower ends the server may begin to read at the wider one.
            sql.SQL("{} >= {}").format(column, lower) if after is None
            else sql.SQL("{} > {}").format(self.keys, _row(after))
        )  # fmt: skip
        return sql.SQL("{} AND {} < {}").format(begin, column, upper)

    def _between(self, lower: Any, after: Key | None, last: Key) -> sql.Composed:
        """Beyond `after`, or from `lower` on, up to and with `last`.

        As stretches of the index that each have one column with a range, behind equal ones. Where
        rows of several columns are compared the server may read on to the end of the symbol: half
        a second for a bite that lies across two of a thousand accounts of ten million orders.
        """
        ends = ["<"] * (len(last) - 1) + ["<="]  # where the columns before are equal
        if after is None:
            after, above, same = (lower,), ">=", 0
        else:
            above = ">"
            pairs = zip(after, last, strict=True)
            same = next(n for n, pair in enumerate(pairs) if pair[0] != pair[1])
        return _any([
            *(self._stretch(after[:n], after[n], ">") for n in range(len(after) - 1, same, -1)),
            self._stretch(after[:same], after[same], above, last[same], ends[same]),
            *(
                self._stretch(last[:n], end=last[n], below=ends[n])
                for n in range(same + 1, len(last))
            ),
        ])  # fmt: skip

    def _stretch(
        self, same: Key, begin: Any = None, above: str = "", end: Any = None, below: str = "<"
    ) -> sql.Composed:
        """Rows whose key begins with `same`, and whose next column is in a range."""
        column = sql.Identifier(self.key[len(same)])
        told = [
            sql.SQL("{} = {}").format(sql.Identifier(name), value)
            for name, value in zip(self.key[: len(same)], same, strict=True)
        ]
        if begin is not None:
            told.append(sql.SQL("{} {} {}").format(column, sql.SQL(above), begin))
        if end is not None:
            told.append(sql.SQL("{} {} {}").format(column, sql.SQL(below), end))
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


def _any(stretches: list[sql.Composed]) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(" OR ").join(map(sql.SQL("({})").format, stretches)))


def _row(values: Key) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values)))
