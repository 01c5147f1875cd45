"""Small valid things for tests."""

from __future__ import annotations

from trading_contract.wire import (
    Code,
    Command,
    Depth,
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

FIVE_LINES = """\
apiVersion: hft.trading/v1alpha1
kind: TradingCluster
metadata: {name: minimal}
spec:
  symbols: [{name: BTCUSDT}]
"""


def cluster_text(spec: str) -> str:
    """A TradingCluster with this spec in YAML flow style, such as `shards: {count: 0}`."""
    symbols = "" if "symbols:" in spec else "symbols: [{name: BTCUSDT}]"
    inner = ", ".join(part for part in (symbols, spec) if part)
    head = FIVE_LINES.split("spec:", maxsplit=1)[0]
    return f"{head}spec: {{{inner}}}\n"


def command() -> Command:
    """A command whose fields all differ."""
    return Command(
        request_id=2**64 - 1,
        kind=Kind.CANCEL_REPLACE,
        symbol="ABCDEFGHIJKLMNOP",
        account=-2,
        side=Side.SELL,
        type=OrderType.LIMIT_MAKER,
        time_in_force=TimeInForce.FOK,
        self_trade=SelfTrade.DECREMENT,
        price=3,
        quantity=4,
        quote_quantity=5,
        order_id=6,
        client_id="c" * 36,
        target_client_id="target",
        epoch=7,
        expires_us=8,
        flags=1,
    )


def reply() -> Reply:
    """A reply whose fields all differ, with two fills."""
    return Reply(
        request_id=1,
        symbol="BTCUSDT",
        order_id=2,
        account=3,
        price=4,
        quantity=5,
        executed=6,
        executed_quote=7,
        prevented=8,
        created_us=9,
        time_us=10,
        epoch=11,
        sequence=12,
        client_id="mine",
        target_client_id="theirs",
        code=Code.DUPLICATE_SAME,
        kind=Kind.CANCEL,
        status=OrderStatus.CANCELED,
        side=Side.SELL,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.FOK,
        self_trade=SelfTrade.EXPIRE_BOTH,
        end_reason=EndReason.PRICE_BAND,
        flags=2,
        fills=(Fill(13, 14, 15, 16), Fill(17, 18, 19, 20)),
    )


def depth() -> Depth:
    """A book with two bids and one ask."""
    return Depth(1, "BTCUSDT", 2, 3, 4, Code.WRONG_OWNER, ((5, 6), (7, 8)), ((9, 10),))
