"""A whole replica tells its load as JSON and to Prometheus."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from trading_backend.tests.integration.replica_server import served
from trading_backend.tests.integration.servers import RedisCluster, Shard
from trading_backend.tests.unit.live_replica import run, wait_for
from trading_contract.load import ReplicaLoad


def test_load_and_metrics_say_the_same(shard: Shard, redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with served(shard, redis_cluster) as it:
            answer = await it.http.get("/load")
            assert answer.headers["content-type"] == "application/json"
            first = ReplicaLoad.model_validate_json(answer.content)
            assert first.replica == "r0"
            assert (first.memory_bytes or 0) > 1 << 20
            found = await it.read("openOrders", symbol="BTCUSDT")
            assert found.status_code == 200, found.text
            second = it.replica.load.read()
            assert second.orders_total == first.orders_total + 1
            assert sum(second.order_latency.counts) == second.orders_total
            assert second.order_latency.recent_milliseconds(0.99) is not None
            assert second.cpu_seconds_total > first.cpu_seconds_total
            assert second.incarnation == first.incarnation
            await wait_for(lambda: sum(it.replica.load.read().event_loop_lag.counts) > 0)
            text = (await it.http.get("/metrics")).text
            families = {each.name: each for each in text_string_to_metric_families(text)}
            (orders,) = families["trading_replica_orders"].samples
            assert (orders.labels, orders.value) == ({"replica": "r0"}, second.orders_total)
            kinds = {each.labels["kind"] for each in families["trading_replica_rejections"].samples}
            assert kinds == {"busy", "unknown", "refused"}

    run(scenario())
