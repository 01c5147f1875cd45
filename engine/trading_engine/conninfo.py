"""Connection strings of shards."""

from __future__ import annotations

from pathlib import Path

from psycopg.conninfo import make_conninfo

from trading_contract.topology import ShardAddress

CONNECT_SECONDS_MAX = 2  # per member
# A member whose node is dead: as long as the keepalives take, but while something is unanswered.
SILENCE_MILLISECONDS_MAX = 11_000

# Plans of the commit path must stay index plans, whatever the statistics of a table that was empty
# a moment ago say. Only on this connection: readers and people plan as usual.
COMMIT_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
        "plan_cache_mode=force_generic_plan",
        "idle_in_transaction_session_timeout=2000",
        "jit=off",
    )
)
LOAD_OPTIONS = "-c work_mem=256MB -c jit=off -c max_parallel_workers_per_gather=0"


def over_sockets(shard: ShardAddress, folder: Path | None) -> ShardAddress:
    """The shard with its servers of this machine at their UNIX sockets, in `folder`/SHARD.

    A round trip costs half of what it does over TCP. Where there is no socket nothing changes.
    """
    if folder is None:
        return shard
    ours = folder / shard.name
    hosts = (host.rsplit(":", 1) for host in shard.hosts)
    reached = tuple(
        f"{ours if (ours / f'.s.PGSQL.{port}').exists() else host}:{port}" for host, port in hosts
    )
    return shard.model_copy(update={"hosts": reached})


def shard_conninfo(
    shard: ShardAddress, user: str, password: str, application: str, options: str = ""
) -> str:
    """For libpq: the member of the shard that takes writes.

    `application` shows in pg_stat_activity.
    """
    hosts, ports = zip(*(host.rsplit(":", 1) for host in shard.hosts), strict=True)
    return make_conninfo(
        "",
        host=",".join(hosts),
        port=",".join(ports),
        dbname=shard.database,
        user=user,
        password=password,
        application_name=application,
        options=options,
        target_session_attrs="read-write",
        connect_timeout=CONNECT_SECONDS_MAX,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=SILENCE_MILLISECONDS_MAX,
    )
