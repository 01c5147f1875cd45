"""The fast lane and the ordinary routes answer the same bytes, however the request arrives."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

from trading_backend import order_lane
from trading_backend.tests.unit.live_replica import (
    http,
    live_replica,
    order_http,
    read_response,
    run,
    wait_for,
    without_date,
)
from trading_backend.tests.unit.order_desk import ORDER, sign, signed
from trading_contract.wire import Command

MINE = {**ORDER, "newClientOrderId": "mine"}


def cases() -> list[bytes]:
    """Requests of every kind, good and bad."""
    now_us = time.time_ns() // 1000
    target = {"symbol": "BTCUSDT", "orderId": "12", "newClientOrderId": "c"}
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    batch = json.dumps([{**MINE, "newOrderRespType": "ACK"}, {**MINE, "price": "0"}])

    def text(params: dict[str, str]) -> str:
        return signed(params, now_us=now_us)

    stamp = f"timestamp={now_us // 1000}"
    json_query = f"{stamp}&signature={sign(stamp + batch)}"
    instead = {**MINE, "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": "3",
               "cancelNewClientOrderId": "cn"}  # fmt: skip
    return [
        http("POST", "/api/v3/order", "", text(MINE)),
        http("POST", "/api/v3/order", text(MINE)),
        http("POST", "/api/v3/order", "", text({**market, "newClientOrderId": "m"})),
        http("POST", "/api/v3/order", "", text(MINE), ("X-MBX-TIME-UNIT: MICROSECOND",)),
        http("POST", "/api/v3/order/test", "", text(MINE)),
        http("DELETE", "/api/v3/order", text(target)),
        http("DELETE", "/api/v3/openOrders", text({"symbol": "BTCUSDT"})),
        http("GET", "/api/v3/openOrders", text({"symbol": "BTCUSDT"})),
        http("GET", "/api/v3/order", text({"symbol": "BTCUSDT", "orderId": "12"})),
        http("POST", "/api/v3/order/cancelReplace", "", text(instead)),
        http("PUT", "/api/v3/order/amend/keepPriority", "",
             text({"symbol": "BTCUSDT", "orderId": "12", "newQty": "0.1"})),
        http("POST", "/api/v3/batchOrders", "", text({"batchOrders": batch})),
        http("POST", "/api/v3/batchOrders", json_query, batch, ("Content-Type: application/json",)),
        http("POST", "/api/v3/order", "", text({**MINE, "price": "0"})),
        http("POST", "/api/v3/order", "", text({**MINE, "foo": '<é>"\\'})),
        http("POST", "/api/v3/order", "", text({**MINE, "symbol": "NOPE"})),
        http("POST", "/api/v3/order", "", text(MINE)[:-1] + "x"),
        http("POST", "/api/v3/order", "", text(MINE)).replace(b"KKKK", b"XXXX"),
        http("POST", "/api/v3/order", "", text(MINE)).replace(b"X-MBX-APIKEY", b"X-OTHER"),
        http("POST", "/api/v3/order", "", signed(MINE, now_us=now_us - 90_000_000)),
        http("POST", "/api/v3/order"),
        http("DELETE", "/api/v3/order", "a=%zz"),
        http("POST", "/api/v3/order", "", json.dumps(MINE), ("Content-Type: application/json",)),
    ]  # fmt: skip


def test_lane_and_ordinary_routes_answer_the_same_bytes() -> None:
    async def check() -> None:
        async with live_replica() as fast, live_replica(lane=False) as slow:
            for data in cases():
                left = without_date(await fast.exchange(data))
                right = without_date(await slow.exchange(data))
                assert left == right, data
            commands = [p.commands for r in (fast, slow) for p in r.cluster.partitions]
            assert [strip(c) for c in commands[0]] == [strip(c) for c in commands[1]]
            assert fast.limits.asked == slow.limits.asked

    def strip(command: Command) -> Command:
        return replace(command, request_id=0, expires_us=0)

    run(check())


def test_a_request_cut_anywhere_gets_its_answer() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            data = order_http(MINE)
            for cut in range(1, len(data), 23):
                answer = await replica.exchange(data[:cut], data[cut:])
                assert answer.startswith(b"HTTP/1.1 200 OK"), cut

    run(check())


def test_pipelined_requests_of_all_kinds_are_answered_in_their_order() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            parts = []
            for i in range(30):
                parts.append(order_http({**ORDER, "newClientOrderId": f"c{i}"}))
                if i % 5 == 4:
                    parts.append(http("GET", "/nothing/here"))
                if i % 7 == 6:
                    parts.append(order_http({**ORDER, "price": "0"}))
            data = b"".join(parts)
            for size in (len(data), 1000, 4096):
                chunks = [data[at : at + size] for at in range(0, len(data), size)]
                found = await replica.exchange(*chunks, until=len(parts))
                ids = [p.split(b'"')[0] for p in found.split(b'"clientOrderId":"')[1:]]
                assert ids == [b"c%d" % i for i in range(30)]
                assert found.count(b"HTTP/1.1 404") == 6
                assert found.count(b"PRICE_FILTER") == 4

    run(check())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Host: localhost", b"Host: localhost\r\nConnection: close"),
        (b"HTTP/1.1\r\n", b"HTTP/1.0\r\n"),
        (b"/order HTTP", b"/%6frder HTTP"),
    ],
)
def test_unusual_requests_take_the_ordinary_way_and_are_answered_too(
    old: bytes, new: bytes
) -> None:
    async def check() -> None:
        async with live_replica() as replica:
            answer = await replica.exchange(order_http(MINE).replace(old, new, 1))
            assert b'"clientOrderId":"mine"' in answer

    run(check())


def test_a_chunked_body_and_two_lengths_never_reach_the_lane() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            body = order_http(MINE).partition(b"\r\n\r\n")[2]
            head = http("POST", "/api/v3/order")[:-2]
            chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
            assert b"mine" in await replica.exchange(chunked % (len(body), body))
            length = b"Content-Length: %d\r\n" % len(body)
            twice = head + length + length + b"\r\n" + body
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(twice)
            async with asyncio.timeout(10):
                assert b" 400 " in await reader.readline()
            writer.close()
            assert len(replica.cluster.partitions[0].commands) == 1

    run(check())


def test_a_body_too_large_is_413_and_never_held() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            head = http("POST", "/api/v3/batchOrders")[:-2]
            head += b"Content-Length: 2000000\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(head + b"x" * 1_100_000)
            answer = await read_response(reader)
            assert answer.startswith(b"HTTP/1.1 413")
            assert b"bodyBytesMax" in answer
            writer.close()

    run(check())


def test_who_reads_only_after_sending_a_body_too_large_still_reads_the_refusal() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            size = 8 << 20  # more than the buffers of a connection hold
            head = http("POST", "/api/v3/batchOrders")[:-2]
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(head + b"Content-Length: %d\r\n\r\n" % size)
            for _ in range(size >> 16):
                writer.write(b"x" * (1 << 16))
                await writer.drain()
            assert (await read_response(reader)).startswith(b"HTTP/1.1 413")
            writer.close()

    run(check())


def test_limits_are_asked_once_and_shown_in_headers() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            answer = await replica.exchange(order_http(MINE))
            assert b"x-mbx-used-weight-1m: 3\r\nx-mbx-order-count-10s: 4\r\n" in answer
            assert replica.limits.asked == [(7, 1)]
            replica.limits.left = 0
            refused = await replica.exchange(order_http(MINE))
            assert refused.startswith(b"HTTP/1.1 429")
            assert b"retry-after: 7" in refused
            assert b'"code":-1015' in refused
            assert len(replica.cluster.partitions[0].commands) == 1

    run(check())


def test_orders_of_one_turn_of_the_loop_share_a_frame() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            streams = [await asyncio.open_connection("127.0.0.1", replica.port) for _ in range(20)]
            for _reader, writer in streams:
                writer.write(order_http(ORDER))
            for reader, writer in streams:
                assert b" 200 " in await read_response(reader)
                writer.close()
            partition = replica.cluster.partitions[0]
            assert len(partition.commands) == 20
            assert partition.frames < 20

    run(check())


def test_a_client_that_leaves_early_leaves_nothing_behind() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            partition.silent = True
            _reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(order_http(ORDER))
            await wait_for(lambda: partition.commands)
            writer.close()
            await wait_for(lambda: not replica.entry.connections)
            partition.answer(partition.commands)
            await wait_for(lambda: replica.entry.native.requests() == 0)

    run(check())


def test_a_shutdown_finishes_what_is_in_flight() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            partition.silent = True
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(order_http(MINE))
            await wait_for(lambda: partition.commands)
            replica.server.should_exit = True
            await wait_for(lambda: not replica.server.servers[0].is_serving())
            partition.answer(partition.commands)
            assert b'"clientOrderId":"mine"' in await read_response(reader)
            assert await reader.read() == b""
            writer.close()

    run(check())


def test_a_draining_replica_closes_each_connection_with_its_next_answer() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            partition.silent = True
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(order_http(MINE))
            await wait_for(lambda: partition.commands)
            replica.entry.close_after_answers()
            partition.answer(partition.commands)
            answer = await read_response(reader)
            assert b"connection: close\r\n" in answer.lower()
            assert b'"clientOrderId":"mine"' in answer
            assert await reader.read() == b""
            writer.close()
            refused = await replica.exchange(http("POST", "/api/v3/order"))  # answered at once
            assert b"connection: close\r\n" in refused.lower()

    run(check())


def test_open_orders_of_all_symbols_are_gathered_from_all_partitions() -> None:
    async def check() -> None:
        async with live_replica(partitions=2) as replica:
            query = signed({}, now_us=time.time_ns() // 1000)
            answer = await replica.exchange(http("GET", "/api/v3/openOrders", query))
            body = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert {o["symbol"] for o in body} == {"BTCUSDT", "AAAUSDT", "ZZZUSDT"}
            asked = [{c.symbol for c in p.commands} for p in replica.cluster.partitions]
            assert asked == [{"BTCUSDT", "AAAUSDT"}, {"ZZZUSDT"}]

    run(check())


def test_the_routes_are_in_the_api_description() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            answer = await replica.exchange(http("GET", "/openapi.json"))
            paths = json.loads(answer.partition(b"\r\n\r\n")[2])["paths"]
            order = paths["/api/v3/order"]
            assert set(order) == {"post", "delete", "get"}
            names = {p["name"] for p in order["post"]["parameters"]}
            assert {"symbol", "price", "signature", "X-MBX-APIKEY"} <= names
            assert "504" in order["post"]["responses"]
            assert "/api/v3/batchOrders" in paths

    run(check())


@pytest.mark.parametrize("endless", [b"GET /api/v3/ping?a=", b"GET /api/v3/ping HTTP/1.1\r\nA: "])
def test_a_head_without_end_is_431_and_not_held(endless: bytes) -> None:
    async def check() -> None:
        async with live_replica() as replica:
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(endless)
            for _ in range(40):
                writer.write(b"x" * 10_000)
                await writer.drain()
                await asyncio.sleep(0.001)
            answer = await read_response(reader)
            assert answer.startswith(b"HTTP/1.1 431")
            assert b"65536 bytes" in answer
            assert await reader.read() == b""
            writer.close()
            assert (await replica.exchange(order_http(MINE))).startswith(b"HTTP/1.1 200")

    run(check())


def test_a_head_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_lane, "PARTIAL_SECONDS_MAX", 0.2)

    async def check() -> None:
        async with live_replica() as replica:
            reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            writer.write(b"GET /api/v3/ping HTTP/1.1\r\nHost: ")
            assert (await read_response(reader)).startswith(b"HTTP/1.1 408")
            assert await reader.read() == b""
            writer.close()

    run(check())
