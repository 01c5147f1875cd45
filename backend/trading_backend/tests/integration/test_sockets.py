"""WebSocket sessions of a whole replica: streams, bad messages, slow clients, private events."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import msgspec
import pytest
import websockets

from trading_backend.routes import streams
from trading_backend.tests.integration.replica_server import (
    ACCOUNT,
    API_KEY,
    SECRET,
    Served,
    served,
)
from trading_backend.tests.integration.servers import RedisCluster, Shard
from trading_backend.tests.integration.test_channels import port_of
from trading_backend.tests.unit.live_replica import run, wait_for
from trading_contract.wire import Code, Depth

MARKET = "{BTCUSDT}:market"
EXECUTIONS = f"{{user-{ACCOUNT}}}:executions"


async def ask(client: websockets.ClientConnection, message: object) -> Any:
    """Send, and the next thing that comes."""
    await client.send(message if isinstance(message, str) else json.dumps(message))
    return json.loads(await client.recv())


def change(update: int, *, trade: int = 0) -> bytes:
    """A market message of one update."""
    trades = [[trade, 100, 5, 1, 2, 0, 1_000_000]] if trade else []
    return msgspec.msgpack.encode(
        {"U": update, "u": update, "b": [[100, update]], "a": [], "t": trades, "T": 5_000_000}
    )


async def subscribed(it: Served, redis: RedisCluster, *params: str) -> websockets.ClientConnection:
    """A client of these streams; the feed is live and has the book of update 5."""
    it.partition.depth = Depth(0, "BTCUSDT", 5, 100, 1, Code.OK, (), ())
    await it.replica.channels.execute(MARKET, "DEL", "{BTCUSDT}:depth")
    client = await websockets.connect(f"ws://127.0.0.1:{it.port}/stream")
    answer = await ask(client, {"method": "SUBSCRIBE", "params": params, "id": 1})
    assert answer == {"result": None, "id": 1}
    assert await it.replica.channels.wait_live(MARKET, 5)
    feed = it.replica.feed._feeds["BTCUSDT"]
    await wait_for(lambda: feed.book.update_id == 5 and not feed._is_resetting())
    return client


def test_streams_tell_what_partitions_publish(shard: Shard, redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with served(shard, redis_cluster) as it:
            names = ("btcusdt@depth@0ms", "btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth5")
            client = await subscribed(it, redis_cluster, *names)
            feed = it.replica.feed._feeds["BTCUSDT"]
            redis_cluster.publish(
                MARKET, change(6, trade=feed._last_trade + 1), port_of(redis_cluster, MARKET)
            )
            found: dict[str, Any] = {}
            while len(found) < len(names):
                message = json.loads(await asyncio.wait_for(client.recv(), 5))
                found[message["stream"]] = message["data"]
            depth = found["btcusdt@depth@0ms"]
            assert (depth["U"], depth["u"], depth["T"]) == (6, 6, 5000)
            assert (depth["b"], depth["a"]) == ([["1.00", "0.00006"]], [])
            assert found["btcusdt@trade"]["p"] == "1.00"
            assert found["btcusdt@bookTicker"]["B"] == "0.00006"
            assert found["btcusdt@depth5"]["lastUpdateId"] == 6
            await client.close()
            await wait_for(lambda: not it.replica.feed._feeds)

    run(scenario())


def test_bad_messages_are_answered_and_the_session_goes_on(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with (
            served(shard, redis_cluster) as it,
            websockets.connect(f"ws://127.0.0.1:{it.port}/ws/7") as client,
        ):
            subscribe: dict[str, Any] = {"method": "SUBSCRIBE", "id": 3}
            for bad in (
                "{", "[]", "1", '"x"', "null", "[" * 30_000, "{}", '{"method":"NO","id":3}',
                {**subscribe, "params": "btcusdt@trade"}, {**subscribe, "params": [1]},
                {**subscribe, "params": ["btcusdt@trade", "nope@trade"]},
                {**subscribe, "params": ["BTCUSDT@trade"]}, {**subscribe, "params": ["@" * 5000]},
                {**subscribe, "params": ["btcusdt@trade\n"]},
                {**subscribe, "params": ["btcusdt@trade@100ms"]},
            ):  # fmt: skip
                answer = await ask(client, bad)
                assert answer["error"]["code"] == 2, (bad, answer)
            listed = await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": "a"})
            assert listed == {"result": [], "id": "a"}  # all of a request or none
            await client.send(b"binary")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1003

    run(scenario())


def test_a_client_that_does_not_read_is_ended_and_costs_a_bounded_amount(
    shard: Shard, redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WAITING_BYTES_MAX", 1 << 18)

    async def scenario() -> None:
        async with served(shard, redis_cluster) as it:
            client = await subscribed(it, redis_cluster, "btcusdt@depth@0ms")
            client.transport.pause_reading()
            (session,) = it.replica.stream_clients
            assert isinstance(session, streams.StreamClient)
            # The peer's socket buffers are large: fill them, then ours.
            while not session.over.done():
                session.push("btcusdt@depth@0ms", b'"' + b"x" * 60_000 + b'"')
                assert session._waiting_bytes <= 1 << 18
                await asyncio.sleep(0)
            await wait_for(lambda: not it.replica.stream_clients)
            await wait_for(lambda: not it.replica.feed._feeds)
            client.transport.abort()

    run(scenario())


def test_what_is_left_when_draining_is_said_to_all_clients(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with (
            served(shard, redis_cluster) as it,
            websockets.connect(f"ws://127.0.0.1:{it.port}/ws") as client,
        ):
            await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 1})
            it.replica.drain()
            assert json.loads(await client.recv())["event"]["e"] == "serverShutdown"
            ready = await it.http.get("/readyz")
            assert ready.json()["reasons"] == ["draining"]
            assert ready.headers["connection"] == "close"
            assert (await it.read("account")).headers["connection"] == "close"

    run(scenario())


def execution(
    number: int, account: int = ACCOUNT, *, incarnation: str = "i1", order_id: int = 9
) -> bytes:
    """A message with one execution."""
    x = {
        "account": account, "s": "BTCUSDT", "order_id": order_id, "client_id": "mine",
        "target_client_id": "", "kind": "TRADE", "side": 0, "type": 0, "time_in_force": 0,
        "price": 100, "quantity": 5, "executed": 2, "executed_quote": 200, "last_price": 100,
        "last_quantity": 2, "trade_id": 3, "maker": True, "status": 1, "end_reason": 0,
        "created_us": 1000, "time_us": 2000,
    }  # fmt: skip
    return msgspec.msgpack.encode({"p": "p0", "i": incarnation, "n": number, "x": [x]})


def private(**more: object) -> dict[str, Any]:
    """A signed subscription."""
    params = {"apiKey": API_KEY, "timestamp": time.time_ns() // 1_000_000, **more}
    text = "&".join(f"{k}={v}" for k, v in sorted(params.items()))
    params["signature"] = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}


def test_executions_come_to_their_account_and_a_gap_is_said(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with (
            served(shard, redis_cluster) as it,
            websockets.connect(f"ws://127.0.0.1:{it.port}/ws-api/v3") as client,
        ):
            answer = await ask(client, private())
            assert (answer["status"], answer["result"]) == (200, {"subscriptionId": 0}), answer
            node = port_of(redis_cluster, EXECUTIONS)
            for message in (
                execution(1), execution(2, ACCOUNT + 64), execution(3), execution(5),
                execution(1, incarnation="i2"),
            ):  # fmt: skip
                assert redis_cluster.publish(EXECUTIONS, message, node) == 1
            seen: list[tuple[str, str]] = []
            while len(seen) < 6:
                event = json.loads(await asyncio.wait_for(client.recv(), 5))["event"]
                seen.append((event["e"], event.get("X", "")))
            report = ("executionReport", "PARTIALLY_FILLED")
            gap = ("eventStreamGap", "")
            assert seen == [report, report, gap, report, gap, report]
            event = json.loads(await asyncio.wait_for(client.recv(), 5))["event"]
            assert event["e"] == "outboundAccountPosition"
            assert {b["a"] for b in event["B"]} == {"BTC", "AAA", "ZZZ", "USDT"}

    run(scenario())


def test_executions_that_redis_lost_are_told_again_in_their_place(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with served(shard, redis_cluster) as it:
            it.partition.told = []
            it.partition.drop()
            await wait_for(it.replica.partitions.tellers)
            async with websockets.connect(f"ws://127.0.0.1:{it.port}/ws-api/v3") as client:
                assert (await ask(client, private()))["status"] == 200
                node = port_of(redis_cluster, EXECUTIONS)
                it.partition.told = [execution(n, order_id=n) for n in range(1, 6)]
                for number in (1, 4):  # 2 and 3 are lost, and 5 with nothing after it
                    redis_cluster.publish(EXECUTIONS, it.partition.told[number - 1], node)
                seen: list[Any] = []
                while len(seen) < 5:
                    event = json.loads(await asyncio.wait_for(client.recv(), 5))["event"]
                    if event["e"] != "outboundAccountPosition":
                        seen.append(event.get("i", event["e"]))
                assert seen == [1, 2, 3, 4, 5]

    run(scenario())


def test_bad_private_requests_are_refused_and_the_session_goes_on(
    shard: Shard, redis_cluster: RedisCluster
) -> None:
    async def scenario() -> None:
        async with (
            served(shard, redis_cluster) as it,
            websockets.connect(f"ws://127.0.0.1:{it.port}/ws-api/v3") as client,
        ):
            unsubscribe = {"id": 2, "method": "userDataStream.unsubscribe"}
            wrong = private()
            wrong["params"]["signature"] = "é"
            for bad, code in (
                (private(colour="red"), -1104), (wrong, -1022),
                ({"id": 1, "method": "userDataStream.subscribe"}, -2015),
                ({**unsubscribe, "params": {"subscriptionId": [1]}}, -1130),
                ({**unsubscribe, "params": {"subscriptionId": 7}}, -1130),
            ):  # fmt: skip
                answer = await ask(client, bad)
                assert answer["error"]["code"] == code, (bad, answer)
            assert (await ask(client, private()))["status"] == 200
            assert (await ask(client, private()))["error"]["code"] == -1130
            gone = {**unsubscribe, "params": {"subscriptionId": 0}}
            assert (await ask(client, gone))["status"] == 200
            node = port_of(redis_cluster, EXECUTIONS)
            await wait_for(lambda: redis_cluster.publish(EXECUTIONS, execution(1), node) == 0)

    run(scenario())
