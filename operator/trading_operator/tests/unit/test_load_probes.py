"""Answers about load that are late, too long, of another version or nonsense are no answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from trading_contract.load import PartitionLoad
from trading_operator.probes.http import http_body
from trading_operator.probes.loads import (
    parse_node_load,
    parse_partition_load,
    parse_replica_load,
    read_replica_load,
)
from trading_operator.probes.partition import HEADER, STATUS, PartitionProbe
from trading_operator.tests import loads

Found = TypeVar("Found")
INFO = {
    "run_id": "abc", "total_commands_processed": "70", "used_cpu_sys": "1.5",
    "used_cpu_user": "2.5", "used_memory": "1000", "maxmemory": "4000", "role": "master",
    "connected_clients": "3", "connected_slaves": "2",
    "slave0": "ip=10.0.0.1,port=6379,state=online,offset=5,lag=1",
    "slave1": "ip=10.0.0.2,port=6379,state=online,offset=5,lag=4",
}  # fmt: skip


def info(**changes: str) -> str:
    """What a Redis node answers to INFO."""
    return "# Server\r\n" + "".join(f"{k}:{v}\r\n" for k, v in {**INFO, **changes}.items())


def at(
    answer: Callable[[bytes], bytes], ask: Callable[[int], Awaitable[Found]], questions: int = 1
) -> Found:
    """What one learns from a server that answers a connection's questions so, then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(questions):
            writer.write(answer(await reader.read(65_536)))
            await writer.drain()
        writer.close()

    async def run() -> Found:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            return await ask(server.sockets[0].getsockname()[1])

    return asyncio.run(run())


def test_a_master_tells_of_its_slowest_replica() -> None:
    found = parse_node_load("redis-0", info())
    assert found is not None
    assert (found.replication_lag_seconds, found.cpu_seconds_total) == (4, 4)
    assert (found.memory_max_bytes, found.connections, found.is_master) == (4000, 3, True)
    alone = parse_node_load("redis-0", info(connected_slaves="0", maxmemory="0"))
    assert alone is not None
    assert (alone.replication_lag_seconds, alone.memory_max_bytes) == (None, None)


def test_a_replica_that_lost_its_master_does_not_know_its_lag() -> None:
    behind = info(role="slave", master_link_status="up", master_last_io_seconds_ago="2")
    lost = info(role="slave", master_link_status="down", master_last_io_seconds_ago="-1")
    lags = [parse_node_load("redis-1", told) for told in (behind, lost)]
    assert [each.replication_lag_seconds for each in lags if each] == [2, None]


@pytest.mark.parametrize(
    "told",
    ["", "nonsense", info(used_memory="much"), info(used_cpu_sys=""), info(slave1="lag"),
     info(connected_slaves="3"), info(total_commands_processed="1.5")],
)  # fmt: skip
def test_what_redis_does_not_say_is_not_made_up(told: str) -> None:
    assert parse_node_load("redis-0", told) is None


@pytest.mark.parametrize(
    "changes", [{"orders_total": "many"}, {"replica": "r" * 300}, {"order_latency": None}]
)
def test_a_replica_that_talks_nonsense_has_no_load(changes: dict[str, object]) -> None:
    body = json.loads(loads.replica("r").model_dump_json()) | changes
    assert parse_replica_load(json.dumps(body).encode()) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"replica": "r"}', b"\xff"])
def test_what_is_no_load_at_all_is_none(body: bytes) -> None:
    assert parse_replica_load(body) is None


def test_an_answer_is_bounded() -> None:
    told = loads.partition("p0", slots=tuple(loads.slot(n) for n in range(10)))
    body = json.loads(told.model_dump_json())
    assert parse_partition_load(json.dumps(body).encode()) == told
    body["slots"] *= 1000
    assert parse_partition_load(json.dumps(body).encode()) is None


def test_what_a_newer_part_tells_besides_is_passed_over() -> None:
    body = json.loads(loads.partition("p0").model_dump_json()) | {"mood": "good"}
    assert parse_partition_load(json.dumps(body).encode()) == loads.partition("p0")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"x" * 900,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_no_whole_answer_of_bounded_length_is_none(answer: bytes) -> None:
    assert at(lambda _: answer, lambda port: http_body("127.0.0.1", port, "/load", 800)) is None


def test_a_whole_answer_is_read() -> None:
    body = loads.replica("r0").model_dump_json().encode()
    head = f"HTTP/1.1 200 OK\r\nServer: s\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    found = at(lambda _: head + body, lambda port: read_replica_load("127.0.0.1", port))
    assert found == loads.replica("r0")


def test_a_partition_is_asked_for_its_load_and_an_older_one_has_none() -> None:
    def ours(question: bytes) -> bytes:
        is_load = question[HEADER.size :] == b"load"
        return framed(loads.partition("p0").model_dump_json() if is_load else STATUS_ANSWER)

    async def both(port: int) -> tuple[str, PartitionLoad | None]:
        probe = PartitionProbe("127.0.0.1", port)
        state = (await probe.ask(5.0)).state
        load = await probe.load(5.0)
        probe.close()
        return state, load

    assert at(ours, both, questions=2) == ("ready", loads.partition("p0"))
    assert at(lambda _: framed(STATUS_ANSWER), both, questions=2) == ("ready", None)


STATUS_ANSWER = json.dumps({"state": "ready", "slots": []})


def framed(text: str) -> bytes:
    """A STATUS frame."""
    return HEADER.pack(HEADER.size + len(text), STATUS, 0, 0) + text.encode()
