"""Nonsense for every documented operation, drawn from a seed: never a 5xx, and always said why."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import Counter
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from exchange import Exchange, Key, Trader

REQUESTS_PER_OPERATION = 60
GOOD: dict[str, tuple[str, ...]] = {
    "symbol": ("BTCUSDT", "XRPUSDT"), "symbols": ('["BTCUSDT"]',), "side": ("BUY", "SELL"),
    "type": ("LIMIT", "MARKET", "LIMIT_MAKER"), "timeInForce": ("GTC", "IOC", "FOK"),
    "quantity": ("0.1", "1"), "price": ("9000.00", "9000.01"), "limit": ("5", "1000"),
    "interval": ("1m", "1d"), "cancelReplaceMode": ("STOP_ON_FAILURE", "ALLOW_FAILURE"),
    "newOrderRespType": ("ACK", "RESULT", "FULL"), "recvWindow": ("60000",),
    "orderId": ("1", "2"), "cancelOrderId": ("1", "2"), "newQty": ("0.1",),
    "newClientOrderId": ("again", "and-again"), "origClientOrderId": ("again",),
    "batchOrders": ('[{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"0.1"}]', "[{}]"),
}  # fmt: skip
NASTY = (
    "", " ", "0", "-1", "-0", "NaN", "Infinity", "1e9", "1.", ".1", "+1", "0x10", "1" * 19,
    "9" * 19, "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 400,
    "0." + "0" * 30 + "1", "null", "true", "[]", "{}", "[" * 400, '["BTCUSDT"', '{"a":1}', "'; --",
    "%", "%zz", "\x00", "\n", "é", "\u0663", "💥", "a b", "a&b=c", "../..", "BTCUSDT ", "btcusdt",
    "x" * 3000,
)  # fmt: skip
BODIES = (b"", b"{", b"[", b"null", b"\x00\xff" * 50, b"a=%zz", b"[1,2", b'{"symbol":', b"&&&=&=")
KINDS = ("application/x-www-form-urlencoded", "application/json", "application/x-ndjson", "", "a/b")


def sign(key: Key, text: str, chance: Random) -> str:
    """A right signature most of the time."""
    right = hmac.new(key.secret.encode(), text.encode("latin-1"), hashlib.sha256).hexdigest()
    return chance.choice((right,) * 8 + (right.upper(), right[:-1], "00", "é", ""))


def draw(operation: dict[str, Any], key: Key, chance: Random) -> str:
    """Query or form of one request."""
    parts = []
    for each in operation.get("parameters", []):
        name = each["name"]
        if each["in"] != "query" or name == "signature":
            continue
        if name == "timestamp":
            value = str(time.time_ns() // 1_000_000)
        elif chance.random() < (0.1 if each["required"] else 0.6):
            continue
        else:
            value = chance.choice(GOOD.get(name, ("1",)))
        if chance.random() < 0.12:
            value = chance.choice(NASTY)
        raw = chance.random() < 0.02
        parts.append(f"{name}={value if raw and value.isprintable() else quote(value)}")
        if chance.random() < 0.01:
            parts.append(parts[-1])
    if chance.random() < 0.03:
        parts.append(chance.choice(("surprise=1", "=", "&", "symbol", "%00=%00")))
    text = "&".join(parts).encode("ascii", "replace").decode()
    return f"{text}&signature={quote(sign(key, text, chance))}"


def ask(trader: Trader, method: str, path: str, operation: dict[str, Any],
        chance: Random) -> httpx.Response:  # fmt: skip
    """One request."""
    text = draw(operation, trader.key, chance)
    headers = {"X-MBX-APIKEY": trader.key.api_key}
    if chance.random() < 0.05:
        headers["X-MBX-APIKEY"] = chance.choice(("", "x", "A" * 64, "B" * 5000))
    body = b""
    if method in ("post", "put") and chance.random() < 0.8:
        headers["Content-Type"] = KINDS[0]
        text, body = "", text.encode()
    if chance.random() < 0.08:
        headers["Content-Type"], body = chance.choice(KINDS), chance.choice(BODIES)
    url = f"{path}?{text}" if text else path
    return trader.http.request(method.upper(), url, content=body, headers=headers)


@pytest.fixture
def fuzzer(exchange: Exchange) -> Trader:
    """A client of an account that nothing else is asked of."""
    return Trader(exchange.rest, exchange.create_key("fuzzer"))


def test_no_operation_answers_nonsense_with_a_server_error(fuzzer: Trader) -> None:
    chance = Random(20)
    seen: Counter[int] = Counter()
    with fuzzer.http:
        paths = fuzzer.http.get("/openapi.json").json()["paths"]
        for path, methods in paths.items():
            for method, operation in methods.items():
                for _ in range(REQUESTS_PER_OPERATION):
                    answer = ask(fuzzer, method, path, operation, chance)
                    asked = f"{method} {answer.request.url} {answer.request.content[:500]!r}"
                    assert answer.status_code < 500, (asked, answer.text)
                    seen[answer.status_code] += 1
                    if path.startswith("/api/") and answer.status_code != 200:
                        told = answer.json()
                        assert told["code"] < 0, asked
                        assert told["msg"], asked
        for symbol in GOOD["symbol"]:
            fuzzer.signed("DELETE", "openOrders", symbol=symbol)
            assert fuzzer.signed("GET", "openOrders", symbol=symbol).json() == []
    assert seen[200] > 100, seen
    assert seen[400] > 100, seen


async def disturb(url: str, chance: Random) -> None:
    """Bytes that are no request, or only half of one, on a connection that is then left."""
    host = urlsplit(url)
    upgrade = (
        b"GET /%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    junk = chance.randbytes(chance.randrange(1, 300))
    frames = b"\x81\xfe\x7f\xff" + chance.randbytes(20), b"\x82\xff" + b"\xff" * 8, junk
    begins = (
        b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 500\r\n\r\nsymbol=", junk,
        b"GET /api/v3/time HTTP/1.1\r\nHost:", b"\r\n" * 20, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        upgrade % b"ws" + chance.choice(frames), upgrade % b"ws-api/v3" + chance.choice(frames),
    )  # fmt: skip
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    writer.write(chance.choice(begins))
    if chance.random() < 0.5:
        writer.write_eof()
    try:
        async with asyncio.timeout(0.3):
            await reader.read()
    except TimeoutError:
        pass  # it still waits for the rest
    finally:
        writer.transport.abort()


def test_half_requests_and_half_frames_disturb_nobody_else(
    exchange: Exchange, trader: Trader
) -> None:
    url = exchange.rest

    async def all_at_once() -> None:
        chance = Random(4)
        for _ in range(10):
            await asyncio.gather(*(disturb(url, chance) for _ in range(20)))

    before = {p["name"]: p["pid"] for p in exchange.status()["processes"]}
    asyncio.run(all_at_once())
    placed = trader.place("BTCUSDT", "BUY", "0.001", "9000.00")
    assert trader.signed("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"]).json()
    assert {p["name"]: p["pid"] for p in exchange.status()["processes"]} == before
