"""Numbers of the streams are exact, and the checksum follows its rule."""

from __future__ import annotations

import zlib
from decimal import Decimal

from trading_backend.market_books import DepthEvent, MarketBook
from trading_backend.stream_events import checksum, depth_event, partial_depth_event, trade_event
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.topology import SymbolRules

STYLE = SymbolFormat.of(
    SymbolRules(
        name="BTCUSDT",
        base_asset="BTC",
        quote_asset="USDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.001"),
    )
)


def book() -> MarketBook:
    """Two levels a side."""
    made = MarketBook()
    made.reset(5, [(9999, 1500), (9998, 20)], [(10001, 7), (10002, 3000)])
    return made


def test_prices_have_all_decimals_of_the_grid() -> None:
    assert STYLE.price(100) == "1.00"
    assert STYLE.quantity(1) == "0.001"
    assert STYLE.notional(10**15 + 1) == "10000000000.00001"
    assert STYLE.quantity(-5) == "-0.005"
    assert STYLE.price(0) == "0.00"


def test_the_largest_amounts_keep_all_their_digits() -> None:
    largest = (1 << 63) - 1
    assert STYLE.notional(largest * largest).replace(".", "") == str(largest * largest)


def test_the_checksum_is_of_asks_then_bids_without_points_and_leading_zeros() -> None:
    text = "10001" + "7" + "10002" + "3000" + "9999" + "1500" + "9998" + "20"
    assert checksum(STYLE, book().best(10)) == zlib.crc32(text.encode())


def test_a_depth_event_tells_its_range_and_levels() -> None:
    event = depth_event(STYLE, DepthEvent(4, 5, {9999: 1500}, {10003: 0}), book(), 1)
    assert (event["U"], event["u"]) == (4, 5)
    assert event["b"] == [["99.99", "1.500"]]
    assert event["a"] == [["100.03", "0.000"]]


def test_a_partial_book_is_best_first() -> None:
    event = partial_depth_event(STYLE, book(), 1)
    assert event["bids"] == [["99.99", "1.500"]]
    assert event["asks"] == [["100.01", "0.007"]]


def test_a_trade_names_buyer_and_seller_by_the_takers_side() -> None:
    sold = trade_event(STYLE, (3, 10000, 5, 11, 12, 1, 7_000), 8)
    assert (sold["b"], sold["a"], sold["m"]) == (11, 12, True)
