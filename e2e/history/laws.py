"""The laws over a history and a dump. Each returns what breaks it; nothing means that it holds.

H1  no lost ack: what was answered `ok` is in the shards, as it was answered
H2  no duplicate: one order per (account, symbol, client order id); resends give the same answer
H3  fail is fail, unknown is 0 or 1: nothing is there that was only refused, or that nobody sent
H4  real-time order: answered before another was sent means sequenced before it, per symbol
H5  no gaps: a symbol's order ids and trade ids are 1..n, a slot's sequences too, epochs only rise
H6  price-time priority: the log, replayed through the naive book, gives the same orders and trades
H7  conservation: an order is what it executed, lost and has left; what was bought was sold
H8  one owner: each slot is served from one shard, with an epoch above all others it ever had; the
    slots that are served tile the symbols; no move is left half done
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from history.records import Call, OrderKey
from history.replay import replayed_as_stored
from history.rows import Dump, OrderRow, OwnerRow
from trading_contract.errors import InvariantError
from trading_contract.slots import SymbolRange, check_tiles

SHOWN_MAX = 20


@dataclass(frozen=True)
class Violation:
    """One broken law."""

    law: str
    what: str

    def __str__(self) -> str:
        return f"{self.law}: {self.what}"


Law = Callable[[Sequence[Call], Dump], list[Violation]]


def key_of(order: OrderRow) -> OrderKey:
    """The name its client gave it."""
    return OrderKey(order.account, order.symbol, order.client_id)


def places_by_key(calls: Iterable[Call]) -> dict[OrderKey, list[Call]]:
    """All attempts to place each order, oldest first."""
    found: dict[OrderKey, list[Call]] = defaultdict(list)
    for call in calls:
        if call.operation == "place":
            found[call.key].append(call)
    return found


def no_ack_is_lost(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H1."""
    stored = {key_of(order): order for order in dump.orders}
    broken = []
    for call in calls:
        if call.outcome != "ok":
            continue
        order = stored.get(call.key)
        if order is None:
            broken.append(f"{call.operation} of {call.key} was answered ok, but it is nowhere")
        elif call.order_id is not None and call.order_id != order.order_id:
            broken.append(f"{call.key} was answered as {call.order_id}, stored as {order.order_id}")
        elif call.operation == "cancel" and order.status != "CANCELED":
            broken.append(f"cancel of {call.key} was answered ok, but it is {order.status}")
        elif call.operation == "place" and (difference := _difference(call, order, dump)):
            broken.append(f"{call.key}: {difference}")
    return [Violation("H1", text) for text in broken]


def _difference(call: Call, order: OrderRow, dump: Dump) -> str:
    """How the stored order differs from the one that was sent; empty when it does not."""
    grid = dump.grids[order.symbol]
    sent = (call.side, Decimal(call.price) / grid.tick, Decimal(call.quantity) / grid.lot)
    stored = (order.side, Decimal(order.price), Decimal(order.quantity))
    return "" if sent == stored else f"sent as {sent}, stored as {stored}"


def nothing_is_there_twice(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H2."""
    counts = Counter(key_of(order) for order in dump.orders)
    broken = [f"{key} is there {count} times" for key, count in counts.items() if count > 1]
    ids = Counter((order.symbol, order.order_id) for order in dump.orders)
    broken += [
        f"{symbol} {i} is there {count} times" for (symbol, i), count in ids.items() if count > 1
    ]
    for key, attempts in places_by_key(calls).items():
        answers = {call.order_id for call in attempts if call.outcome == "ok"}
        if len(answers) > 1:
            broken.append(f"{key} was answered with the ids {sorted(map(str, answers))}")
    return [Violation("H2", text) for text in broken]


def only_what_may_be_there_is_there(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H3. Looks at the accounts of the history only."""
    places = places_by_key(calls)
    accounts = {call.key.account for call in calls}
    broken = []
    for order in dump.orders:
        if order.account not in accounts:
            continue
        attempts = places.get(key_of(order))
        if attempts is None:
            broken.append(f"{key_of(order)} is there, but nobody sent it")
        elif all(call.outcome == "fail" for call in attempts):
            codes = ", ".join(call.code for call in attempts)
            broken.append(f"{key_of(order)} is there, but every attempt was refused ({codes})")
    return [Violation("H3", text) for text in broken]


def real_time_order_holds(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H4. Order ids of a symbol rise in the order in which the orders were sequenced."""
    stored = {key_of(order): order.order_id for order in dump.orders}
    spans: dict[str, list[tuple[float, float, int, OrderKey]]] = defaultdict(list)
    for key, attempts in places_by_key(calls).items():
        answered = [call.returned_at for call in attempts if call.outcome == "ok"]
        if answered and key in stored:
            first = min(call.invoked_at for call in attempts)
            spans[key.symbol].append((first, min(answered), stored[key], key))
    broken = []
    for each in spans.values():
        by_answer = sorted(each, key=lambda span: span[1])
        highest, named, past = 0, None, 0
        for invoked_at, _, order_id, key in sorted(each, key=lambda span: span[0]):
            while past < len(by_answer) and by_answer[past][1] < invoked_at:
                if by_answer[past][2] > highest:
                    highest, named = by_answer[past][2], by_answer[past][3]
                past += 1
            if order_id < highest:
                broken.append(f"{key} ({order_id}) was sent after {named} ({highest}) was answered")
    return [Violation("H4", text) for text in broken]


def there_are_no_gaps(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H5."""
    broken = []
    for what, rows in (
        ("order", [(o.symbol, o.order_id) for o in dump.orders]),
        ("trade", [(t.symbol, t.trade_id) for t in dump.trades]),
    ):
        ids: dict[str, list[int]] = defaultdict(list)
        for symbol, number in rows:
            ids[symbol].append(number)
        for symbol, numbers in ids.items():
            if sorted(numbers) != list(range(1, len(numbers) + 1)):
                missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))[:5]
                broken.append(
                    f"{what} ids of {symbol} are not 1..{len(numbers)}: {missing} missing"
                )
    last: dict[int, tuple[int, int]] = {}
    for row in dump.log:
        sequence, epoch = last.get(row.slot_id, (row.seq_lo - 1, row.epoch))
        birth = dump.birth_before(row, last[row.slot_id][1] if row.slot_id in last else -1)
        if birth is not None:
            sequence, epoch = birth.born_seq, birth.epoch
        if row.seq_lo != sequence + 1 or row.seq_hi < row.seq_lo:
            broken.append(f"slot {row.slot_id} goes from {sequence} to {row.seq_lo}..{row.seq_hi}")
        if row.epoch < epoch:
            broken.append(f"slot {row.slot_id} falls from epoch {epoch} to {row.epoch}")
        last[row.slot_id] = (row.seq_hi, row.epoch)
    return [Violation("H5", text) for text in broken]


