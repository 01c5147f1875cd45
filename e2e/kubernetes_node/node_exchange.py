"""A trading cluster on Kubernetes as its user sees it: kubectl, tradingctl, and the Service."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from exchange import TRADINGCTL, Key
from operator_process import Kubectl

# What a machine of two cores has many times over.
SMALL = {"cpu": "20m", "memory": "256Mi"}
SMALL_NODE = {"cpu": "10m", "memory": "64Mi"}
REPLICA_PORT = 8080
MISSING_PARAMETER = -1102


def small_document(name: str, **spec: Any) -> str:
    """A TradingCluster of two replicas and one of each other part, with small resources."""
    return yaml.safe_dump({
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": name},
        "spec": {
            "symbols": [{"name": "BTCUSDT", "minNotional": "5"}],
            "backends": {"replicas": 2, "resources": SMALL},
            "partitions": {"resources": SMALL},
            "shards": {"resources": SMALL, "storage": {"size": "1Gi"}},
            "redis": {"resources": SMALL_NODE},
            **spec,
        },
    })  # fmt: skip


class NodeExchange:
    """One TradingCluster in a namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.name = name

    @property
    def rest(self) -> str:
        """The Service's address, which this machine reaches as pods do."""
        spec = self.kubectl.get("service", self.namespace, self.name)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def is_ready(self) -> bool:
        """Whether Ready holds for the present generation."""
        body = self.kubectl.get("tradingclusters.hft.trading", self.namespace, self.name)
        return any(
            each["type"] == "Ready"
            and each["status"] == "True"
            and each["observedGeneration"] == body["metadata"]["generation"]
            for each in body.get("status", {}).get("conditions", ())
        )

    @contextmanager
    def every_status(self, file: Path) -> Iterator[Callable[[], list[str]]]:
        """Whatever Available is told to be meanwhile, as "STATUS REASON"; kept in `file`."""
        available = '{.status.conditions[?(@.type=="Available")]'
        path = f'{available}.status}} {available}.reason}}{{"\\n"}}'
        words = ["get", "tradingcluster", self.name, "-n", self.namespace, "--watch"]
        with file.open("wb") as log:
            watch = subprocess.Popen(
                [
                    self.kubectl.binary, "--kubeconfig", str(self.kubectl.kubeconfig), *words,
                    "-o", f"jsonpath={path}",
                ],
                stdout=log, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                yield lambda: file.read_text().splitlines()
                assert watch.poll() is None, "the watch ended"
            finally:
                watch.kill()
                watch.wait()

    def wait_ready(self, timeout_seconds: float = 120.0) -> float:
        """Seconds until then."""
        begun = time.monotonic()
        self.kubectl.wait_condition(
            self.namespace, self.name, "Ready", timeout_seconds=timeout_seconds
        )
        return time.monotonic() - begun

    def is_reached(self) -> bool:
        """Whether the Service leads to a replica that answers."""
        try:
            return httpx.get(f"{self.rest}/api/v3/ping", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def topology(self) -> dict[str, Any]:
        """What replicas and partitions read."""
        body = self.kubectl.get("configmap", self.namespace, f"{self.name}-topology")
        found: dict[str, Any] = json.loads(body["data"]["topology.json"])
        return found

    def create_key(self, name: str, scopes: str = "read,trade", account: int = 0) -> Key:
        """A new API key, of that account; 0 = with an account of its own."""
        words = ["--account", str(account)] if account else []
        text = self.ctl("keys", "create", name, "--scopes", scopes, "-o", "json", *words)
        made = json.loads(text)
        return Key(made["apiKey"], made["secret"], made["account"])

    def knows(self, api_key: str) -> bool:
        """Whether every replica takes the key.

        Kubelets bring it to each some time later, and a replica looks for it now and then.
        """
        return all(self._takes_key(pod, api_key) for pod in self.pods("replica"))

    def _takes_key(self, pod: dict[str, Any], api_key: str) -> bool:
        # A key that is known is asked for its signature; one that is not is refused before.
        url = f"http://{pod['status'].get('podIP')}:{REPLICA_PORT}/api/v3/account"
        try:
            answer = httpx.get(url, headers={"X-MBX-APIKEY": api_key}, timeout=5)
        except httpx.TransportError:
            return False
        return bool(answer.json()["code"] == MISSING_PARAMETER)

    def ctl(self, *words: str) -> str:
        """`tradingctl` for this cluster."""
        done = subprocess.run(
            [TRADINGCTL, *words, "-n", self.namespace, "--name", self.name],
            env={**os.environ, "KUBECONFIG": str(self.kubectl.kubeconfig)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shard_conninfos(self) -> list[str]:
        """libpq strings of all shards' primaries, as their administrator: for checks only."""
        secret = self.kubectl.get("secret", self.namespace, f"{self.name}-credentials")
        password = base64.b64decode(secret["data"]["postgres"]).decode()
        found = []
        for shard in self.topology()["shards"]:
            selector = f"hft.trading/cluster={self.name},hft.trading/component={shard['name']}"
            pods = self.kubectl.get("pods", self.namespace, selector=selector)["items"]
            hosts = ",".join(pod["status"]["podIP"] for pod in pods)
            found.append(
                f"host={hosts} port=5432 dbname=trading user=postgres password={password}"
                " target_session_attrs=read-write"
            )
        return found

    def pods(self, role: str) -> list[dict[str, Any]]:
        """The pods of a tier that are not on their way out."""
        selector = f"hft.trading/cluster={self.name},hft.trading/role={role}"
        items = self.kubectl.get("pods", self.namespace, selector=selector)["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def delete_pod(self, name: str) -> None:
        """As a machine that goes away does: without waiting."""
        self.kubectl("delete", "pod", name, "-n", self.namespace, "--wait=false")

    def delete_pod_at_once(self, name: str) -> None:
        """As a machine that fails does: nobody in it is told."""
        words = ("--force", "--grace-period=0", "--wait=false")
        self.kubectl("delete", "pod", name, "-n", self.namespace, *words)
