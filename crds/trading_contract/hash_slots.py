"""Where Redis Cluster keeps a key: hash slots and their owners (Redis Cluster specification)."""

from __future__ import annotations

import binascii
from typing import Any

HASH_SLOTS = 16_384
Address = tuple[str, int]


def hash_slot(key: str) -> int:
    """The hash slot of a key, by its hash tag when it has one."""
    first = key.find("{")
    if first >= 0:
        past = key.find("}", first + 1)
        if past > first + 1:
            key = key[first + 1 : past]
    return binascii.crc_hqx(key.encode(), 0) % HASH_SLOTS


def owners_of(cluster_slots: Any, asked: str) -> list[Address | None]:
    """The master of each hash slot, from a raw answer of CLUSTER SLOTS.

    A node that does not tell its own host is reached at `asked`, the host that was asked.
    """
    owners: list[Address | None] = [None] * HASH_SLOTS
    for first, last, master, *_ in cluster_slots:
        host = master[0].decode() if isinstance(master[0], bytes) else str(master[0] or "")
        for slot in range(int(first), int(last) + 1):
            owners[slot] = (host or asked, int(master[1]))
    return owners
