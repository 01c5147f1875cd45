"""The packed records of the matching core in Python: Command in, Event and OrderState out.

Layouts and meanings: engine/core/include/trading/core/{command,event,matching_engine}.hpp; values
of the enums are those of the wire. `unpack_*` refuses what is not a whole number of records
(struct.error).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from trading_contract.wire import (
    Code,
    EndReason,
    Kind,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)

__all__ = [
    "Code",
    "Command",
    "EndReason",
    "Event",
    "EventKind",
    "Kind",
    "OrderState",
    "OrderStatus",
    "OrderType",
    "SelfTrade",
    "Side",
    "TimeInForce",
    "pack_commands",
    "pack_orders",
    "unpack_events",
    "unpack_orders",
]

NO_HANDLE: Final = 0xFFFFFFFF
ALLOW_FAILURE: Final = 1  # Command.flags
TARGET_PART: Final = 1  # Event.flags
WAS_RESTING: Final = 2  # Event.flags


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
    reason: int = EndReason.NONE


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


def unpack_events(packed: bytes) -> list[Event]:
    """Events as apply() gives them."""
    return [Event(*fields) for fields in EVENT_FORMAT.iter_unpack(packed)]


def pack_orders(orders: Iterable[OrderState]) -> bytes:
    """Orders as restore() takes them."""
    return b"".join(ORDER_STATE_FORMAT.pack(*order) for order in orders)


def unpack_orders(packed: bytes) -> list[OrderState]:
    """Orders as orders() gives them."""
    return [OrderState(*fields) for fields in ORDER_STATE_FORMAT.iter_unpack(packed)]
