"""API keys in a Secret, for clusters on Kubernetes."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from trading_contract.api_keys import ApiKeys
from trading_contract.errors import UserError, WorldError
from trading_operator.cli.key_stores import Change
from trading_operator.substrates.kubernetes.api import (
    CHILDREN,
    CLUSTER,
    CONFLICT,
    NOT_FOUND,
    POD,
    ApiError,
    Body,
    KubernetesApi,
    connect,
)

FILE = "api-keys.json"
TRIES_MAX = 5


class SecretKeys:
    """The Secret that the TradingCluster names, else the one that the operator makes."""

    def __init__(self, namespace: str, name: str) -> None:
        self._namespace = namespace
        self._name = name

    def read(self) -> ApiKeys:
        """All keys."""
        keys: ApiKeys = asyncio.run(self._with_api(self._read))
        return keys

    def change(self, change: Change) -> None:
        """Only if nobody else changed the Secret meanwhile; then anew."""
        asyncio.run(self._with_api(lambda api: self._change(api, change)))

    def wait(self, api_key: str, *, is_known: bool) -> None:
        """Kubelets bring the file; told by a change of the pods, they do so at once."""

    async def _with_api(self, work: Callable[[KubernetesApi], Any]) -> Any:
        api = await connect()
        try:
            return await work(api)
        finally:
            await api.close()

    async def _read(self, api: KubernetesApi) -> ApiKeys:
        return _parse(await self._secret(api))

    async def _secret(self, api: KubernetesApi) -> Body:
        cluster = await api.get(CLUSTER, self._namespace, self._name)
        if cluster is None:
            text = f"--name: there is no TradingCluster {self._name} in {self._namespace}"
            raise UserError(text)
        named = cluster["spec"].get("access", {}).get("apiKeysSecretRef")
        secret = await api.get(
            CHILDREN["Secret"], self._namespace, named or f"{self._name}-api-keys"
        )
        if secret is None:
            raise WorldError(f"Secret {named or self._name + '-api-keys'} is not there yet")
        return secret

    async def _change(self, api: KubernetesApi, change: Change) -> None:
        for _ in range(TRIES_MAX):
            secret = await self._secret(api)
            text = change(_parse(secret)).model_dump_json(by_alias=True)
            metadata = secret["metadata"]
            body = {
                "metadata": {"resourceVersion": metadata["resourceVersion"]},
                "data": {FILE: base64.b64encode(text.encode()).decode()},
            }
            kind = CHILDREN["Secret"]
            try:
                await api.merge(kind, kind.path(self._namespace, metadata["name"]), body)
            except ApiError as error:
                if error.code == CONFLICT:
                    continue
                raise
            await self._nudge(api)
            return
        raise WorldError("the Secret changes all the time; try again")

    async def _nudge(self, api: KubernetesApi) -> None:
        selector = f"hft.trading/cluster={self._name},hft.trading/role=replica"
        for pod in await api.list(POD, self._namespace, selector):
            metadata = pod["metadata"]
            note = {"hft.trading/keys-changed": str(time.time_ns())}
            try:
                await api.annotate(POD, self._namespace, metadata["name"], metadata["uid"], note)
            except ApiError as error:
                if error.code not in (
                    NOT_FOUND,
                    CONFLICT,
                ):  # it went meanwhile; that one needs none
                    raise


def _parse(secret: Body) -> ApiKeys:
    name = secret["metadata"]["name"]
    try:
        text = base64.b64decode((secret.get("data") or {}).get(FILE, "") or b"e30=")
        return ApiKeys.model_validate_json(text)
    except (ValueError, ValidationError) as error:
        raise WorldError(f"Secret {name}: {FILE} cannot be read: {error}") from error
