"""What the partition tells Redis Cluster, and that Redis never matters to an order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis

from trading_contract.hash_slots import hash_slot
from trading_contract.wire import Code, FrameType, Side, frame
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.redis_cluster import RedisCluster, redis_binary
from trading_engine.tests.integration.wire_client import cancel, place

Start = Callable[..., PartitionProcess]
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    """A running Redis Cluster that the test may break."""
    if redis_binary() is None:
        pytest.skip("needs redis-server (package `redis-server`)")
    made = RedisCluster()
    yield made
    made.remove()


@pytest.fixture
def told(site: Site, cluster: RedisCluster) -> Site:
    """A site whose topology names the cluster."""
    site.write(redis_nodes=tuple(cluster.nodes))
    return site


class Listener:
    """Collects the messages of one sharded channel."""

    def __init__(self, cluster: RedisCluster, channel: str) -> None:
        self._pubsub: Any = cluster.client(channel).pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.ssubscribe(channel)
        self.messages: list[Any] = []
        self.take_until(lambda _: True, kind="ssubscribe")

    def take_until(
        self, enough: Callable[[list[Any]], bool], kind: str = "smessage", seconds: float = 20
    ) -> list[Any]:
        """Everything so far once `enough` of it."""
        deadline = time.monotonic() + seconds
        while True:
            raw = self._pubsub.get_message(timeout=0.2)
            if raw is not None and raw["type"] == "smessage":
                self.messages.append(msgspec.msgpack.decode(raw["data"]))
            if raw is not None and raw["type"] == kind == "ssubscribe":
                return self.messages
            if kind == "smessage" and enough(self.messages):
                return self.messages
            assert time.monotonic() < deadline, f"waited in vain, got {self.messages[-3:]}"


def _book(cluster: RedisCluster, symbol: str, wanted: Callable[[Any], bool]) -> Any:
    """The stored book once it is as wanted."""
    key = f"{{{symbol}}}:depth"
    deadline = time.monotonic() + 20
    while True:
        try:
            raw = cluster.client(key).get(key)
            book = msgspec.msgpack.decode(raw) if isinstance(raw, bytes) else None
        except redis.RedisError:
            book = None
        if book is not None and wanted(book):
            return book
        assert time.monotonic() < deadline, f"waited in vain, last {book}"
        time.sleep(0.02)


def test_changes_are_told_without_a_gap_and_add_up_to_the_book(
    told: Site, cluster: RedisCluster, start: Start
) -> None:
    listener = Listener(cluster, "{AAPL}:market")
    process = start(told)
    with process.client() as client:
        for number in range(200):
            side, price = (BUY, 90 + number % 10) if number % 2 else (SELL, 95 + number % 10)
            client.one(place("AAPL", side, price, 1 + number % 3, account=1 + number % 5))
        depth = client.depth("AAPL", 1000)
    messages = listener.take_until(lambda m: bool(m) and m[-1]["u"] == depth.update_id)
    book: dict[str, dict[int, int]] = {"b": {}, "a": {}}
    last = 0
    trades = []
    for message in messages:
        assert message["U"] == last + 1
        last = message["u"]
        trades += [trade[0] for trade in message["t"]]
        for name, levels in book.items():
            levels.update(dict(message[name]))
    assert {p: q for p, q in book["b"].items() if q} == dict(depth.bids)
    assert {p: q for p, q in book["a"].items() if q} == dict(depth.asks)
    assert trades == list(range(1, len(trades) + 1))
    assert len(trades) == told.rows("SELECT count(*) FROM trades")[0][0] > 0
    assert messages[-1]["bb"] == list(depth.bids[0]) and messages[-1]["ba"] == list(depth.asks[0])


def test_nothing_is_told_before_it_is_committed(
    told: Site, cluster: RedisCluster, start: Start
) -> None:
    process = start(told)
    with process.client() as client:
        listener = Listener(cluster, "{AAPL}:market")
        client.one(place("AAPL", BUY, 90, 1))
        listener.take_until(bool)
        listener.messages.clear()
        told.rows(
            "CREATE FUNCTION wait_for_lock() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$"
        )
        told.rows("CREATE TRIGGER w AFTER INSERT ON slot_log EXECUTE FUNCTION wait_for_lock()")
        with told.servers[0].connect(told.topology.shards[0].database) as holder:
            holder.execute("SELECT pg_advisory_lock(1)")
            waiting = client.send(place("AAPL", BUY, 91, 1))
            while told.rows("SELECT 1 FROM pg_locks WHERE NOT granted") == []:
                pass
            quiet = time.monotonic() + 0.5
            with pytest.raises(AssertionError):
                listener.take_until(bool, seconds=quiet - time.monotonic())
            holder.execute("SELECT pg_advisory_unlock(1)")
        assert client.wait(waiting)[0][-1].code is Code.OK
        (message,) = listener.take_until(bool)
    assert message["b"] == [[91, 1]]


def test_executions_are_numbered_without_a_gap(
    told: Site, cluster: RedisCluster, start: Start
) -> None:
    listener = Listener(cluster, "{user-1}:executions")
    process = start(told)
    with process.client() as client:
        order = client.one(place("AAPL", BUY, 100, 5, client_id="mine"))
        client.one(place("AAPL", SELL, 100, 2, account=2))
        client.one(cancel("AAPL", order.order_id))

    def flat(messages: list[Any]) -> list[Any]:
        return [execution for message in messages for execution in message["x"]]

    messages = listener.take_until(lambda m: len(flat(m)) == 3)
    assert [message["n"] for message in messages] == list(range(1, len(messages) + 1))
    assert {message["p"] for message in messages} == {"p0"}
    new, trade, canceled = flat(messages)
    assert (new["kind"], new["client_id"], new["quantity"]) == ("NEW", "mine", 5)
    assert (trade["kind"], trade["maker"], trade["last_quantity"]) == ("TRADE", True, 2)
    assert (canceled["kind"], canceled["executed"]) == ("CANCELED", 2)


def test_flushall_heals_by_itself(told: Site, cluster: RedisCluster, start: Start) -> None:
    process = start(told)
    with process.client() as client:
        client.one(place("AAPL", BUY, 100, 5))
        _book(cluster, "AAPL", lambda book: book["b"] == [[100, 5]])
        for node in cluster.ports:
            redis.Redis(port=node).flushall()
        assert client.one(place("AAPL", BUY, 99, 1)).code is Code.OK
    book = _book(cluster, "AAPL", lambda book: book["b"] == [[100, 5], [99, 1]])
    assert book["u"] == 2
    _book(cluster, "MSFT", lambda book: book["b"] == [] and book["u"] == 0)


def test_a_restarted_partition_stores_the_books_it_recovered(
    told: Site, cluster: RedisCluster, start: Start
) -> None:
    process = start(told)
    with process.client() as client:
        client.one(place("AAPL", BUY, 100, 5))
    process.kill()
    for node in cluster.ports:
        redis.Redis(port=node).flushall()
    start(told)
    book = _book(cluster, "AAPL", lambda book: book["e"] == 2)
    assert (book["b"], book["u"]) == ([[100, 5]], 1)


def test_a_dead_node_costs_no_order_and_only_its_own_channels(
    told: Site, cluster: RedisCluster, start: Start
) -> None:
    process = start(told)
    symbols = [symbol.name for symbol in told.topology.symbols]
    with process.client() as client:
        client.ask(*[place(symbol, BUY, 100, 1) for symbol in symbols])
        victim = cluster.port_of("{AAPL}:depth")
        others = [s for s in symbols if cluster.port_of(f"{{{s}}}:depth") != victim]
        assert others
        cluster.kill(victim)
        answers = client.ask(*[place(symbol, BUY, 101, 1) for symbol in symbols])
        assert {a[-1].code for a in answers} == {Code.OK}
        survivor = next(port for port in cluster.ports if port != victim)
        connection = redis.Redis(port=survivor)
        owners = cluster.owners(survivor)
        for symbol in others:
            if owners[hash_slot(f"{{{symbol}}}:depth")] == ("127.0.0.1", survivor):
                _stored(connection, symbol, [[101, 1], [100, 1]])
        cluster.start(victim)
        cluster.wait_whole()
        client.one(place("AAPL", BUY, 102, 1))
        _book(cluster, "AAPL", lambda book: book["b"] == [[102, 1], [101, 1], [100, 1]])


def _stored(connection: redis.Redis, symbol: str, bids: list[list[int]]) -> None:
    deadline = time.monotonic() + 20
    while True:
        raw = connection.get(f"{{{symbol}}}:depth")
        if isinstance(raw, bytes) and msgspec.msgpack.decode(raw)["b"] == bids:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_orders_are_taken_without_any_redis(site: Site, start: Start) -> None:
    site.write(redis_nodes=("127.0.0.1:1",))
    process = start(site)
    with process.client() as client:
        for number in range(50):
            assert client.one(place("AAPL", BUY, 100 + number, 1)).code is Code.OK
        assert client.status()["publications_dropped"] > 0


def test_executions_are_told_again_to_who_asks(told: Site, start: Start) -> None:
    process = start(told)
    channel = "{user-1}:executions"
    with process.client() as client:
        assert client.welcome["retells"] is True
        for _ in range(3):
            client.one(place("AAPL", BUY, 100, 5))

        def retold(after: object) -> Any:
            asked = json.dumps({"channel": channel, "after": after}).encode()
            client.socket.sendall(frame(FrameType.RETELL, asked))
            return msgspec.msgpack.decode(client.frame_of(FrameType.RETELL))

        _until(lambda: retold(-1)["n"] >= 1)
        _until(lambda: sum(len(x) for _, x in _numbered(retold(0))) == 3)
        everything = retold(0)
        assert everything["c"] == channel and everything["i"] == client.welcome["incarnation"]
        numbers = [number for number, _ in _numbered(everything)]
        assert numbers == list(range(1, everything["n"] + 1))
        assert [n for n, _ in _numbered(retold(1))] == numbers[1:]
        assert retold(-1)["m"] == retold(99)["m"] == []
        with pytest.raises(ConnectionError, match="RETELL is malformed"):
            retold("x")


def _numbered(retold: Any) -> list[tuple[int, list[Any]]]:
    messages = [msgspec.msgpack.decode(message) for message in retold["m"]]
    return [(message["n"], message["x"]) for message in messages]


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
