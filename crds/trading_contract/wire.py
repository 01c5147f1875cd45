"""The wire between replicas and partitions: bytes <-> messages, without I/O.

The layout is that of `engine/wire/include/trading/wire.hpp`; a test compares the two. Frames are
bounded by `FRAME_BYTES_MAX`; a longer one is a `WireError` and ends the connection.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from trading_contract.errors import WorldError

PROTOCOL_VERSION = 1
STATUS_OF_LOAD = b"load"  # in a STATUS frame: asks for the load instead
FRAME_BYTES_MAX = 4 << 20
SYMBOL_BYTES = 16
CLIENT_ID_BYTES = 36

_HEADER = struct.Struct("<IBBH")
_COMMAND = struct.Struct("<Q16sqqqqqQqq36s36sBBBBBBHQQ")
_REPLY = struct.Struct("<Q16sqqqqqqqqqQQ36s36sHBBBBBBBBHI")
_FILL = struct.Struct("<qqqq")
_DEPTH = struct.Struct("<Q16sQqQHHIII")
_LEVEL = struct.Struct("<qq")

HEADER_BYTES = _HEADER.size
COMMAND_BYTES = _COMMAND.size
REPLY_BYTES = _REPLY.size
FILL_BYTES = _FILL.size
DEPTH_BYTES = _DEPTH.size
LEVEL_BYTES = _LEVEL.size


class WireError(WorldError):
    """The peer does not speak the wire protocol."""


class FrameType(IntEnum):
    """What a frame carries."""

    HELLO = 1
    WELCOME = 2
    COMMANDS = 3
    REPLIES = 4
    DEPTH = 5
    PING = 6
    PONG = 7
    STATUS = 8
    ERROR = 9
    RETELL = 10


class Kind(IntEnum):
    """What a command asks for."""

    PLACE = 1
    CANCEL = 2
    REDUCE = 3
    AMEND = 4
    REPLACE = 5
    CANCEL_REPLACE = 6
    CANCEL_ALL = 7
    QUERY_ORDER = 8
    QUERY_OPEN = 9
    QUERY_DEPTH = 10
    HALT = 11
    RESUME = 12
    CLEAR = 13


class Side(IntEnum):
    """Which side of the book an order is for."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """How an order names its price."""

    LIMIT = 0
    MARKET = 1
    LIMIT_MAKER = 2


class TimeInForce(IntEnum):
    """What happens to the part that does not trade at once."""

    GTC = 0
    IOC = 1
    FOK = 2


class SelfTrade(IntEnum):
    """Who gives way when an account would trade with itself."""

    NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3
    DECREMENT = 4


class OrderStatus(IntEnum):
    """Where an order stands."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 3
    REJECTED = 4
    EXPIRED = 5
    EXPIRED_IN_MATCH = 6


class EndReason(IntEnum):
    """Why an order ended; NONE while it is open or when it was filled."""

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
    """What became of a command."""

    OK = 0
    DUPLICATE_SAME = 1
    DUPLICATE_OTHER = 2
    ORDER_NOT_ACTIVE = 3
    INVALID_ORDER = 4
    INVALID_REPLACEMENT = 5
    POST_ONLY_WOULD_TAKE = 6
    STOP_WOULD_TRIGGER = 7
    SYMBOL_HALTED = 8
    ACCOUNT_HALTED = 9
    INSUFFICIENT_FUNDS = 10
    WRONG_OWNER = 11
    REQUEST_EXPIRED = 12
    UNKNOWN_SYMBOL = 13
    BUSY = 14
    UNKNOWN_OUTCOME = 15
    NO_SUCH_ORDER = 16
    PRICE_BAND = 17
    TOO_MANY_OPEN_ORDERS = 18
    MALFORMED = 19
    INVALID_AMEND = 20
    END = 21


FLAG_ALLOW_FAILURE = 1
FLAG_MORE = 1
FLAG_CANCELLED_PART = 2


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("ascii", "replace")


