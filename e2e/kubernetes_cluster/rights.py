"""What a ServiceAccount asked an API server for, from its audit log, against what it may do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FORBIDDEN, CREATED = 403, 201


class Right(NamedTuple):
    """One verb on one resource; `group` is "" for the core, `resource` may have a subresource."""

    verb: str
    group: str
    resource: str


def used(audit_log: Path, account: str) -> tuple[set[Right], list[str]]:
    """The rights that an account of that name used in any namespace, and what it was refused."""
    rights: set[Right] = set()
    refused: list[str] = []
    for event in _events(audit_log):
        if event["user"]["username"].rpartition(":")[2] != account:
            continue
        if event.get("responseStatus", {}).get("code") == FORBIDDEN:
            refused.append(f"{event['verb']} {event['requestURI']}")
        elif reference := event.get("objectRef"):
            resource = "/".join(
                part for part in (reference["resource"], reference.get("subresource")) if part
            )
            group = reference.get("apiGroup", "")
            rights.add(Right(event["verb"], group, resource))
            if event.get("responseStatus", {}).get("code") == CREATED:  # also by an apply
                rights.add(Right("create", group, resource))
    return rights, refused


def _events(audit_log: Path) -> Iterator[dict[str, Any]]:
    for line in audit_log.read_text().splitlines():
        yield json.loads(line)


def granted(roles: Iterable[Mapping[str, Any]]) -> set[Right]:
    """All rights of Roles and ClusterRoles."""
    return {
        Right(verb, group, resource)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
