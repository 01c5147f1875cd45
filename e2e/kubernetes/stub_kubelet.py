"""Plays the kubelet on an API server without machines: pods become ready, disks become bound."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any

from trading_operator.substrates.kubernetes.api import POD, ApiError, KubernetesApi, connect

POLL_SECONDS = 0.2
MISSING_IMAGE = "does-not-exist"


class StubKubelet:
    """Runs in a thread of its own until `stop`. Pods whose image is said to be missing wait."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = str(kubeconfig)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End and wait for it."""
        self._stop.set()
        self._thread.join(10)

    async def _run(self) -> None:
        api = await connect(kubeconfig=self._kubeconfig)
        while not self._stop.is_set():
            try:
                for pod in await api.list(POD, None):
                    await self._serve(api, pod)
            except ApiError:
                pass  # the API server may be away: that is what some tests do
            await asyncio.sleep(POLL_SECONDS)
        await api.close()

    async def _serve(self, api: KubernetesApi, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            await self._end(api, metadata)
            return
        status = _status(pod)
        if status is None:
            return
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        path = POD.path(metadata["namespace"], metadata["name"], "status")
        await api.merge(POD, path, body)

    async def _end(self, api: KubernetesApi, metadata: dict[str, Any]) -> None:
        await api.delete(POD, metadata["namespace"], metadata["name"], metadata["uid"])


def _status(pod: dict[str, Any]) -> dict[str, Any] | None:
    """The status that the pod should have; None = it has it."""
    image = pod["spec"]["containers"][0]["image"]
    name = pod["spec"]["containers"][0]["name"]
    is_ready = any(
        each["type"] == "Ready" and each["status"] == "True"
        for each in pod.get("status", {}).get("conditions") or ()
    )
    if MISSING_IMAGE in image:
        if pod.get("status", {}).get("containerStatuses"):
            return None
        waiting = {"reason": "ImagePullBackOff", "message": "not found"}
        container = {
            "name": name, "image": image, "imageID": "", "ready": False, "restartCount": 0,
            "state": {"waiting": waiting},
        }  # fmt: skip
        return {"phase": "Pending", "containerStatuses": [container]}
    if is_ready:
        return None
    digest = hashlib.sha256(pod["metadata"]["uid"].encode()).digest()
    ip = f"10.{digest[0]}.{digest[1]}.{digest[2]}"
    condition = {"type": "Ready", "status": "True"}
    started = {"startedAt": pod["metadata"]["creationTimestamp"]}
    container = {
        "name": name, "image": image, "imageID": image, "ready": True, "restartCount": 0,
        "state": {"running": started},
    }  # fmt: skip
    return {
        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition],
        "containerStatuses": [container],
    }  # fmt: skip
