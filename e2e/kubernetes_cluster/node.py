"""One node on this machine: containerd, kubelet, kube-proxy, cluster DNS, and disks.

Everything runs as processes of ours; pods live in 10.244.0.0/24 on a bridge, which exists only
inside this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from kubernetes_cluster import processes
from kubernetes_cluster.binaries import NODE, ensure
from kubernetes_cluster.control_plane import SERVICES, ControlPlane
from kubernetes_cluster.leftovers import (
    end_pods,
    pod_namespaces,
    quietly,
    remove_network,
    unmount_below,
)
from kubernetes_cluster.packet_rules import remove_packet_rules
from kubernetes_cluster.problems import CannotError

NODE_ADDRESS = "10.245.0.1"
NODE_LINK = "tc-node"
POD_LINK = "tc-pods"
NETWORK = "tc-pods"
PODS = "10.244.0.0/24"
CNI_PLUGINS = "/usr/lib/cni"
PAUSE_IMAGE = "localhost/tc-pause:1"
NAME = "machine"
TOOLS = {
    "containerd": "containerd", "runc": "runc", "iptables": "iptables", "gcc": "gcc",
    "conntrack": "conntrack", "ip": "iproute2", "mount": "mount", "openssl": "openssl",
}  # fmt: skip
NODE_PARTS = ("provisioner", "coredns", "kube-proxy", "kubelet", "kube-scheduler")
READY_SECONDS_MAX = 120.0

CONTAINERD = """version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""
COREFILE = """.:53 {{
  bind {address}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
    ttl 1
  }}
  cache 1
}}
"""
PAUSE = """#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>
static void reap(int n) { while (waitpid(-1, 0, WNOHANG) > 0) ; (void)n; }
static void end(int n) { (void)n; _exit(0); }
int main(void) { signal(SIGCHLD, reap); signal(SIGTERM, end); signal(SIGINT, end);
  for (;;) pause(); }
"""


