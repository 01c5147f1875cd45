"""etcd, the API server and the controllers: all of Kubernetes that decides, and nothing that runs.

RBAC is on, tokens of ServiceAccounts are real, admission is the API server's default with Pod
Security.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes_cluster import processes
from kubernetes_cluster.binaries import CONTROL_PLANE, ensure
from kubernetes_cluster.certificates import make_authority, make_certificate, make_key_pair
from kubernetes_cluster.problems import CannotError

SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
READY_SECONDS_MAX = 90.0
ESTABLISHED_SECONDS_MAX = 60.0
PARTS = ("kube-controller-manager", "kube-apiserver", "etcd")


@dataclass
class ControlPlane:
    """One control plane in a folder of its own; `address` is where others reach it."""

    folder: Path
    address: str = "127.0.0.1"
    port: int = 0
    binaries: Path = Path()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON event a line: what ServiceAccounts asked for and what they were answered."""
        return self.folder / "audit.log"

    @property
    def _starts(self) -> Path:
        """One line for each start of the API server: when it was begun, and when it was ready."""
        return self.folder / "api-server-starts"

    @property
    def _etcd_port(self) -> str:
        """In a file, as another process may bring the API server back."""
        return (self.folder / "etcd-port").read_text()

    def start(self) -> None:
        """Make it, in some seconds. Raises CannotError."""
        if not shutil.which("openssl"):
            raise CannotError("openssl is missing: install the package `openssl`")
        self.binaries = ensure(CONTROL_PLANE)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or processes.free_port()
        self._make_certificates()
        (self.folder / "etcd-port").write_text(str(processes.free_port()))
        peer = processes.free_port()
        processes.start(self.folder, "etcd", [
            str(self.binaries / "etcd"), "--data-dir", str(self.folder / "etcd"),
            "--listen-client-urls", f"http://127.0.0.1:{self._etcd_port}",
            "--advertise-client-urls", f"http://127.0.0.1:{self._etcd_port}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync", "--log-level", "warn",
        ])  # fmt: skip
        self.start_api_server()
        self.start_controllers()

    def start_api_server(self) -> None:
        """Also to bring it back after `stop_api_server`; the same address, the same data."""
        folder, begun = self.folder, datetime.now(UTC)
        processes.start(folder, "kube-apiserver", [
            str(self.binaries / "kube-apiserver"),
            "--etcd-servers", f"http://127.0.0.1:{self._etcd_port}",
            "--secure-port", str(self.port), "--bind-address", "0.0.0.0",
            "--advertise-address", self.address,
            "--tls-cert-file", str(folder / "api.crt"),
            "--tls-private-key-file", str(folder / "api.key"),
            "--client-ca-file", str(folder / "ca.crt"),
            "--kubelet-client-certificate", str(folder / "admin.crt"),
            "--kubelet-client-key", str(folder / "admin.key"),
            "--kubelet-preferred-address-types", "InternalIP",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", str(folder / "tokens.pub"),
            "--service-account-signing-key-file", str(folder / "tokens.key"),
            "--authorization-mode", "RBAC", "--service-cluster-ip-range", SERVICES,
            "--endpoint-reconciler-type",
            "none" if self.address == "127.0.0.1" else "lease",
            "--shutdown-delay-duration", "0s",
            "--audit-policy-file", str(self._audit_policy()),
            "--audit-log-path", str(self.audit_log), "--audit-log-maxsize", "1000",
            "--audit-log-maxbackup", "1",
        ])  # fmt: skip
        self._wait_ready()
        with self._starts.open("a") as file:
            file.write(f"{begun.isoformat()} {datetime.now(UTC).isoformat()}\n")

    def was_starting(self, moment: str) -> bool:
        """Whether the API server was not ready yet at a time, as its audit log writes times.

        Until it has read the Roles it answers, and refuses whatever it is asked.
        """
        at = datetime.fromisoformat(moment)
        spans = [line.split() for line in self._starts.read_text().splitlines()]
        return any(
            datetime.fromisoformat(begun) <= at <= datetime.fromisoformat(ready)
            for begun, ready in spans
        )

    def stop_api_server(self) -> None:
        """Take it away, as an outage does."""
        processes.stop(self.folder, "kube-apiserver", patience_seconds=1.0)

    def start_controllers(self) -> None:
        """Also to start them anew."""
        folder = self.folder
        processes.start(folder, "kube-controller-manager", [
            str(self.binaries / "kube-controller-manager"), "--kubeconfig", str(self.kubeconfig),
            "--service-account-private-key-file", str(folder / "tokens.key"),
            "--root-ca-file", str(folder / "ca.crt"), "--leader-elect=false",
            "--secure-port", str(processes.free_port()), "--bind-address", "127.0.0.1",
            "--cert-dir", str(folder / "controller-manager"),
            "--controllers", "*,bootstrapsigner,tokencleaner",
            # By default it makes twenty calls a second, which is what tests would wait for.
            "--kube-api-qps", "200", "--kube-api-burst", "400",
        ])  # fmt: skip

    def restart_controllers(self) -> None:
        """Nobody looks after the objects meanwhile."""
        processes.stop(self.folder, "kube-controller-manager", patience_seconds=3.0)
        self.start_controllers()

    def stop(self) -> None:
        """End all of it; the folder stays for its logs."""
        for name in PARTS:
            processes.stop(self.folder, name, patience_seconds=3.0)
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run it as the administrator; raises with what it said when it fails."""
        done = subprocess.run(
            [str(self.binaries / "kubectl"), "--kubeconfig", str(self.kubeconfig), *words],
            input=stdin, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def install(self, definition: str) -> None:
        """Apply a CustomResourceDefinition; returns when its kind is served."""
        self.kubectl("apply", "--server-side", "-f", definition)
        begun = time.monotonic()
        # `kubectl wait` fails while there are no conditions yet.
        while not self._is_established(definition):
            if time.monotonic() - begun > ESTABLISHED_SECONDS_MAX:
                raise RuntimeError(f"{definition} is not served")
            time.sleep(0.1)

    def _is_established(self, definition: str) -> bool:
        told = json.loads(self.kubectl("get", "-f", definition, "-o", "json"))
        conditions = told.get("status", {}).get("conditions") or []
        return ("Established", "True") in {(each["type"], each["status"]) for each in conditions}

    def account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a token of a ServiceAccount that exists."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration", "24h").strip()
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        self.write_kubeconfig(path, {"token": token})
        return path

    def write_kubeconfig(self, path: Path, user: dict[str, Any]) -> None:
        """For one user, as `users[].user` of a kubeconfig says it."""
        server = f"https://{self.address}:{self.port}"
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": server, "certificate-authority": str(self.folder / "ca.crt"),
            }}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }  # fmt: skip
        path.touch(0o600)
        path.write_text(json.dumps(document, indent=1))

    def _audit_policy(self) -> Path:
        path = self.folder / "audit-policy.json"
        rules = [
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
            {"level": "None"},
        ]
        path.write_text(json.dumps({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
            "omitStages": ["RequestReceived"], "rules": rules,
        }))  # fmt: skip
        return path

    def _make_certificates(self) -> None:
        folder = self.folder
        make_authority(folder)
        make_key_pair(folder, "tokens")
        names = [
            "IP:127.0.0.1", f"IP:{FIRST_SERVICE}", f"IP:{self.address}", "DNS:localhost",
            "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
        ]  # fmt: skip
        make_certificate(folder, "api", "/CN=kube-apiserver", names)
        make_certificate(folder, "admin", "/O=system:masters/CN=admin")
        user = {
            "client-certificate": str(folder / "admin.crt"),
            "client-key": str(folder / "admin.key"),
        }
        self.write_kubeconfig(self.kubeconfig, user)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            try:
                self.kubectl("get", "--raw", "/readyz")
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                if not processes.is_running(self.folder, "kube-apiserver"):
                    raise CannotError(f"the API server ended: {self._last_lines()}") from error
                if time.monotonic() > deadline:
                    raise CannotError(f"the API server is not ready: {error}") from error
                time.sleep(0.3)
            else:
                return

    def _last_lines(self) -> str:
        text = (self.folder / "kube-apiserver.log").read_text(errors="replace")
        return " ".join(text.splitlines()[-3:])


def environment(plane: ControlPlane) -> dict[str, str]:
    """What a process needs to find it."""
    path = f"{plane.binaries}:{os.environ['PATH']}"
    return {"KUBECONFIG": str(plane.kubeconfig), "PATH": path}
