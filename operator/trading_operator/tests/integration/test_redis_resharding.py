"""Masters come and go in a real Redis Cluster, driven by the plan alone."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from trading_operator.planner.redis_cluster import NodeWanted, RedisPlan, plan_redis
from trading_operator.probes.redis import NodeProbe

NODES = 4
BUS = 10_000
SECONDS_MAX = 60


def _free_port() -> int:
    """A port below the bus ports' limit that nobody has, nor its bus port."""
    for port in range(21_000, 29_000):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + BUS))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[NodeWanted]]:
    """Nodes that know nothing of each other."""
    running, wanted = [], []
    for at in range(NODES):
        port, folder = _free_port(), tmp_path / str(at)
        folder.mkdir()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                   "--cluster-enabled", "yes", "--dir", str(folder)]  # fmt: skip
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        wanted.append(NodeWanted(f"redis-{at}", "127.0.0.1", port, port + BUS))
        with Redis(port=port, retry=Retry(ConstantBackoff(0.1), 100)) as client:
            client.ping()
    yield wanted
    for process in running:
        process.terminate()
        process.wait()


async def settle(all_nodes: Sequence[NodeWanted], wanted: Sequence[NodeWanted]) -> dict[str, int]:
    """Does what is planned until nothing is; each look has new connections, as after a restart."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            probes = {node.name: NodeProbe(node.port) for node in all_nodes}
            try:
                told = {name: await probe.ask() for name, probe in probes.items()}
                seen = {name: node for name, node in told.items() if node}
                plan = plan_redis(wanted, len(wanted), seen)
                await _do(plan, probes)
            finally:
                for probe in probes.values():
                    await probe.close()
            if plan.is_ok:
                views = {name: node.myself for name, node in seen.items()}
                return {name: len(view.hash_slots) for name, view in views.items() if view}
            await asyncio.sleep(0.2)


async def _do(plan: RedisPlan, probes: Mapping[str, NodeProbe]) -> None:
    for command in plan.commands:
        await probes[command.node].tell(command.command)
    for take in plan.transfers:
        await probes[take.node].take_hash_slots(take.hash_slots, take.node_id, take.source_id)


def test_masters_come_and_go_with_their_hash_slots(nodes: list[NodeWanted]) -> None:
    three = nodes[:3]
    assert sorted(asyncio.run(settle(three, three)).values()) == [5461, 5461, 5462]
    for node in three:
        with Redis(port=node.port) as client:
            for number in range(200):
                with suppress(ResponseError):  # MOVED: it is another one's
                    client.set(f"key-{number}", number)
    grown = asyncio.run(settle(nodes, nodes))
    assert sum(grown.values()) == 16_384
    assert min(grown.values()) >= 0.9 * 4096
    kept = 0
    for node in nodes:
        with Redis(port=node.port) as client:
            owners = {each[2][1] for each in client.execute_command("CLUSTER SLOTS")}
            assert owners == {each.port for each in nodes}, "all have heard"
            kept += client.dbsize()
    assert 0 < kept < 200, "who gave a hash slot away has deleted its keys"
    shrunk = asyncio.run(settle(nodes, three))
    assert shrunk["redis-3"] == 0
    assert sum(shrunk.values()) == 16_384
