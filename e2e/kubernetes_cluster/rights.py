"""What a ServiceAccount asked an API server for, from its audit log, against what it may do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FORBIDDEN, CREATED, DONE = 403, 201, 200
TOLD_ONLY = frozenset({"events", "leases"})  # what says something and changes nothing


class Right(NamedTuple):
    """One verb on one resource; `group` is "" for the core, `resource` may have a subresource."""

    verb: str
    group: str
    resource: str


class Refusal(NamedTuple):
    """One call that was forbidden; `at` as the audit log writes times."""

    at: str
    user: str
    verb: str
    uri: str


def used(audit_log: Path, account: str) -> tuple[set[Right], list[Refusal]]:
    """The rights that an account of that name used in any namespace, and what it was refused."""
    rights: set[Right] = set()
    refused: list[Refusal] = []
    for event in _events(audit_log):
        if event["user"]["username"].rpartition(":")[2] != account:
            continue
        if _is_refused(event):
            at, user = event["requestReceivedTimestamp"], event["user"]["username"]
            refused.append(Refusal(at, user, event["verb"], event["requestURI"]))
        elif reference := event.get("objectRef"):
            resource = "/".join(
                part for part in (reference["resource"], reference.get("subresource")) if part
            )
            group = reference.get("apiGroup", "")
            rights.add(Right(event["verb"], group, resource))
            if event.get("responseStatus", {}).get("code") == CREATED:  # also by an apply
                rights.add(Right("create", group, resource))
    return rights, refused


def _is_refused(event: Mapping[str, Any]) -> bool:
    """Whether it was forbidden, and not only because its namespace is about to go."""
    answer = event.get("responseStatus", {})
    causes = (answer.get("details") or {}).get("causes") or ()
    is_ending = any(each.get("reason") == "NamespaceTerminating" for each in causes)
    return answer.get("code") == FORBIDDEN and not is_ending


def calls(
    audit_log: Path, account: str, namespace: str | None = None, since: int = 0
) -> Counter[str]:
    """How often an account asked for what in a namespace (None = in any), as "verb resource".

    From byte `since` of the log on; a watch counts when it ends.
    """
    counts: Counter[str] = Counter()
    for event in _events(audit_log, since):
        reference = event.get("objectRef") or {}
        is_ours = event["user"]["username"].rpartition(":")[2] == account
        is_there = namespace is None or reference.get("namespace") == namespace
        if is_ours and is_there and event["stage"] == "ResponseComplete":
            counts[f"{event['verb']} {reference.get('resource', '')}"] += 1
    return counts


def created_and_deleted(
    audit_log: Path, account: str, namespace: str, since: int = 0
) -> Counter[str]:
    """How often an account made and removed each object, from byte `since` of the log on."""
    counts: Counter[str] = Counter()
    for event in _events(audit_log, since):
        reference = event.get("objectRef") or {}
        is_ours = event["user"]["username"].rpartition(":")[2] == account
        if not is_ours or reference.get("namespace") != namespace:
            continue
        code = event.get("responseStatus", {}).get("code")
        verb = event["verb"] if event["verb"] == "delete" and code == DONE else ""
        verb = "create" if code == CREATED else verb
        if verb and reference["resource"] not in TOLD_ONLY:
            counts[f"{verb} {reference['resource']}/{reference.get('name', '')}"] += 1
    return counts


def _events(audit_log: Path, since: int = 0) -> Iterator[dict[str, Any]]:
    with audit_log.open("rb") as log:
        log.seek(since)
        for line in log:
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
