"""A whole replica behind sockets: real shard, real Redis Cluster, a partition that plays along."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import uvicorn

from trading_backend.app import create_app
from trading_backend.order_lane import order_lane
from trading_backend.replica import Replica
from trading_backend.settings import BackendSettings
from trading_backend.stream_protocol import StreamProtocol
from trading_backend.tests.integration.servers import RedisCluster, Shard
from trading_backend.tests.unit.fake_partition import FakePartition, topology_of
from trading_backend.tests.unit.live_replica import wait_for
from trading_contract.topology import Limits

API_KEY, SECRET, ACCOUNT = "K" * 64, "S" * 64, 2
TRADE_KEY = "T" * 64


@dataclass
class Served:
    """What a test needs of it."""

    replica: Replica
    partition: FakePartition
    port: int
    http: httpx.AsyncClient

    async def read(self, path: str, *, key: str = API_KEY, **params: object) -> httpx.Response:
        """A signed GET."""
        text = urlencode({"timestamp": time.time_ns() // 1_000_000, **params})
        signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        url = f"/api/v3/{path}?{text}&signature={signature}"
        return await self.http.get(url, headers={"X-MBX-APIKEY": key})


def _write_files(
    shard: Shard, redis: RedisCluster, partition: FakePartition, limits: Limits
) -> None:
    topology = topology_of(partition).model_copy(
        update={
            "shards": shard.topology.shards, "redis_nodes": redis.nodes, "limits": limits,
        }
    )  # fmt: skip
    (shard.folder / "replica.json").write_text(topology.model_dump_json(by_alias=True))
    keys = [
        {"name": "reader", "apiKey": API_KEY, "secret": SECRET, "account": ACCOUNT,
         "scopes": ["read", "trade"]},
        {"name": "trader", "apiKey": TRADE_KEY, "secret": SECRET, "account": ACCOUNT,
         "scopes": ["trade"]},
    ]  # fmt: skip
    (shard.secrets / "api-keys.json").write_text(json.dumps({"keys": keys}))


@contextlib.asynccontextmanager
async def served(shard: Shard, redis: RedisCluster, **limits: int) -> AsyncIterator[Served]:
    """A ready replica."""
    partition = FakePartition("p0")
    await partition.start()
    partition.slots = tuple(s.model_copy(update={"epoch": 1}) for s in topology_of(partition).slots)
    _write_files(shard, redis, partition, Limits(**limits))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        replica = Replica(
            BackendSettings(
                replica="r0", topology_file=shard.folder / "replica.json",
                secrets_folder=shard.secrets, listen_port=port,
            )
        )  # fmt: skip
        config = uvicorn.Config(
            create_app(replica), http=order_lane(replica.entry), ws=StreamProtocol,
            ws_per_message_deflate=False, log_level="critical", access_log=False,
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.get_running_loop().create_task(server._serve([listener]))
        try:
            await wait_for(lambda: server.started and replica.partitions.ready, 10)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                yield Served(replica, partition, port, http)
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, 15)
            await partition.stop()