def _raw(text: str, bytes_max: int) -> bytes:
    raw = text.encode("ascii")
    if len(raw) > bytes_max:
        raise ValueError(f"{text!r} is longer than {bytes_max} bytes")
    return raw


def _symbol(text: str) -> bytes:
    return _raw(text, SYMBOL_BYTES)


def _client_id(text: str) -> bytes:
    return _raw(text, CLIENT_ID_BYTES)


@dataclass(frozen=True, slots=True)
class Command:
    """One request to a partition; prices in ticks, quantities in lots."""

    request_id: int
    kind: Kind
    symbol: str
    account: int = 0
    side: Side = Side.BUY
    type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    self_trade: SelfTrade = SelfTrade.EXPIRE_TAKER
    price: int = 0
    quantity: int = 0
    quote_quantity: int = 0
    order_id: int = 0
    client_id: str = ""
    target_client_id: str = ""
    epoch: int = 0
    expires_us: int = 0
    flags: int = 0

    def pack(self) -> bytes:
        """The record, `COMMAND_BYTES` long; ValueError for a text that does not fit its field."""
        return _COMMAND.pack(
            self.request_id, _symbol(self.symbol), self.account, self.price, self.quantity,
            self.quote_quantity, self.order_id, self.epoch, self.expires_us, 0,
            _client_id(self.client_id), _client_id(self.target_client_id), self.kind, self.side,
            self.type, self.time_in_force, self.self_trade, self.flags, 0, 0, 0,
        )  # fmt: skip

    @classmethod
    def unpack(cls, raw: bytes) -> Command:
        """The inverse of `pack`; raises `WireError` for a bad length or an unknown value."""
        if len(raw) != COMMAND_BYTES:
            raise WireError(f"command of {len(raw)} bytes, not {COMMAND_BYTES}")
        f = _COMMAND.unpack(raw)
        try:
            return cls(
                request_id=f[0], symbol=_text(f[1]), account=f[2], price=f[3], quantity=f[4],
                quote_quantity=f[5], order_id=f[6], epoch=f[7], expires_us=f[8],
                client_id=_text(f[10]), target_client_id=_text(f[11]), kind=Kind(f[12]),
                side=Side(f[13]), type=OrderType(f[14]), time_in_force=TimeInForce(f[15]),
                self_trade=SelfTrade(f[16]), flags=f[17],
            )  # fmt: skip
        except ValueError as unknown:
            raise WireError(f"command: {unknown}") from None


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade of a taker."""

    trade_id: int
    price: int
    quantity: int
    maker_order_id: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a command, or one order of a list."""

    request_id: int
    symbol: str
    order_id: int
    account: int
    price: int
    quantity: int
    executed: int
    executed_quote: int
    prevented: int
    created_us: int
    time_us: int
    epoch: int
    sequence: int
    client_id: str
    target_client_id: str
    code: Code
    kind: Kind
    status: OrderStatus
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    self_trade: SelfTrade
    end_reason: EndReason
    flags: int
    fills: tuple[Fill, ...] = ()

    def pack(self) -> bytes:
        """The record with its fills."""
        head = _REPLY.pack(
            self.request_id, _symbol(self.symbol), self.order_id, self.account, self.price,
            self.quantity, self.executed, self.executed_quote, self.prevented, self.created_us,
            self.time_us, self.epoch, self.sequence, _client_id(self.client_id),
            _client_id(self.target_client_id), self.code, self.kind, self.status, self.side,
            self.type, self.time_in_force, self.self_trade, self.end_reason, self.flags, 0,
            len(self.fills),
        )  # fmt: skip
        return head + b"".join(
            _FILL.pack(f.trade_id, f.price, f.quantity, f.maker_order_id) for f in self.fills
        )


