"""The reading routes: right answers, and a clear refusal for everything that is wrong."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import httpx
import pytest

from trading_backend.tests.integration.replica_server import TRADE_KEY, Served, served
from trading_backend.tests.integration.servers import RedisCluster, Shard
from trading_backend.tests.integration.test_store import TRADES, store_of
from trading_backend.tests.unit.live_replica import run, wait_for
from trading_contract.wire import Code, Depth

BIG = "9" * 19
BAD_PUBLIC = [
    ("depth", -1102), ("depth?symbol=", -1102), ("depth?symbol=btc", -1100),
    ("depth?symbol=BTCUSDT%0A", -1100), ("depth?symbol=NOPEUSDT", -1121),
    ("depth?symbol=BTCUSDT&limit=0", -1130), ("depth?symbol=BTCUSDT&limit=5001", -1130),
    ("depth?symbol=BTCUSDT&limit=1.5", -1100), ("depth?symbol=BTCUSDT&limit=%D9%A3", -1100),
    ("depth?symbol=BTCUSDT&limit=" + "9" * 40, -1100), ("depth?symbol=BTCUSDT&limit=-1", -1100),
    ("depth?symbol=BTCUSDT&symbol=BTCUSDT", -1101), ("depth?symbol=BTCUSDT&colour=red", -1104),
    ("depth?symbol=BTCUSDT&signature=00", -1104), ("trades?symbol=%00", -1100),
    (f"aggTrades?symbol=BTCUSDT&startTime={BIG}", -1130),
    ("aggTrades?symbol=BTCUSDT&startTime=9223372036854775807", -1130),
    ("aggTrades?symbol=BTCUSDT&startTime=5&endTime=4", -1130),
    (f"trades?symbol=BTCUSDT&fromId={BIG}", -1130),
    ("klines?symbol=BTCUSDT", -1130), ("klines?symbol=BTCUSDT&interval=7m", -1130),
    (f"klines?symbol=BTCUSDT&interval=1m&endTime={BIG}", -1130),
    ("ticker/price?symbols=BTCUSDT", -1135), ("ticker/price?symbols=[1]", -1135),
    ("ticker/price?symbols=[]", -1130), ("ticker/price?symbols=" + "[" * 3000, -1135),
    ('ticker/price?symbols=["NOPE"]', -1121), ("ticker/24hr?type=HUGE", -1130),
    ('ticker/price?symbol=BTCUSDT&symbols=["BTCUSDT"]', -1128), ("ping?a=1", -1104),
    ("exchangeInfo?permissions=MARGIN", -1130), ("%ff%fe", -1000), ("nosuch", -1000),
]  # fmt: skip
BAD_SIGNED: list[tuple[str, dict[str, Any], int]] = [
    ("allOrders", {}, -1102), ("allOrders", {"symbol": "NOPEUSDT"}, -1121),
    ("allOrders", {"symbol": "BTCUSDT", "limit": 1001}, -1130),
    ("allOrders", {"symbol": "BTCUSDT", "orderId": "x"}, -1100),
    ("myTrades", {"symbol": "BTCUSDT", "fromId": "9" * 20}, -1100),
    ("myTrades", {"symbol": "BTCUSDT", "startTime": "9" * 18}, -1130),
    ("account", {"symbol": "BTCUSDT"}, -1104), ("account", {"omitZeroBalances": "maybe"}, -1130),
    ("account", {"timestamp": 1}, -1021), ("account", {"timestamp": "é"}, -1100),
    ("account", {"recvWindow": 60001}, -1131), ("account", {"timestamp": ""}, -1102),
]  # fmt: skip


def test_what_is_wrong_is_refused_by_code_and_never_a_server_error(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with served(shard, redis_cluster) as it:
            for path, code in BAD_PUBLIC:
                answer = await it.http.get(f"/api/v3/{path}")
                assert 400 <= answer.status_code < 500, (path, answer.text)
                assert answer.json()["code"] == code, (path, answer.text)
                assert answer.headers["x-mbx-used-weight-1m"] == "0"
            for path, params, code in BAD_SIGNED:
                answer = await it.read(path, **params)
                assert 400 <= answer.status_code < 500, (path, params, answer.text)
                assert answer.json()["code"] == code, (path, params, answer.text)
            for method, path in (("POST", "depth"), ("DELETE", "account"), ("PUT", "time")):
                answer = await it.http.request(method, f"/api/v3/{path}")
                assert (answer.status_code, answer.json()["code"]) == (405, -1000)

    run(scenario())


def test_keys_are_checked(shard: Shard, redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with served(shard, redis_cluster) as it:
            assert (await it.read("account")).status_code == 200
            for key, code in (("", -2014), ("X" * 64, -2015), (TRADE_KEY, -2015)):
                answer = await it.read("account", key=key)
                assert (answer.status_code, answer.json()["code"]) == (401, code)
            # A parameter put behind the signature is signed like the others, or refused.
            good = (await it.read("account")).request
            for more in ("&omitZeroBalances=true", "&signature=00"):
                answer = await it.http.get(str(good.url) + more, headers=good.headers)
                assert answer.json()["code"] in (-1022, -1101), more
            big = await it.http.request("GET", str(good.url), headers=good.headers,
                                        content=b"x" * (1 << 17))  # fmt: skip
            assert big.status_code == 413

    run(scenario())


def test_reads_beyond_the_weight_are_refused_and_who_goes_on_is_told_so(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with served(shard, redis_cluster, request_weight_per_minute=50) as it:
            assert (await it.read("account")).headers["x-mbx-used-weight-1m"] == "20"
            answers: list[httpx.Response] = []
            # A new minute may begin on the way and forgives once.
            while len(answers) < 250 and not (answers and answers[-1].status_code == 418):
                answers.append(await it.read("account"))
            assert {a.status_code for a in answers} == {200, 418, 429}
            refused = [a for a in answers if a.status_code == 429]
            assert 1 <= int(refused[0].headers["retry-after"]) <= 61
            assert refused[0].json()["code"] == -1003

    run(scenario())


def test_who_goes_in_the_middle_of_a_body_is_no_error_of_ours(
    shard: Shard, redis_cluster: RedisCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with served(shard, redis_cluster) as it:
            for what in ("GET /api/v3/account", "POST /api/v3/order?later=1"):
                _, writer = await asyncio.open_connection("127.0.0.1", it.port)
                # Expect: the fast lane leaves it to the ordinary routes.
                head = f"{what} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                writer.write(f"{head}Content-Length: 500\r\n\r\nsymbol=".encode())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            await wait_for(lambda: caplog.text.count("before its request was whole") == 2, 10)

    with caplog.at_level("DEBUG", "trading_backend"):
        run(scenario())
    assert not [each for each in caplog.records if each.levelname == "ERROR"], caplog.text


async def check_answers(it: Served) -> None:
    """All reads of one history."""

    async def get(path: str) -> Any:
        answer = await it.http.get(f"/api/v3/{path}")
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    trades = await get("trades?symbol=BTCUSDT&limit=3")
    assert isinstance(trades, list)
    assert [t["id"] for t in trades] == [TRADES - 2, TRADES - 1, TRADES]
    assert trades[0]["price"] == "10.97"
    assert [t["a"] for t in await get("aggTrades?symbol=BTCUSDT&fromId=0&limit=2")] == [1, 2]
    candles = await get("klines?symbol=BTCUSDT&interval=1m&startTime=1&limit=2")
    assert [c[0] for c in candles] == [60_000, 120_000]
    depth = await get("depth?symbol=BTCUSDT&limit=1")
    assert depth == {
        "lastUpdateId": 9,
        "bids": [["1.00", "0.00005"]],
        "asks": [],
        "c": zlib.crc32(b"1005" + b"991"),
    }
    best = await get("ticker/bookTicker?symbol=BTCUSDT")
    assert best["bidPrice"] == "1.00"
    assert len(await get('ticker/24hr?symbols=["BTCUSDT","AAAUSDT"]&type=MINI')) == 2
    info = await get("exchangeInfo")
    assert [s["symbol"] for s in info["symbols"]] == ["BTCUSDT", "AAAUSDT", "ZZZUSDT"]
    mine = (await it.read("myTrades", symbol="BTCUSDT", limit=2)).json()
    assert [(t["id"], t["isBuyer"], t["isMaker"]) for t in mine] == [
        (TRADES - 1, True, False),
        (TRADES, True, False),
    ]
    orders = (await it.read("allOrders", symbol="BTCUSDT")).json()
    assert [(o["orderId"], o["status"]) for o in orders] == [(1, "NEW"), (2, "FILLED")]
    held = (await it.read("account", omitZeroBalances="true")).json()["balances"]
    assert {b["asset"]: b["free"][0] for b in held} == {"BTC": "0", "USDT": "-"}


async def unready(it: Served, path: str) -> list[str]:
    """The reasons, as soon as there are any; none if it stays ready."""
    for _ in range(200):
        answer = await it.http.get(path)
        if answer.status_code == 503:
            return list(answer.json()["reasons"])
        await asyncio.sleep(0.02)
    return []


def test_answers_come_from_the_engine_the_shard_and_redis(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with store_of(shard), served(shard, redis_cluster) as it:
            it.partition.depth = Depth(0, "BTCUSDT", 9, 100, 1, Code.OK, ((100, 5), (99, 1)), ())
            await it.replica.channels.execute("{BTCUSDT}", "DEL", "{BTCUSDT}:depth")
            await check_answers(it)
            ready = await it.http.get("/readyz")
            assert (ready.status_code, ready.json()["reasons"]) == (200, [])
            assert ready.json()["partitions"] == ["p0"]
            assert (await it.http.get("/readyz/slots")).status_code == 200
            await it.partition.stop()
            reasons = await unready(it, "/readyz")
            assert "partition p0 is not connected" in reasons
            assert (await it.http.get("/readyz")).json()["partitions"] == []
            # Later: while orders for the slots are held, nobody is told of an outage.
            reasons = await unready(it, "/readyz/slots")
            assert reasons
            assert all("has no owner" in reason for reason in reasons)

    run(scenario())
