"""What the pods that run PostgreSQL and Redis are told."""

from __future__ import annotations

from typing import Any

import pytest

from trading_contract.errors import UserError
from trading_contract.settings import load
from trading_contract.tradingcluster import Durability, ShardsSpec
from trading_operator.planner.kubernetes.durability import config_changes, patroni_config
from trading_operator.roles.redis import NodeSettings, options
from trading_operator.roles.shard import ShardSettings, configuration, parameters

ENVIRONMENT = {
    "TRADING_SHARD_SCOPE": "demo-shard-0", "TRADING_SHARD_NAMESPACE": "trade",
    "TRADING_SHARD_CLUSTER": "demo", "TRADING_SHARD_MEMBERS": "3",
    "TRADING_SHARD_DURABILITY": "required", "TRADING_SHARD_SECRETS_FOLDER": "/etc/secrets",
    "TRADING_SHARD_SHARED_BUFFERS": "256MB", "TRADING_SHARD_EFFECTIVE_CACHE_SIZE": "768MB",
    "TRADING_SHARD_MAX_WAL_SIZE": "2560MB", "TRADING_SHARD_MAX_CONNECTIONS": "100",
}  # fmt: skip
PASSWORDS = {"postgres": "p1", "replication": "p2", "patroni": "p3"}


def _settings(**changes: str) -> ShardSettings:
    return load(ShardSettings, "TRADING_SHARD_", {**ENVIRONMENT, **changes})


@pytest.mark.parametrize(
    ("members", "durability", "mode", "strict"),
    [("2", "preferred", "on", False), ("3", "preferred", "on", False),
     ("3", "required", "quorum", True)],
)  # fmt: skip
def test_durability_decides_what_a_commit_waits_for(
    members: str, durability: str, mode: str, strict: bool
) -> None:
    shared = patroni_config(int(members), Durability(durability))
    assert (shared["synchronous_mode"], shared["synchronous_mode_strict"]) == (mode, strict)


def test_a_single_member_waits_for_nobody() -> None:
    assert patroni_config(1, Durability.PREFERRED)["synchronous_mode"] == "off"


def test_only_what_differs_in_patronis_configuration_is_changed() -> None:
    shards = ShardsSpec(members=2)
    live = {**patroni_config(2, Durability.PREFERRED), "synchronous_mode": True, "extra": 1}
    assert config_changes(shards, live) == {}
    assert config_changes(shards, {**live, "ttl": 30}) == {"ttl": 20}
    changes = config_changes(ShardsSpec(members=3, durability=Durability.REQUIRED), live)
    assert changes == {"synchronous_mode": "quorum", "synchronous_mode_strict": True}


def test_what_is_acknowledged_is_on_disk() -> None:
    wanted = parameters(_settings())
    assert (wanted["fsync"], wanted["synchronous_commit"]) == ("on", "on")
    assert wanted["full_page_writes"] == "on"


def test_a_new_segment_of_the_log_holds_nobody_up() -> None:
    document: dict[str, Any] = configuration(_settings(), "demo-shard-0-1", "10.0.0.5", PASSWORDS)
    assert {"wal-segsize": "4"} in document["bootstrap"]["initdb"]


def test_nobody_gets_in_without_a_password() -> None:
    document = configuration(_settings(), "demo-shard-0-1", "10.0.0.5", PASSWORDS)
    rules = document["postgresql"]["pg_hba"]
    assert rules
    assert all(rule.endswith("scram-sha-256") for rule in rules)
    assert document["restapi"]["authentication"]["password"] == "p3"


def test_state_is_kept_in_endpoints_under_the_shards_own_name() -> None:
    document: dict[str, Any] = configuration(_settings(), "demo-shard-0-1", "10.0.0.5", PASSWORDS)
    assert document["scope"] == "demo-shard-0"
    assert document["name"] == "demo-shard-0-1"
    assert document["kubernetes"]["use_endpoints"] is True


def test_the_copy_of_a_new_standby_waits_for_no_checkpoint_at_leisure() -> None:
    document = configuration(_settings(), "demo-shard-0-1", "10.0.0.5", PASSWORDS)
    assert document["postgresql"]["basebackup"] == {"checkpoint": "fast"}


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(UserError, match="TRADING_SHARD_MEMBERS"):
        _settings(TRADING_SHARD_MEMBERS="many")


def test_a_node_announces_its_stable_name_and_its_present_address() -> None:
    settings = NodeSettings(domain="demo-redis.trade.svc", maxmemory_bytes=1000)
    wanted = options(settings, "demo-redis-2", "10.0.0.9")
    assert wanted["cluster-announce-hostname"] == "demo-redis-2.demo-redis.trade.svc"
    assert wanted["cluster-announce-ip"] == "10.0.0.9"
    assert wanted["cluster-enabled"] == "yes"
