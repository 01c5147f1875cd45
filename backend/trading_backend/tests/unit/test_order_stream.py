"""`/ws-api/v3` over real sockets, with a foreign client and with a rude one."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from trading_backend.order_entry import StreamWriter
from trading_backend.routes.order_stream import IN_FLIGHT_PAUSE
from trading_backend.tests.unit.live_replica import Replica, http, live_replica, run, wait_for
from trading_backend.tests.unit.order_desk import KEY, ORDER, sign
from trading_backend.tests.unit.stream_frames import request

BRIEF = {**ORDER, "newOrderRespType": "ACK"}


def logon() -> str:
    """A session.logon message."""
    stamp = time.time_ns() // 1_000_000
    params = {"apiKey": KEY, "timestamp": stamp}
    signature = sign(f"apiKey={KEY}&timestamp={stamp}")
    message = {"id": 0, "method": "session.logon", "params": {**params, "signature": signature}}
    return json.dumps(message)


def url(replica: Replica) -> str:
    """Where the stream is."""
    return f"ws://127.0.0.1:{replica.port}/ws-api/v3"


async def ask(
    client: Any, method: str, params: dict[str, Any] | None = None, ident: int = 1
) -> Any:
    """One request, one answer."""
    await client.send(json.dumps({"id": ident, "method": method, "params": params or {}}))
    return json.loads(await client.recv())


def test_a_foreign_client_trades_over_the_stream() -> None:
    async def check() -> None:
        async with live_replica() as replica, connect(url(replica)) as client:
            await client.send(logon())
            assert json.loads(await client.recv())["status"] == 200
            assert (await ask(client, "ping"))["result"] == {}
            for ident in range(200):
                message = {"id": ident, "method": "order.place", "params": BRIEF}
                await client.send(json.dumps(message))
            answers = [json.loads(await client.recv()) for _ in range(200)]
            assert sorted(a["id"] for a in answers) == list(range(200))
            assert {a["status"] for a in answers} == {200}
            assert replica.limits.left == (1 << 30) - 200
            await (await client.ping())

    run(check())


def test_past_the_limit_orders_are_refused_one_by_one_and_cancels_pass() -> None:
    async def check() -> None:
        async with live_replica() as replica, connect(url(replica)) as client:
            await client.send(logon())
            await client.recv()
            replica.limits.left = 3
            target = {"symbol": "BTCUSDT", "orderId": 1}
            orders = [("order.place", BRIEF)] * 3 + [("order.cancel", target)]
            orders += [("order.place", BRIEF)]
            frames = b"".join(request(m, p, i) for i, (m, p) in enumerate(orders))
            client.transport.write(frames)
            answers = {a["id"]: a for a in [json.loads(await client.recv()) for _ in orders]}
            assert [answers[i]["status"] for i in range(5)] == [200, 200, 200, 200, 429]
            assert answers[4]["error"]["code"] == -1015

    run(check())


def test_a_bad_handshake_is_refused() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            upgrade = ("Upgrade: websocket", "Connection: Upgrade")
            old = http("GET", "/ws-api/v3", headers=(*upgrade, "Sec-WebSocket-Version: 8"))
            assert (await replica.exchange(old)).startswith(b"HTTP/1.1 426")
            key = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: c2hvcnQ=")
            short = http("GET", "/ws-api/v3", headers=(*upgrade, *key))
            assert (await replica.exchange(short)).startswith(b"HTTP/1.1 400")
            with pytest.raises(InvalidStatus):
                await connect(f"ws://127.0.0.1:{replica.port}/ws/other")

    run(check())


def test_private_streams_are_served_by_the_other_half_of_the_replica() -> None:
    async def check() -> None:
        async with live_replica() as replica, connect(url(replica)) as client:
            await client.send(logon())
            await client.recv()
            refused = await ask(client, "userDataStream.subscribe")
            assert refused["error"]["code"] == -1020

            async def serve(
                stream: StreamWriter, method: str, ident: bytes, account: int, params: bytes
            ) -> None:
                text = b'{"id":%s,"status":200,"result":{"account":%d}}' % (ident, account)
                stream.send_text(text)

            replica.entry.user_streams = serve
            answer = await ask(client, "userDataStream.subscribe", ident=9)
            assert answer == {"id": 9, "status": 200, "result": {"account": 7}}

    run(check())


def test_a_shutdown_is_announced_answers_come_first_then_the_stream_closes() -> None:
    async def check() -> None:
        async with live_replica() as replica, connect(url(replica)) as client:
            await client.send(logon())
            await client.recv()
            partition = replica.cluster.partitions[0]
            partition.silent = True
            message = {"id": 5, "method": "order.place", "params": BRIEF}
            await client.send(json.dumps(message))
            await wait_for(lambda: partition.commands)
            replica.server.should_exit = True
            assert json.loads(await client.recv())["event"]["e"] == "serverShutdown"
            partition.answer(partition.commands)
            assert json.loads(await client.recv())["id"] == 5
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001

    run(check())


def test_a_client_that_does_not_read_is_not_read_from_either() -> None:
    async def check() -> None:
        async with live_replica() as replica, connect(url(replica)) as client:
            await client.send(logon())
            await client.recv()
            partition = replica.cluster.partitions[0]
            partition.silent = True
            block = b"".join(request("order.place", BRIEF, i) for i in range(100))
            sent = 0

            def written() -> bool:
                return client.transport.get_write_buffer_size() > 1 << 18

            while not written() and sent < 100_000:
                client.transport.write(block)
                sent += 100
                await asyncio.sleep(0)
            seen = replica.entry.native.requests()
            assert IN_FLIGHT_PAUSE < seen < IN_FLIGHT_PAUSE + 6000
            partition.silent = False
            partition.answer(partition.commands)
            got = 0
            while got < sent:
                await client.recv()
                got += 1

    run(check())


def test_a_message_too_large_closes_with_1009() -> None:
    async def check() -> None:
        async with live_replica() as replica, connect(url(replica)) as client:
            await client.send("x" * ((1 << 20) + 1))
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009

    run(check())