def the_log_replays_to_what_is_stored(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H6."""
    return [Violation("H6", text) for text in replayed_as_stored(dump)]


ENDED = {"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"}


def nothing_is_made_or_lost(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H7."""
    broken = []
    traded: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    orders = {(order.symbol, order.order_id): order for order in dump.orders}
    for trade in dump.trades:
        name = f"trade {trade.trade_id} of {trade.symbol}"
        legs = [
            (trade.maker_order_id, trade.maker_account),
            (trade.taker_order_id, trade.taker_account),
        ]
        sides = set()
        for order_id, account in legs:
            leg = traded[trade.symbol, order_id]
            leg[0] += trade.quantity
            leg[1] += trade.quantity * trade.price
            order = orders.get((trade.symbol, order_id))
            if order is None or order.account != account:
                broken.append(f"{name} names {order_id} of account {account}, which is not there")
            else:
                sides.add(order.side)
        if len(sides) == 1:
            broken.append(f"{name} has two legs on the same side")
        if trade.quantity <= 0 or trade.price <= 0:
            broken.append(f"{name} is over {trade.quantity} lots at {trade.price}")
    for place, order in orders.items():
        broken += _order_in_balance(order, *traded.get(place, [0, 0]))
    return [Violation("H7", text) for text in broken]


def _order_in_balance(order: OrderRow, lots: int, quote: int) -> list[str]:
    name, used = f"{order.symbol} {order.order_id}", order.executed + order.prevented
    broken = []
    if (order.executed, order.executed_quote) != (lots, quote):
        broken.append(
            f"{name} executed {order.executed} for {order.executed_quote}, its trades say"
            f" {lots} for {quote}"
        )
    if order.is_open:
        expected = "PARTIALLY_FILLED" if order.executed else "NEW"
        legal = order.status == expected and used < order.quantity
    elif order.status == "FILLED":
        legal = used == order.quantity
    else:
        legal = order.status in ENDED and used <= order.quantity
    if not legal:
        where = "open" if order.is_open else "ended"
        broken.append(
            f"{name} is {where} as {order.status} with {order.executed} executed and"
            f" {order.prevented} prevented of {order.quantity}"
        )
    return broken


def each_slot_has_one_owner(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """H8."""
    broken = []
    rows: dict[int, list[OwnerRow]] = defaultdict(list)
    for row in dump.owners:
        rows[row.slot_id].append(row)
    for slot, each in rows.items():
        active = [row for row in each if row.state == "ACTIVE"]
        undecided = [row for row in each if row.state in UNDECIDED]
        if len(active) > 1:
            broken.append(f"slot {slot} is served from the shards {[r.shard for r in active]}")
        for row in active:
            late = [r for r in each if r.state != "ACTIVE" and r.epoch > row.epoch]
            broken += [f"slot {slot} is at epoch {row.epoch}, but was at {r.epoch}" for r in late]
        broken += [f"slot {slot} is left {row.state} on shard {row.shard}" for row in undecided]
    served = [row for row in dump.owners if row.state == "ACTIVE"]
    try:
        check_tiles([SymbolRange(row.first, row.past) for row in served])
    except (InvariantError, ValueError) as problem:
        broken.append(f"of the slots that are served, {problem}")
    return [Violation("H8", text) for text in broken]


UNDECIDED = {"SEALED", "PREPARED"}
LAWS: dict[str, Law] = {
    "H1": no_ack_is_lost,
    "H2": nothing_is_there_twice,
    "H3": only_what_may_be_there_is_there,
    "H4": real_time_order_holds,
    "H5": there_are_no_gaps,
    "H6": the_log_replays_to_what_is_stored,
    "H7": nothing_is_made_or_lost,
    "H8": each_slot_has_one_owner,
}


def check(calls: Sequence[Call], dump: Dump) -> list[Violation]:
    """Everything that breaks a law."""
    return [violation for law in LAWS.values() for violation in law(calls, dump)]


def describe(violations: Sequence[Violation]) -> str:
    """For a failed test: the first of them, and how many there are of each law."""
    counts = Counter(violation.law for violation in violations)
    lines = [str(violation) for violation in violations[:SHOWN_MAX]]
    return "\n".join([f"{sum(counts.values())} violations {dict(counts)}", *lines])
