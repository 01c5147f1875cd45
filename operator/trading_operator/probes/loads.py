"""Answers of parts about their load -> the contract's models. What makes no sense is no answer."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from trading_contract.load import LOAD_BYTES_MAX, NodeLoad, PartitionLoad, ReplicaLoad, ShardLoad
from trading_operator.probes.http import http_body

TIMEOUT_SECONDS = 1.5

# All in one statement, within the statement_timeout of the probe's connection. The sizes are those
# of the file system, no table is read. A standby, which has no position of its own, gives no row.
SHARD_LOAD = """
SELECT extract(epoch FROM pg_postmaster_start_time())::text AS incarnation,
  pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal_bytes_total,
  (SELECT sum(numbackends) FROM pg_stat_database)::int AS connections,
  current_setting('max_connections')::int AS connections_max,
  d.xact_commit AS commits_total,
  d.tup_inserted + d.tup_updated + d.tup_deleted AS rows_total,
  pg_database_size(d.datid) AS database_bytes,
  (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint
    + (SELECT sum(size) FROM pg_ls_waldir())::bigint AS disk_used_bytes
FROM pg_stat_database d WHERE d.datname = current_database() AND NOT pg_is_in_recovery()
"""


async def read_replica_load(host: str, port: int) -> ReplicaLoad | None:
    """A replica's own answer."""
    body = await http_body(host, port, "/load", LOAD_BYTES_MAX, TIMEOUT_SECONDS)
    return None if body is None else parse_replica_load(body)


def parse_replica_load(body: bytes) -> ReplicaLoad | None:
    """What `GET /load` of a replica answered."""
    try:
        return ReplicaLoad.model_validate_json(body)
    except ValidationError:
        return None


def parse_partition_load(body: bytes) -> PartitionLoad | None:
    """What a partition answered; an older one tells its status instead."""
    try:
        return PartitionLoad.model_validate_json(body)
    except ValidationError:
        return None


def parse_shard_load(shard: str, row: Mapping[str, object]) -> ShardLoad | None:
    """The row of SHARD_LOAD."""
    try:
        return ShardLoad.model_validate({"shard": shard, **row})
    except ValidationError:
        return None


def parse_node_load(node: str, info: str) -> NodeLoad | None:
    """What a Redis node answered to INFO."""
    told = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    try:
        return NodeLoad.model_validate(
            {
                "node": node,
                "incarnation": told["run_id"],
                "operations_total": told["total_commands_processed"],
                "cpu_seconds_total": float(told["used_cpu_sys"]) + float(told["used_cpu_user"]),
                "memory_used_bytes": told["used_memory"],
                "memory_max_bytes": told.get("maxmemory") if told.get("maxmemory") != "0" else None,
                "replication_lag_seconds": _lag_seconds(told),
                "connections": told.get("connected_clients"),
                "is_master": told["role"] == "master",
            }
        )
    except (KeyError, ValueError):
        return None


def _lag_seconds(told: Mapping[str, str]) -> float | None:
    """Behind its master, or of its slowest replica; None without either."""
    if told["role"] != "master":
        if told.get("master_link_status") != "up":
            return None
        return float(told["master_last_io_seconds_ago"])
    lags = []
    for number in range(int(told.get("connected_slaves", 0))):
        fields = dict(each.split("=", 1) for each in told[f"slave{number}"].split(","))
        lags.append(float(fields["lag"]))
    return max(lags, default=None)
