# Order entry of a replica in C++. Confined to one thread: that of the event loop.

from typing import TypeAlias

NOT_MINE: int
NEED_MORE: int
COMPLETE: int
LATENCY_BOUNDS_MICROSECONDS: list[int]

def error_rows() -> list[tuple[int, int, str]]: ...
def frame(opcode: int, payload: bytes, /) -> bytes: ...
def close_frame(code: int, reason: str, /) -> bytes: ...

_Lookup: TypeAlias = tuple[int, bool, str, int, int, str, int, str]
_Done: TypeAlias = tuple[
    list[tuple[int, bytes]], list[tuple[int, bytes]], list[_Lookup], list[tuple[int, bytes]]
]

class OrderEntry:
    def __init__(self) -> None: ...
    def set_symbols(
        self,
        rows: list[tuple[str, str, str, int, int, int, int, int, int, int, int, int]],
        /,
    ) -> None: ...
    def set_routes(
        self, partitions: int, rows: list[tuple[str, str, int]], now_us: int, /
    ) -> None: ...
    def set_keys(self, rows: list[tuple[str, str, int, int]], /) -> None: ...
    def set_limits(
        self,
        body_bytes_max: int,
        batch_orders_max: int,
        in_flight_max: int,
        deadline_us: int,
        hold_us: int,
        /,
    ) -> None: ...
    def set_rate_limits(self, orders_10s: int, orders_1d: int, weight_1m: int, /) -> None: ...
    def set_stream_limit(self, messages_per_second: int, /) -> None: ...
    def set_common_headers(self, block: bytes, /) -> None: ...
    def begin_http(self, data: bytes, now_us: int, /) -> tuple[int, int, int, int, int]: ...
    def begin(
        self,
        method: str,
        path: str,
        query: bytes,
        body: bytes,
        content_type: bytes,
        api_key: bytes,
        microseconds: bool,
        now_us: int,
        /,
    ) -> tuple[int, int, int]: ...
    def begin_query(
        self,
        kind: int,
        symbol: str,
        account: int,
        order_id: int,
        client_id: str,
        quantity: int,
        now_us: int,
        /,
    ) -> int: ...
    def submit(
        self, request: int, weight: int, orders_10s: int, orders_1d: int, now_us: int, /
    ) -> bytes | None: ...
    def refuse(
        self,
        request: int,
        orders: bool,
        weight: int,
        orders_10s: int,
        orders_1d: int,
        retry_after_seconds: int,
        /,
    ) -> bytes: ...
    def set_connected(self, partition: int, connected: bool, now_us: int, /) -> None: ...
    def waiting(self, partition: int, /) -> int: ...
    def in_flight(self, partition: int, /) -> int: ...
    def take(self, partition: int, count: int, now_us: int, /) -> bytes: ...
    def feed(self, partition: int, data: bytes, now_us: int, /) -> bool: ...
    def expire(self, now_us: int, /) -> None: ...
    def resolve(self, command: int, record: bytes, cancelled: bytes, /) -> None: ...
    def resolve_failed(self, command: int, /) -> None: ...
    def drain(self) -> _Done | None: ...
    def stream_open(self, rate_limits: bool, now_us: int, /) -> int: ...
    def stream_close(self, stream: int, /) -> None: ...
    def stream_receive(
        self, stream: int, data: bytes, now_us: int, /
    ) -> tuple[list[tuple[int, int, int]], list[tuple[str, bytes, int, bytes]], bool]: ...
    def stream_staged(self, stream: int, /) -> list[int]: ...
    def stream_submit(
        self,
        stream: int,
        count: int,
        weight: int,
        orders_10s: int,
        orders_1d: int,
        now_us: int,
        /,
    ) -> None: ...
    def stream_refuse(
        self,
        stream: int,
        count: int,
        orders: bool,
        weight: int,
        orders_10s: int,
        orders_1d: int,
        retry_after_seconds: int,
        /,
    ) -> None: ...
    def stream_output(self, stream: int, /) -> bytes: ...
    def stream_in_flight(self, stream: int, /) -> int: ...
    def requests(self) -> int: ...
    def load(self) -> tuple[int, int, int, int, int, int, int, int, list[int]]:
        """(stream requests, commands, busy, unknown, refused, waiting, in flight, latencies).

        The last are their sum in microseconds, and how many there are in each class.
        """
