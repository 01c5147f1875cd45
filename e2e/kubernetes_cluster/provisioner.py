"""Disks for claims: a folder of this machine each, made when asked for, removed with its claim."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

from trading_operator.substrates.kubernetes.api import (
    CLAIM,
    ApiError,
    Kind,
    KubernetesApi,
    connect,
)

VOLUME = Kind("PersistentVolume", "", "v1", "persistentvolumes")
STORAGE_CLASS = Kind("StorageClass", "storage.k8s.io", "v1", "storageclasses")
CLASS = "local-folder"
PROVISIONER = "hft.trading/local-folder"
SELECTED = "volume.kubernetes.io/selected-node"
ASKED = "volume.kubernetes.io/storage-provisioner"  # set for claims whose class names us
POLL_SECONDS = 0.5


def storage_class() -> dict[str, Any]:
    """The default class of the cluster."""
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }  # fmt: skip


def volume(claim: dict[str, Any], folder: Path, node: str) -> dict[str, Any]:
    """A volume for one claim."""
    metadata = claim["metadata"]
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{metadata['uid']}",
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": claim["spec"]["storageClassName"],
            "persistentVolumeReclaimPolicy": "Delete", "local": {"path": str(folder)},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": metadata["name"],
                "namespace": metadata["namespace"], "uid": metadata["uid"],
            },
            "nodeAffinity": {
                "required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
            },
        },
    }  # fmt: skip


async def look(api: KubernetesApi, disks: Path, node: str) -> None:
    """Make what claims wait for, remove what they have left."""
    for claim in await api.list(CLAIM, None):
        waits = claim.get("status", {}).get("phase") == "Pending"
        annotations = claim["metadata"].get("annotations") or {}
        if waits and SELECTED in annotations and annotations.get(ASKED) == PROVISIONER:
            folder = disks / claim["metadata"]["uid"]
            folder.mkdir(exist_ok=True)
            await _create(api, VOLUME, volume(claim, folder, node))
    for each in await api.list(VOLUME, None):
        if each.get("status", {}).get("phase") == "Released":
            name, uid = each["metadata"]["name"], each["metadata"]["uid"]
            await api.delete(VOLUME, "", name, uid)
            shutil.rmtree(each["spec"]["local"]["path"], ignore_errors=True)


async def _create(api: KubernetesApi, kind: Kind, body: dict[str, Any]) -> None:
    try:
        await api.create(kind, "", body)
    except ApiError as error:
        if error.code != 409:
            raise


async def main() -> None:
    """Until it is ended."""
    api, disks, node = await connect(), Path(os.environ["DISKS"]), os.environ["NODE"]
    made = False
    while True:
        try:
            if not made:
                await _create(api, STORAGE_CLASS, storage_class())
                made = True
            await look(api, disks, node)
        except ApiError as error:
            print(error, flush=True)
        await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
