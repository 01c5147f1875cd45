"""What the API server and the models say to a specification, for tests that compare the two."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from kubernetes_cluster.control_plane import ControlPlane
from trading_contract.errors import UserError
from trading_contract.manifest import parse_cluster, parse_move

Spec = dict[str, Any]
SERVER_SIDE = ("--server-side", "--force-conflicts")
NOT_STORED = (*SERVER_SIDE, "--dry-run=server")


def document_of(kind: str, name: str, spec: Spec) -> Spec:
    """An object of ours as a manifest."""
    named = {"apiVersion": "hft.trading/v1alpha1", "kind": kind}
    return {**named, "metadata": {"name": name}, "spec": spec}


def server_says(plane: ControlPlane, document: Spec, namespace: str, *words: str) -> str:
    """What `kubectl apply` with these words is told; "" = admitted."""
    done = subprocess.run(
        [
            str(plane.binaries / "kubectl"), "--kubeconfig", str(plane.kubeconfig), "apply",
            "--validate=strict", "-n", namespace, *words, "-f", "-",
        ],
        input=json.dumps(document), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def models_say(document: Spec) -> str:
    """What they say to it; "" = accepted."""
    parse = {"TradingCluster": parse_cluster, "SymbolMove": parse_move}[document["kind"]]
    try:
        parse(document)
    except UserError as error:
        return str(error)
    return ""
