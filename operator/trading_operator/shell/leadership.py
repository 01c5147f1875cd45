"""One acting operator: a Lease of our own, held with the official client's election.

The Lease is no fence: a paused leader may still write. UIDs, resourceVersions and the epochs of the
slots guard what matters.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus

from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.baselock import BaseLock

from trading_contract.errors import WorldError
from trading_operator.substrates.kubernetes.api import CONFLICT, LEASE, Body, KubernetesApi

logger = logging.getLogger("trading_operator.leadership")
RETRY_SECONDS = 2
CALL_SECONDS_MAX = 4.0
STOP_SECONDS_MAX = 3.0
NOBODY = ""


class PatientLeaseLock(BaseLock):
    """A Lease as the library's election wants it.

    The library's own lock ends the process when the API server is away, and version 37.0.2 cannot
    create a Lease at all; for this one both are tries that failed. It also reads the Lease before
    each renewal; who wrote it last knows it, and learns from the refusal of the next write when
    somebody else did: this one reads it then.
    """

    def __init__(self, api: KubernetesApi, name: str, namespace: str, identity: str) -> None:
        super().__init__(name, namespace, identity)
        self._api = api
        self._lease: Body | None = None
        self._is_known = False  # ours, as we wrote it last

    async def get(
        self, name: str, namespace: str
    ) -> tuple[bool, LeaderElectionRecord] | tuple[bool, Exception] | tuple[bool, None]:
        """The record of the Lease, or why there is none."""
        if self._is_known and self._lease is not None:
            return True, _record(self._lease)
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                self._lease = await self._api.get(LEASE, namespace, name)
        except (WorldError, TimeoutError) as error:
            return False, ApiException(
                status=HTTPStatus.SERVICE_UNAVAILABLE, reason=str(error) or "no answer"
            )
        if self._lease is None:
            absent = ApiException(status=HTTPStatus.NOT_FOUND, reason="no Lease yet")
            absent.body = json.dumps({"code": HTTPStatus.NOT_FOUND.value})
            return False, absent
        return True, _record(self._lease)

    async def create(
        self, name: str, namespace: str, election_record: LeaderElectionRecord
    ) -> bool:
        """Whether the Lease was made."""
        body: Body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": name, "namespace": namespace},
            "spec": _spec(election_record),
        }
        return await self._try(self._api.create(LEASE, namespace, body))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Whether the Lease says so now; not if another one wrote it since we read it."""
        if self._lease is None:
            return False
        spec = {**self._lease.get("spec", {}), **_spec(updated_record)}
        return await self._try(self._api.replace(LEASE, namespace, {**self._lease, "spec": spec}))

    async def release(self) -> None:
        """Let the next one in at once, if the Lease is still ours."""
        there, record = await self.get(self.name, self.namespace)
        if not there or not isinstance(record, LeaderElectionRecord) or self._lease is None:
            return
        if record.holder_identity == self.identity:
            spec = {**self._lease["spec"], "holderIdentity": NOBODY}
            await self._try(self._api.replace(LEASE, self.namespace, {**self._lease, "spec": spec}))

    async def _try(self, call: Awaitable[Body]) -> bool:
        self._is_known = False
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                self._lease = await call
        except (WorldError, TimeoutError) as error:
            if getattr(error, "code", 0) != CONFLICT:
                logger.warning("the Lease could not be written: %s", error)
            return False
        self._is_known = True
        return True


def _record(lease: Body) -> LeaderElectionRecord:
    spec = lease.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    return LeaderElectionRecord(
        spec.get("holderIdentity") or None,
        None if seconds is None else str(seconds),
        _without_zone(spec.get("acquireTime")),
        _without_zone(spec.get("renewTime")),
    )


def _spec(record: LeaderElectionRecord) -> Body:
    """The library hands local times over as text; only that they change matters to it."""
    spec: Body = {
        "holderIdentity": record.holder_identity,
        "leaseDurationSeconds": int(record.lease_duration or 0),
    }
    for key, text in (("acquireTime", record.acquire_time), ("renewTime", record.renew_time)):
        if text:
            at = datetime.fromisoformat(text)
            spec[key] = at.isoformat(timespec="microseconds") + "Z"
    return spec


def _without_zone(text: str | None) -> str | None:
    return str(datetime.fromisoformat(text).replace(tzinfo=None)) if text else None


class Leadership:
    """Follows the Lease, and leads while it holds it."""

    def __init__(
        self, api: KubernetesApi, name: str, namespace: str, identity: str, lease_seconds: int
    ) -> None:
        self._lock = PatientLeaseLock(api, name, namespace, identity)
        self._lease_seconds = lease_seconds
        self.is_leader = False
        self.is_following = False
        self._leading: asyncio.Task[None] | None = None

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, then run `lead`.

        When the Lease is lost, or `lead` ends by itself, the process ends at once: what it has
        begun must not go on beside its successor.
        """

        async def started() -> None:
            self.is_leader = True
            self._leading = asyncio.current_task()
            logger.info("leading as %s", self._lock.identity)
            try:
                await lead()
            except asyncio.CancelledError:
                raise
            except BaseException:
                logger.exception("the operator ends")
            os._exit(1)

        async def stopped() -> None:
            logger.error("the Lease is lost")
            os._exit(1)

        renew = self._lease_seconds * 2 / 3
        config = Config(
            self._lock, self._lease_seconds, renew, RETRY_SECONDS, started, stopped
        )  # fmt: skip
        self.is_following = True
        await LeaderElection(config).run()

    async def release(self) -> None:
        """At a graceful end: stop acting, then give the Lease back."""
        if self._leading is not None:
            self._leading.cancel()
            await asyncio.wait({self._leading}, timeout=STOP_SECONDS_MAX)
            await self._lock.release()
