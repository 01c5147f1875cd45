"""Kubernetes and its tools, built once from their Go modules into a cache beside the projects."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from kubernetes_cluster.problems import CannotError

GO_FOLDER = Path(__file__).resolve().parent / "go"
KUBERNETES = "1.34.4"
GO_VERSION_MIN = (1, 24)
MAJOR, MINOR, _ = KUBERNETES.split(".")
# Our own program around a library: the name says of which text it was built.
KSTATUS = f"kstatus-{sha256((GO_FOLDER / 'kstatus' / 'main.go').read_bytes()).hexdigest()[:8]}"
VERSION = "k8s.io/component-base/version"
VERSION_FLAGS = (
    f"-X {VERSION}.gitVersion=v{KUBERNETES} -X {VERSION}.gitMajor={MAJOR}"
    f" -X {VERSION}.gitMinor={MINOR}"
)
HELM_FLAGS = " ".join(
    f"-X helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={number}"
    for package in ("chartutil", "lint/rules")
    for part, number in (("Major", MAJOR), ("Minor", MINOR))
)


@dataclass(frozen=True)
class Source:
    """One Go module of ours that pins a program; `programs` by name of the binary."""

    folder: str
    programs: dict[str, str]
    flags: str = ""


SOURCES = (
    Source(
        "kubernetes",
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
                "kube-proxy", "kubectl",
            )
        },
        VERSION_FLAGS,
    ),
    Source("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Source("coredns", {"coredns": "github.com/coredns/coredns"}),
    Source("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}, HELM_FLAGS),
    Source("kstatus", {KSTATUS: "."}),
    Source("kubeconform", {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}),
)  # fmt: skip
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE = (*CONTROL_PLANE, "kube-scheduler", "kubelet", "kube-proxy", "coredns")
CHART = ("helm", "kubeconform")


def cache() -> Path:
    """Where everything that is made once lies."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "tradingcluster" / "kubernetes"


def binaries() -> Path:
    """The folder of the programs."""
    return cache() / KUBERNETES / "bin"


def ensure(names: Sequence[str]) -> Path:
    """Build those that are not there yet, minutes at first; returns their folder.

    Raises CannotError without Go.
    """
    folder = binaries()
    if all((folder / name).exists() for name in names):
        return folder  # also while another run builds what it needs
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for source in SOURCES:
            missing = [n for n in source.programs if n in names and not (folder / n).exists()]
            if missing:
                _build(source, missing, folder)
    return folder


def require_go() -> str:
    """The Go command. Raises CannotError when it is needed and not there, or too old."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin") or ""
    if all((binaries() / name).exists() for name in (*NODE, *CHART, KSTATUS)):
        return go
    wanted = ".".join(map(str, GO_VERSION_MIN))
    if not go:
        raise CannotError(f"Go is missing: install Go {wanted} or newer")
    told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    version = re.match(r"go(\d+)\.(\d+)", told.stdout)
    if version is None or (int(version[1]), int(version[2])) < GO_VERSION_MIN:
        raise CannotError(f"Go is too old ({told.stdout.strip()}): install Go {wanted} or newer")
    return go


def _build(source: Source, names: Sequence[str], folder: Path) -> None:
    go = require_go()
    print(f"building {', '.join(names)} (once; minutes)", flush=True)
    fresh = folder / ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    packages = [source.programs[name] for name in names]
    target = str(fresh) + "/" if len(packages) > 1 else str(fresh / names[0])
    done = subprocess.run(
        [go, "build", "-o", target, "-ldflags", f"-s -w {source.flags}".strip(), *packages],
        cwd=GO_FOLDER / source.folder, env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise CannotError(f"go build of {', '.join(names)}: {done.stderr[-2000:]}")
    for name in names:
        (fresh / name).rename(folder / name)
    shutil.rmtree(fresh)
