"""Standbys that serve and follow nobody, though there is a primary, begin anew.

Patroni takes the primary's address out of a standby's settings when the primary goes, and it may
believe the next one to be in already: it asks its server what is set, maybe before that has read
the changed files, and then only when these change again (patroni/patroni issues 3686 and 3717).
Such a standby stays behind for good, and a restart of its pod mends it.
"""

from __future__ import annotations

from collections.abc import Iterator

from trading_operator.planner.child_actions import RollPod
from trading_operator.planner.kubernetes.seen import KubernetesSeen

# A standby that starts or changes its primary is ready within 16 s on a busy machine. What it has
# replayed until then is not replayed again: it ends in order.
ALONE_SECONDS_MAX = 30.0
REASON = "it follows nobody, though its shard has a primary"


def revivals(seen: KubernetesSeen, now: float) -> Iterator[RollPod]:
    """At most one pod of each shard, and none while another one of it goes."""
    for shard, members in sorted(seen.members.items()):
        pods = seen.pods_of(shard)
        primary = seen.shards.get(shard)
        if primary is None or not primary.accepts_writes or any(pod.is_deleting for pod in pods):
            continue
        alone = {member.name for member in members if member.follows_nobody}
        late = [
            pod for pod in pods
            if pod.name in alone and 0 < pod.unready_since <= now - ALONE_SECONDS_MAX
        ]  # fmt: skip
        yield from (RollPod(pod.name, pod.uid, REASON) for pod in late[:1])
