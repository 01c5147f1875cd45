"""Where Docker and kind are there: a cluster of kind, and the image built by Docker."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from kubernetes_cluster.binaries import cache
from kubernetes_cluster.image import IMAGE, PROJECT
from kubernetes_cluster.problems import CannotError

CLUSTER = "tradingcluster"


def is_there() -> bool:
    """Whether this machine has kind and a Docker that answers."""
    if shutil.which("kind") is None or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def kubeconfig() -> Path:
    """The administrator's, in a file of its own: the caller's stays as it is."""
    return cache() / "kind.kubeconfig"


def is_up() -> bool:
    """Whether the cluster is there."""
    return CLUSTER in _run("kind", "get", "clusters").split()


def up() -> Path:
    """Start it unless it runs; returns its kubeconfig. Raises CannotError."""
    kubeconfig().parent.mkdir(parents=True, exist_ok=True)
    words = ("--name", CLUSTER, "--kubeconfig", str(kubeconfig()))
    if is_up():
        _run("kind", "export", "kubeconfig", *words)
    else:
        _run("kind", "create", "cluster", *words, "--wait", "120s")
    return kubeconfig()


def load_built_image(tag: str = IMAGE) -> None:
    """Build the project's image and give it to the cluster's node."""
    _run("docker", "build", "-t", tag, str(PROJECT))
    _run("kind", "load", "docker-image", tag, "--name", CLUSTER)


def down() -> None:
    """Remove it; nothing when it is not there."""
    if is_up():
        _run("kind", "delete", "cluster", "--name", CLUSTER, "--kubeconfig", str(kubeconfig()))
    kubeconfig().unlink(missing_ok=True)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotError(f"{' '.join(words[:4])} ..: {(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