def parse_replies(payload: bytes) -> list[Reply]:
    """All replies of a REPLIES frame; raises `WireError` unless it holds whole, known records."""
    replies = []
    at = 0
    while at < len(payload):
        if at + REPLY_BYTES > len(payload):
            raise WireError("REPLIES frame ends inside a record")
        fields = _REPLY.unpack_from(payload, at)
        at += REPLY_BYTES
        past = at + fields[25] * FILL_BYTES
        if past > len(payload):
            raise WireError("REPLIES frame ends inside the fills of a record")
        fills = tuple(Fill(*fill) for fill in _FILL.iter_unpack(payload[at:past]))
        at = past
        try:
            replies.append(_reply(fields, fills))
        except ValueError as unknown:
            raise WireError(f"reply: {unknown}") from None
    return replies


def _reply(f: tuple[Any, ...], fills: tuple[Fill, ...]) -> Reply:
    return Reply(
        f[0], _text(f[1]), f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11],
        f[12], _text(f[13]), _text(f[14]), Code(f[15]), Kind(f[16]), OrderStatus(f[17]),
        Side(f[18]), OrderType(f[19]), TimeInForce(f[20]), SelfTrade(f[21]), EndReason(f[22]),
        f[23], fills,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Depth:
    """A book's levels as (price, quantity) in ticks and lots, best first."""

    request_id: int
    symbol: str
    update_id: int
    last_price: int
    epoch: int
    code: Code
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]

    def pack(self) -> bytes:
        """The payload of a DEPTH frame."""
        head = _DEPTH.pack(
            self.request_id, _symbol(self.symbol), self.update_id, self.last_price, self.epoch,
            self.code, 0, len(self.bids), len(self.asks), 0,
        )  # fmt: skip
        return head + b"".join(_LEVEL.pack(*level) for level in self.bids + self.asks)

    @classmethod
    def unpack(cls, payload: bytes) -> Depth:
        """The inverse of `pack`; raises `WireError` when it does not fit."""
        if len(payload) < DEPTH_BYTES:
            raise WireError("DEPTH frame shorter than its header")
        f = _DEPTH.unpack_from(payload)
        bids, asks = f[7], f[8]
        if len(payload) != DEPTH_BYTES + (bids + asks) * LEVEL_BYTES:
            raise WireError("DEPTH frame length does not fit its level counts")
        levels = tuple(_LEVEL.iter_unpack(payload[DEPTH_BYTES:]))
        try:
            code = Code(f[5])
        except ValueError as unknown:
            raise WireError(f"depth: {unknown}") from None
        return cls(f[0], _text(f[1]), f[2], f[3], f[4], code, levels[:bids], levels[bids:])


def frame(frame_type: FrameType, payload: bytes) -> bytes:
    """One frame; raises `WireError` when it would be too long."""
    if HEADER_BYTES + len(payload) > FRAME_BYTES_MAX:
        raise WireError(f"frame of {len(payload)} bytes is longer than {FRAME_BYTES_MAX}")
    return _HEADER.pack(HEADER_BYTES + len(payload), frame_type, 0, 0) + payload


class FrameDecoder:
    """Bytes in, whole frames out; holds at most one frame that is not yet whole."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._max = frame_bytes_max
        self._held = bytearray()

    @property
    def held_bytes(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._held)

    def feed(self, data: bytes) -> list[tuple[FrameType, bytes]]:
        """Frames completed by `data`; raises `WireError` on a bad length or type."""
        self._held += data
        frames = []
        at = 0
        while len(self._held) - at >= HEADER_BYTES:
            length, kind, _, _ = _HEADER.unpack_from(self._held, at)
            if not HEADER_BYTES <= length <= self._max:
                raise WireError(f"frame length {length} is outside {HEADER_BYTES}..{self._max}")
            if kind not in FrameType._value2member_map_:
                raise WireError(f"unknown frame type {kind}")
            if len(self._held) - at < length:
                break
            frames.append((FrameType(kind), bytes(self._held[at + HEADER_BYTES : at + length])))
            at += length
        del self._held[:at]
        return frames
