"""The packed records of the matching core in Python: Command in, Event and OrderState out.

Layouts and meanings: engine/core/include/trading/core/{command,event,matching_engine}.hpp; enum values:
wire.hpp. `unpack_*` refuses a buffer that is not a whole number of records (struct.error).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from typing_extensions import Buffer

NO_HANDLE: Final = 0xFFFFFFFF
ALLOW_FAILURE: Final = 1  # Command.flags
TARGET_PART: Final = 1  # Event.flags
WAS_RESTING: Final = 2  # Event.flags


class Kind(IntEnum):
    """What a command does."""

    PLACE = 1
    CANCEL = 2
    REDUCE = 3
    AMEND = 4
    REPLACE = 5
    CANCEL_REPLACE = 6
    CANCEL_ALL = 7
    HALT = 11
    RESUME = 12
    CLEAR = 13


class Side(IntEnum):
    """Which side of the book."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """How an order meets the book."""

    LIMIT = 0
    MARKET = 1
    LIMIT_MAKER = 2


class TimeInForce(IntEnum):
    """What happens to the rest."""

    GTC = 0
    IOC = 1
    FOK = 2


class SelfTrade(IntEnum):
    """What happens when an order meets one of its own account."""

    NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3
    DECREMENT = 4


class Status(IntEnum):
    """Of an order, after an event."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 3
    REJECTED = 4
    EXPIRED = 5
    EXPIRED_IN_MATCH = 6


class Reason(IntEnum):
    """Why an order ended; NONE = it was filled."""

    NONE = 0
    USER = 1
    MASS_CANCEL = 2
    REPLACED = 3
    DISCONNECT = 4
    DEAD_MAN = 5
    IOC_UNFILLED = 6
    FOK_UNFILLED = 7
    NO_LIQUIDITY = 8
    PRICE_BAND = 9
    EXCHANGE = 10
    SELF_TRADE = 11


class Code(IntEnum):
    """Why a command was refused; only those the core gives."""

    OK = 0
    DUPLICATE_OTHER = 2
    ORDER_NOT_ACTIVE = 3
    INVALID_ORDER = 4
    INVALID_REPLACEMENT = 5
    POST_ONLY_WOULD_TAKE = 6
    SYMBOL_HALTED = 8
    UNKNOWN_SYMBOL = 13
    TOO_MANY_OPEN_ORDERS = 18
    MALFORMED = 19
    INVALID_AMEND = 20


class EventKind(IntEnum):
    """What happened."""

    ACCEPTED = 1
    REJECTED = 2
    TRADE = 3
    PREVENTED = 4
    RESTED = 5
    ENDED = 6
    REDUCED = 7
    REPLACED = 8
    DONE = 9


class Command(NamedTuple):
    """One input of the core."""

    order_id: int = 0
    target_id: int = 0
    account: int = 0
    price: int = 0
    quantity: int = 0
    quote_quantity: int = 0
    symbol: int = 0
    kind: int = Kind.PLACE
    side: int = Side.BUY
    type: int = OrderType.LIMIT
    time_in_force: int = TimeInForce.GTC
    self_trade: int = SelfTrade.NONE
    flags: int = 0
    reason: int = Reason.NONE


class Event(NamedTuple):
    """One output of the core; the fields of each kind are told in event.hpp."""

    kind: int
    side: int = 0
    status: int = 0
    reason: int = 0
    code: int = 0
    flags: int = 0
    command: int = 0
    handle: int = NO_HANDLE
    order_id: int = 0
    other_id: int = 0
    price: int = 0
    quantity: int = 0
    remaining: int = 0
    number: int = 0


class OrderState(NamedTuple):
    """One resting order."""

    order_id: int
    account: int
    price: int
    quantity: int
    remaining: int
    priority: int
    symbol: int = 0
    handle: int = NO_HANDLE
    side: int = Side.BUY
    type: int = OrderType.LIMIT
    self_trade: int = SelfTrade.NONE
    traded: bool = False


COMMAND_FORMAT: Final = struct.Struct("<6qI7B5x")
EVENT_FORMAT: Final = struct.Struct("<4BHBxII6q")
ORDER_STATE_FORMAT: Final = struct.Struct("<6qII3B?4x")


def pack_commands(commands: Iterable[Command]) -> bytes:
    """Commands as apply() takes them."""
    return b"".join(COMMAND_FORMAT.pack(*command) for command in commands)


def unpack_events(packed: Buffer) -> list[Event]:
    """Events as apply() gives them."""
    return [Event(*fields) for fields in EVENT_FORMAT.iter_unpack(packed)]


def pack_orders(orders: Iterable[OrderState]) -> bytes:
    """Orders as restore() takes them."""
    return b"".join(ORDER_STATE_FORMAT.pack(*order) for order in orders)


def unpack_orders(packed: Buffer) -> list[OrderState]:
    """Orders as orders() gives them."""
    return [OrderState(*fields) for fields in ORDER_STATE_FORMAT.iter_unpack(packed)]
