"""A small market maker that trades through unmodified ccxt.

    python bot.py --url http://127.0.0.1:8080 --key KEY --secret SECRET [--symbol BTC/USDT]

It quotes both sides, edits a quote, takes one with a market order, cancels what is left, and
checks after
each step that the exchange says what it should. Exit status 0 means that all of it held; otherwise
the first thing that did not is printed and the status is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import ccxt


class Surprise(Exception):
    """The exchange answered something else than a trader would expect."""


def connect(url: str, key: str, secret: str) -> Any:
    """ccxt's own binance client, pointed at `url`; nothing else is changed."""
    client = ccxt.binance(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        }
    )
    # All of them: calls such as fetch_status would otherwise go to the real venue.
    for name, address in client.urls["api"].items():
        if isinstance(address, str):
            client.urls["api"][name] = f"{url}/api/v3"
    client.exceptions["exact"]["-1008"] = ccxt.ExchangeNotAvailable
    return client


def expect(holds: bool, what: str) -> None:
    """Raise `Surprise` unless `holds`."""
    if not holds:
        raise Surprise(what)


def one_round(maker: Any, symbol: str, mid: float, size: float) -> None:
    """Quote, edit, trade, cancel; raises `Surprise` at the first wrong answer."""
    bid = maker.create_order(symbol, "limit", "buy", size, mid * 0.99)
    ask = maker.create_order(
        symbol, "limit", "sell", size, mid * 1.01, {"selfTradePrevention": "NONE"}
    )
    expect(bid["status"] == "open" and ask["status"] == "open", "fresh quotes are not open")
    seen = {order["id"] for order in maker.fetch_open_orders(symbol)}
    expect({bid["id"], ask["id"]} <= seen, f"open orders {seen} miss {bid['id']} or {ask['id']}")

    book = maker.fetch_order_book(symbol)
    for _ in range(10):  # market data follows the acknowledgement within about 100 ms
        if book["bids"] and book["asks"]:
            break
        time.sleep(0.1)
        book = maker.fetch_order_book(symbol)
    expect(bool(book["bids"]) and bool(book["asks"]), "the order book is empty after a second")
    expect(book["bids"][0][0] < book["asks"][0][0], "the book is crossed")

    better = maker.edit_order(bid["id"], symbol, "limit", "buy", size, mid * 0.995)
    expect(better["id"] != bid["id"], "an edited order kept its id")
    expect(maker.fetch_order(bid["id"], symbol)["status"] == "canceled", "the old bid lives on")

    maker.cancel_order(better["id"], symbol)
    try:
        maker.cancel_order(better["id"], symbol)
    except ccxt.OrderNotFound:
        pass
    else:
        raise Surprise("a cancelled order was cancelled again")
    maker.cancel_all_orders(symbol)
    left = [order["id"] for order in maker.fetch_open_orders(symbol)]
    expect(not left, f"still open after cancel all: {left}")


def meet(maker: Any, taker: Any, symbol: str, mid: float, size: float) -> None:
    """The maker rests, the taker takes it with a market order; both see the trade."""
    quote = maker.create_order(symbol, "limit", "sell", size, mid)
    bought = taker.create_order(symbol, "market", "buy", size / 2)
    expect(bought["status"] == "closed", f"a market order ended {bought['status']}")
    expect(abs(bought["average"] - quote["price"]) < 1e-9, "not traded at the maker's price")
    half = maker.fetch_order(quote["id"], symbol)
    expect(abs(half["filled"] - size / 2) < 1e-9, f"the maker sees {half['filled']} filled")
    ours = {trade["id"] for trade in maker.fetch_my_trades(symbol)}
    theirs = {trade["id"] for trade in taker.fetch_my_trades(symbol)}
    expect(bool(ours & theirs), "the two sides do not see the same trade")
    base = symbol.split("/", maxsplit=1)[0]
    expect(taker.fetch_balance()["total"].get(base, 0) > 0, "the taker's position is not there")
    maker.cancel_all_orders(symbol)


def main() -> int:
    """Parse arguments, trade, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", required=True, help="base URL, without /api/v3")
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--taker-key", help="key of a second account, to trade against")
    parser.add_argument("--taker-secret")
    parser.add_argument("--symbol", default="BTC/USDT")
    parser.add_argument("--mid", type=float, default=50_000.0)
    parser.add_argument("--size", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    maker = connect(given.url, given.key, given.secret)
    try:
        markets = maker.load_markets()
        expect(given.symbol in markets, f"{given.symbol} is not listed: {sorted(markets)}")
        for _ in range(given.rounds):
            one_round(maker, given.symbol, given.mid, given.size)
        if given.taker_key:
            taker = connect(given.url, given.taker_key, given.taker_secret)
            taker.load_markets()
            meet(maker, taker, given.symbol, given.mid, given.size)
    except (Surprise, ccxt.BaseError) as problem:
        print(f"bot: {type(problem).__name__}: {problem}", file=sys.stderr)
        return 1
    print(f"bot: {given.rounds} rounds on {given.symbol}, all as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
