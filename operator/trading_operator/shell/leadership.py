"""One acting operator: a Lease of our own, held with the official client's election.

The Lease is no fence: a paused leader may still write. UIDs, resourceVersions and the epochs of the
slots guard what matters.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

logger = logging.getLogger("trading_operator.leadership")
RETRY_SECONDS = 2
CALL_SECONDS_MAX = 4.0
STOP_SECONDS_MAX = 3.0
NETWORK_ERRORS = (OSError, TimeoutError, aiohttp.ClientError)


class PatientLeaseLock(LeaseLock):
    """The library's lock, for which an API server that is away is a failed try and not the end."""

    async def get(self, name: str, namespace: str) -> Any:
        """The record of the Lease, or why there is none."""
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                return await super().get(name, namespace)
        except NETWORK_ERRORS as error:
            return False, ApiException(
                status=HTTPStatus.SERVICE_UNAVAILABLE, reason=f"no answer ({type(error).__name__})"
            )

    async def create(
        self, name: str, namespace: str, election_record: LeaderElectionRecord
    ) -> bool:
        """Whether the Lease was made."""
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                return bool(await super().create(name, namespace, election_record))
        except NETWORK_ERRORS:
            return False

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Whether the Lease says so now."""
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                return bool(await super().update(name, namespace, updated_record))
        except NETWORK_ERRORS:
            return False

    async def release(self) -> None:
        """Let the next one in at once, if the Lease is still ours."""
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                lease = await self.api_instance.read_namespaced_lease(self.name, self.namespace)
                if lease.spec is not None and lease.spec.holder_identity == self.identity:
                    lease.spec.holder_identity = ""
                    await self.api_instance.replace_namespaced_lease(
                        self.name, self.namespace, lease
                    )
        except (ApiException, *NETWORK_ERRORS) as error:
            logger.warning("the Lease was not given back: %s", error)


class Leadership:
    """Follows the Lease, and leads while it holds it."""

    def __init__(
        self, client: ApiClient, name: str, namespace: str, identity: str, lease_seconds: float
    ) -> None:
        self._lock = PatientLeaseLock(name, namespace, identity, client)
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
