"""Whether the Secret with API keys, a person's or ours, is there and can be read."""

from __future__ import annotations

import base64
import binascii
import time

from pydantic import ValidationError

from trading_contract.api_keys import ApiKeys
from trading_contract.errors import WorldError
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.child_actions import Manifest
from trading_operator.planner.kubernetes.seen import KubernetesSeen
from trading_operator.substrates.kubernetes.api import CHILDREN, KubernetesApi
from trading_operator.substrates.kubernetes.mirror import ClusterKey

CHECK_SECONDS = 10.0
FILE = "api-keys.json"


class ApiKeysCheck:
    """Asks now and then: it is a person's object, which no watch of ours follows."""

    def __init__(self, key: ClusterKey, api: KubernetesApi) -> None:
        self._key = key
        self._api = api
        self._asked_at = 0.0
        self._asked = ""
        self._problem = ""

    async def problem(self, cluster: TradingCluster, seen: KubernetesSeen) -> str:
        """What is wrong with it and what to do; "" = nothing. Ours may have been edited, too."""
        name = cluster.spec.access.api_keys_secret_ref
        if name is None:
            ours = f"{self._key.name}-api-keys"
            child = seen.child("Secret", ours)
            return _problem_of(f"Secret {ours}", child.manifest) if child else ""
        if name != self._asked or time.monotonic() - self._asked_at > CHECK_SECONDS:
            self._problem = await self._look(name)
            self._asked, self._asked_at = name, time.monotonic()
        return self._problem

    async def _look(self, name: str) -> str:
        field = f"spec.access.apiKeysSecretRef: Secret {name}"
        try:
            body = await self._api.get(CHILDREN["Secret"], self._key.namespace, name)
        except WorldError as error:
            return f"{field} cannot be read: {error}"
        if body is None:
            return f"{field} is not there: create it with the key {FILE}, or leave the field out"
        return _problem_of(field, body)


def _problem_of(field: str, body: Manifest) -> str:
    try:
        text = base64.b64decode((body.get("data") or {})[FILE])
        ApiKeys.model_validate_json(text)
    except KeyError:
        return f"{field} has no key {FILE}: add it"
    except (binascii.Error, ValidationError, ValueError):
        return f"{field}: {FILE} is malformed: it holds {{'keys': [...], 'nextAccount': n}}"
    return ""
