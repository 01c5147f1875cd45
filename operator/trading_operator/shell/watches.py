"""kopf as the source of events, and nothing more: what it tells goes into the mirror.

Only low-level handlers are registered, so kopf itself never writes to any object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import kopf

from trading_operator.shell.settings import OperatorSettings
from trading_operator.substrates.kubernetes.api import CHILDREN, CLAIM, OPTIONAL, OWN, POD, Kind
from trading_operator.substrates.kubernetes.mirror import MANAGED_SELECTOR, Mirror

WATCHED = (
    *OWN, POD, CLAIM, *(kind for kind in CHILDREN.values() if kind.name not in OPTIONAL)
)  # fmt: skip
STREAM_SECONDS = 240  # an integer: it goes into the query as it is
CLIENT_SECONDS = 270
CONNECT_SECONDS = 5
REQUEST_SECONDS = 15
PAGE_ITEMS = 500


class Backoffs:
    """Waits between tries of a request, without an end: an API server may be away for long."""

    def __iter__(self) -> Iterator[float]:
        yield from (1, 2, 3, 5, 8, 13)
        while True:
            yield 21


def make_registry(mirror: Mirror) -> kopf.OperatorRegistry:
    """Handlers that note every event of the watched kinds."""
    registry = kopf.OperatorRegistry()

    def watch(kind: Kind) -> None:
        @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)
        async def note(event: Any, **_: Any) -> None:
            body = dict(event["object"])
            body["kind"], body["apiVersion"] = kind.name, kind.api_version
            mirror.heard(body)
            if event["type"] == "DELETED":
                metadata = body["metadata"]
                namespace, uid = metadata.get("namespace", ""), metadata.get("uid", "")
                mirror.drop(kind.name, namespace, metadata["name"], uid)
            else:
                mirror.put(body)

    for kind in WATCHED:
        watch(kind)

    @kopf.on.login(registry=registry)
    def login(**keywords: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**keywords) or kopf.login_with_kubeconfig(**keywords)

    return registry


def kopf_settings() -> kopf.OperatorSettings:
    """Every setting whose default would let a watch go deaf, a start hang or an object change."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = STREAM_SECONDS
    settings.watching.client_timeout = CLIENT_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.watching.chunk_size = PAGE_ITEMS
    for kind in WATCHED:
        if kind not in OWN:
            settings.watching.label_selectors[_selector(kind)] = MANAGED_SELECTOR
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = Backoffs()
    settings.queueing.worker_limit = None
    settings.execution.default_backoff = 5
    settings.process.ultimate_exiting_timeout = 30
    settings.posting.enabled = False
    return settings


def _selector(kind: Kind) -> Any:
    return (kind.group, kind.version, kind.plural)


async def watch_all(
    mirror: Mirror, settings: OperatorSettings, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Run kopf until `stop`; raises when a watch has died for good."""
    places = [place for place in settings.places if place is not None]
    await kopf.operator(
        registry=make_registry(mirror),
        settings=kopf_settings(),
        standalone=True,
        clusterwide=not places,
        namespaces=places,
        stop_flag=stop,
        ready_flag=ready,
    )
