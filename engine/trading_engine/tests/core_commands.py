"""Random streams of commands for the core: few prices, few accounts, so that orders meet.

Each command comes from one drawn number, its seed: a failing stream is shrunk by dropping commands,
and ids are relative to the place in the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from hypothesis import strategies as st

from trading_engine.core_records import (
    ALLOW_FAILURE,
    Command,
    EndReason,
    Kind,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)

# Values at and beyond the edges.
_ODD = (0, -1, 1, 2**62, 2**63 - 1, -(2**63))


def command_streams(size_max: int = 60) -> st.SearchStrategy[list[Command]]:
    """Up to size_max commands on symbol 0; new ids rise, targets are mostly ids given before."""
    seeds = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=size_max)
    return seeds.map(commands_of)


def commands_of(seeds: Iterable[int]) -> list[Command]:
    """The stream that these seeds mean."""
    return [_command(Random(seed), index + 1) for index, seed in enumerate(seeds)]


def _command(random: Random, place: int) -> Command:
    weights = {_new_order: 9, _change: 5, _cancel_replace: 2, _rare: 1}
    (make,) = random.choices(list(weights), list(weights.values()))
    return make(random, place)


def _account(random: Random, order_id: int) -> int:
    """Mostly the same for one id, so that targets are mostly the sender's own."""
    return _seldom(random, (0, 1, 1, 2, 2, 3)[order_id * 5 % 17 % 6], random.randrange(4))


def _seldom(random: Random, usual: int, odd: int) -> int:
    return odd if random.random() < 0.03 else usual


def _target(random: Random, place: int) -> int:
    return max(1, place - random.randrange(1 + random.randrange(25)))


def _new_order(random: Random, place: int) -> Command:
    order_id = _seldom(random, place, _target(random, place))
    order = Command(
        order_id=order_id,
        account=_account(random, order_id),
        side=random.choice(list(Side)),
        self_trade=_seldom(random, random.choice(list(SelfTrade)), 9),
    )
    if random.random() < 0.2:
        lots, quote = random.choice(((random.randint(1, 20), 0), (0, random.randint(1, 3000))))
        return order._replace(
            type=OrderType.MARKET,
            time_in_force=random.choice((TimeInForce.GTC, TimeInForce.IOC)),
            quantity=lots,
            quote_quantity=quote,
            price=_seldom(random, 0, 100),
        )
    limit = order._replace(
        price=_seldom(random, random.randint(95, 105), random.choice(_ODD)),
        quantity=_seldom(random, random.randint(1, 12), random.choice(_ODD)),
        quote_quantity=_seldom(random, 0, random.choice(_ODD)),
        time_in_force=random.choice((*[TimeInForce.GTC] * 5, TimeInForce.IOC, TimeInForce.FOK)),
    )
    if random.random() < 0.2:
        gtc = _seldom(random, TimeInForce.GTC, TimeInForce.IOC)
        return limit._replace(type=OrderType.LIMIT_MAKER, time_in_force=gtc)
    return limit


def _change(random: Random, place: int) -> Command:
    target = _target(random, place)
    return Command(
        kind=random.choice((Kind.REDUCE, Kind.AMEND, Kind.CANCEL, Kind.REPLACE, Kind.REPLACE)),
        order_id=target,
        account=_account(random, target),
        price=_seldom(random, random.choice((0, random.randint(95, 105))), random.choice(_ODD)),
        quantity=_seldom(random, random.choice((0, random.randint(1, 12))), random.choice(_ODD)),
    )


def _cancel_replace(random: Random, place: int) -> Command:
    target = _target(random, place)
    return _new_order(random, place)._replace(
        kind=Kind.CANCEL_REPLACE,
        account=_account(random, target),
        target_id=target,
        flags=random.choice((0, ALLOW_FAILURE)),
    )


def _rare(random: Random, place: int) -> Command:
    kinds = [Kind.CANCEL_ALL] * 3 + [Kind.HALT, *[Kind.RESUME] * 3, Kind.CLEAR, Kind.QUERY_DEPTH]
    return Command(
        kind=random.choice(kinds),
        order_id=place,
        account=random.randrange(4),
        reason=random.choice((EndReason.NONE, EndReason.DEAD_MAN, EndReason.EXCHANGE)),
    )