@dataclass
class Node:
    """The node of one control plane."""

    plane: ControlPlane

    @property
    def folder(self) -> Path:
        """Beside the control plane's files."""
        return self.plane.folder

    def start(self) -> None:
        """Until it is Ready. Raises CannotError with what is missing."""
        require_tools()
        bin_folder = ensure(NODE)
        self._write_configurations()
        folder = self.folder
        processes.start(folder, "containerd", ["containerd", "-c", str(folder / "containerd.toml")])
        self._wait(self._containerd_answers, "containerd does not answer")
        self._load_pause()
        config = str(self.plane.kubeconfig)
        processes.start(folder, "kube-scheduler", [
            str(bin_folder / "kube-scheduler"), "--kubeconfig", config, "--leader-elect=false",
            "--secure-port", str(processes.free_port()), "--bind-address", "127.0.0.1",
            "--cert-dir", str(folder / "scheduler"),
        ])  # fmt: skip
        processes.start(folder, "kubelet", [
            str(bin_folder / "kubelet"), "--config", str(folder / "kubelet.json"),
            "--kubeconfig", config, "--hostname-override", NAME, "--node-ip", NODE_ADDRESS,
            "--root-dir", str(folder / "kubelet"), "--cert-dir", str(folder / "kubelet-pki"),
        ])  # fmt: skip
        processes.start(folder, "kube-proxy", [
            str(bin_folder / "kube-proxy"), "--kubeconfig", config, "--proxy-mode", "iptables",
            "--conntrack-max-per-core", "0", "--cluster-cidr", PODS, "--hostname-override", NAME,
            "--healthz-bind-address", f"127.0.0.1:{processes.free_port()}",
            "--metrics-bind-address", f"127.0.0.1:{processes.free_port()}",
        ])  # fmt: skip
        processes.start(folder, "coredns", [
            str(bin_folder / "coredns"), "-conf", str(folder / "Corefile"),
        ])  # fmt: skip
        processes.start(
            folder, "provisioner", [sys.executable, "-m", "kubernetes_cluster.provisioner"],
            {
                "KUBECONFIG": config, "DISKS": str(folder / "disks"), "NODE": NAME,
                "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            },
        )  # fmt: skip
        self._wait(self._is_ready, "the node is not Ready")
        self._require_parts()

    def stop(self) -> None:
        """End pods and parts, and take away what the machine would keep of them.

        Also of a node that was killed: nothing of it need run.
        """
        for name in (*NODE_PARTS, "containerd"):
            processes.stop(self.folder, name)
        end_pods(self.folder)
        unmount_below(self.folder)
        for name in ("containerd", "containerd-state", "kubelet", "disks"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        note = self.folder / "netns-before"
        before = note.read_text().split() if note.exists() else []
        remove_network(NETWORK, before, (POD_LINK, NODE_LINK), SERVICES)
        if (kube_proxy := self.plane.binaries / "kube-proxy").exists():
            quietly(str(kube_proxy), "--cleanup")
        remove_packet_rules()

    def _require_parts(self) -> None:
        for name in NODE_PARTS:
            if not processes.is_running(self.folder, name):
                lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
                raise CannotError(f"{name} ended: {' '.join(lines[-2:])}")

    def load_image(self, archive: Path) -> None:
        """Import an image from an archive."""
        self._ctr("images", "import", str(archive))

    def tag_image(self, name: str, other: str) -> None:
        """Give an image a second name."""
        self._ctr("images", "tag", "--force", full_name(name), full_name(other))

    def _ctr(self, *words: str) -> str:
        address = str(self.folder / "containerd.sock")
        done = subprocess.run(
            ["ctr", "--address", address, "-n", "k8s.io", *words],
            capture_output=True, text=True, check=True, timeout=300,
        )  # fmt: skip
        return done.stdout

    def make_links(self) -> None:
        """The node's address; before the control plane, which listens there."""
        (self.folder / "netns-before").write_text("\n".join(pod_namespaces()))
        quietly("ip", "link", "delete", NODE_LINK)
        _run("ip", "link", "add", NODE_LINK, "type", "bridge")
        _run("ip", "addr", "add", f"{NODE_ADDRESS}/32", "dev", NODE_LINK)
        _run("ip", "link", "set", NODE_LINK, "up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def _write_configurations(self) -> None:
        folder = self.folder
        (folder / "cni").mkdir(exist_ok=True)
        (folder / "disks").mkdir(exist_ok=True)
        text = CONTAINERD.format(folder=folder, pause=PAUSE_IMAGE, plugins=CNI_PLUGINS)
        (folder / "containerd.toml").write_text(text)
        network = {
            "cniVersion": "0.4.0", "name": NETWORK, "plugins": [{
                "type": "bridge", "bridge": POD_LINK, "isGateway": True, "ipMasq": True,
                "hairpinMode": True, "ipam": {
                    "type": "host-local", "dataDir": str(folder / "ipam"),
                    "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        }  # fmt: skip
        (folder / "cni" / "10-pods.conflist").write_text(json.dumps(network))
        (folder / "resolv.conf").write_text("")
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "cgroupDriver": "cgroupfs", "failSwapOn": False, "clusterDNS": [NODE_ADDRESS],
            "clusterDomain": "cluster.local", "resolvConf": str(folder / "resolv.conf"),
            "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
            "address": NODE_ADDRESS, "healthzPort": 0,
            "authentication": {
                "anonymous": {"enabled": False}, "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(folder / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%"},
            "enforceNodeAllocatable": [], "maxPods": 200,
            "syncFrequency": "10s", "serializeImagePulls": False,
        }  # fmt: skip
        (folder / "kubelet.json").write_text(json.dumps(kubelet))
        corefile = COREFILE.format(address=NODE_ADDRESS, kubeconfig=self.plane.kubeconfig)
        (folder / "Corefile").write_text(corefile)

    def _load_pause(self) -> None:
        """The program that holds a pod's namespaces, as an image of one file."""
        source, binary = self.folder / "pause.c", self.folder / "pause"
        source.write_text(PAUSE)
        _run("gcc", "-static", "-Os", "-o", str(binary), str(source))
        layer = BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            tar.add(binary, arcname="pause")
        digest = sha256(layer.getvalue()).hexdigest()
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/pause"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }).encode()  # fmt: skip
        manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
        archive = self.folder / "pause.tar"
        with tarfile.open(archive, "w") as tar:
            for name, data in (
                ("layer.tar", layer.getvalue()), ("config.json", config),
                ("manifest.json", json.dumps(manifest).encode()),
            ):  # fmt: skip
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, BytesIO(data))
        self.load_image(archive)

    def _containerd_answers(self) -> bool:
        try:
            self._ctr("version")
        except (OSError, subprocess.SubprocessError):
            return False
        return True

    def _is_ready(self) -> bool:
        try:
            nodes = json.loads(self.plane.kubectl("get", "nodes", "-o", "json"))["items"]
        except RuntimeError:
            return False
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for node in nodes
            for condition in node["status"].get("conditions", ())
        )

    def _wait(self, check: object, what: str) -> None:
        assert callable(check)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not check():
            if time.monotonic() > deadline:
                raise CannotError(f"{what}: see the logs in {self.folder}")
            time.sleep(0.3)


def full_name(image: str) -> str:
    """As containerd spells the name of an image without a registry."""
    return image if "/" in image else f"docker.io/library/{image}"


def require_tools() -> None:
    """Raise CannotError when this machine cannot run a node."""
    if os.geteuid() != 0:
        raise CannotError("a node needs root: run as root, or set KUBECONFIG to a cluster")
    missing = [package for name, package in TOOLS.items() if shutil.which(name) is None]
    if not Path(CNI_PLUGINS, "bridge").exists():
        missing.append("containernetworking-plugins")
    if missing:
        raise CannotError(f"missing on this machine: apt-get install {' '.join(missing)}")


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotError(f"{' '.join(words)}: {done.stderr.strip()}")
