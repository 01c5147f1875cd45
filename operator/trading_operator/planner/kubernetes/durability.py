"""What the members of a shard share: how a failover goes and what a commit waits for.

Patroni reads it once when a shard is made; later it is asked for and changed over its REST API,
like any other part that may drift. Times in seconds, chosen for a failover within ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trading_contract.tradingcluster import Durability, ShardsSpec

STANDBYS_WAITED_FOR = 1


def patroni_config(members: int, durability: Durability) -> dict[str, Any]:
    """Patroni's dynamic configuration.

    preferred: a commit waits for a standby as long as there is one. required: it waits until there
    is one, and a failover needs a quorum, so that two faults stop the shard and lose nothing.
    """
    config: dict[str, Any] = {
        "ttl": 20,
        "loop_wait": 2,
        "retry_timeout": 3,
        "primary_start_timeout": 0,
        "primary_stop_timeout": 8,
        "failsafe_mode": True,
        "check_timeline": True,
        "maximum_lag_on_failover": 1 << 20,
        "synchronous_mode": "off",
        "synchronous_mode_strict": False,
        "postgresql": {"use_pg_rewind": True, "use_slots": True},
    }
    if members > 1:
        is_required = durability is Durability.REQUIRED
        config["synchronous_mode"] = "quorum" if is_required else "on"
        config["synchronous_mode_strict"] = is_required
        config["synchronous_node_count"] = STANDBYS_WAITED_FOR
    return config


def config_changes(shards: ShardsSpec, live: Mapping[str, Any]) -> dict[str, Any]:
    """What of Patroni's live configuration has to change; empty = nothing."""
    wanted = patroni_config(shards.members, shards.durability)
    return {key: value for key, value in wanted.items() if not _same(value, live.get(key))}


def _same(wanted: Any, live: Any) -> bool:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return all(_same(value, live.get(key)) for key, value in wanted.items())
    if wanted in ("on", "off"):  # Patroni tells them back as booleans
        return live in (wanted, wanted == "on") or (wanted == "off" and live is None)
    return bool(wanted == live)
