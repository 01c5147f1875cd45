"""The tool that makes a cluster: what it says where it cannot, and what it asks of kind."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubernetes_cluster.packet_rules import deletions

HERE = Path(__file__).resolve().parent
# Stands in for Docker and kind: writes down what it is asked, and remembers the cluster.
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "{folder}/asked"
case "$*" in
  "get clusters") cat "{folder}/clusters" 2>/dev/null ;;
  "create cluster"*) echo tradingcluster > "{folder}/clusters" ;;
  "delete cluster"*) rm "{folder}/clusters" ;;
esac
exit 0
"""


def _tool(folder: Path, path: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("KUBECONFIG", None)
    return subprocess.run(
        [sys.executable, "-m", "kubernetes_cluster", *words], cwd=HERE, env=environment,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["check", "up"])
def test_a_machine_that_cannot_says_so_in_a_line_and_changes_nothing(
    tmp_path: Path, command: str
) -> None:
    answer = _tool(tmp_path, str(tmp_path), command)
    assert answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert line.startswith("kubernetes_cluster: ")
    assert "apt-get install" in line or "run as root" in line
    assert not list(tmp_path.iterdir())


def test_ending_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    answer = _tool(tmp_path, str(tmp_path), "down")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_cluster_that_another_run_uses_is_neither_taken_down_nor_given_an_image(
    tmp_path: Path,
) -> None:
    lock = tmp_path / "cache" / "tradingcluster" / "kubernetes" / "node.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("process 7 of /somewhere")
        file.flush()
        for words in (("down",), ("load-image", "any.tar")):
            answer = _tool(tmp_path, os.environ["PATH"], *words)
            assert answer.returncode == 1
            assert "process 7 of /somewhere uses the cluster" in answer.stderr
    assert _tool(tmp_path, os.environ["PATH"], "down").returncode == 0


def test_where_kind_is_there_it_is_asked_for_one_cluster_and_that_is_removed(
    tmp_path: Path,
) -> None:
    for name in ("docker", "kind"):
        (tmp_path / name).write_text(STAND_IN.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    kubeconfig = tmp_path / "cache" / "tradingcluster" / "kubernetes" / "kind.kubeconfig"
    assert _tool(tmp_path, path, "check").returncode == 0
    for _ in range(2):
        answer = _tool(tmp_path, path, "up")
        assert answer.stdout == f"export KUBECONFIG={kubeconfig}\n", answer.stderr
    assert _tool(tmp_path, path, "build-image").returncode == 0
    assert _tool(tmp_path, path, "down").returncode == 0
    asked = [line.split(" --")[0] for line in (tmp_path / "asked").read_text().splitlines()]
    assert [line for line in asked if line.startswith("kind") and "get" not in line] == [
        "kind create cluster", "kind export kubeconfig",
        "kind load docker-image tradingcluster:0.1.0", "kind delete cluster",
    ]  # fmt: skip
    assert f"docker build -t tradingcluster:0.1.0 {HERE.parent}" in asked


RULES = """\
-P INPUT ACCEPT
-N DOCKER
-N KUBE-FIREWALL
-N CNI-1234
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER
-A POSTROUTING -s 10.1.0.2/32 -m comment --comment "name: pods" -j CNI-1234
-A KUBE-FIREWALL -d 127.0.0.0/8 -j DROP
"""


def test_only_rules_of_a_node_are_removed() -> None:
    assert deletions(RULES) == [
        ["-D", "INPUT", "-j", "KUBE-FIREWALL"],
        ["-D", "POSTROUTING", "-s", "10.1.0.2/32", "-m", "comment", "--comment", "name: pods",
         "-j", "CNI-1234"],
        ["-F", "KUBE-FIREWALL"], ["-F", "CNI-1234"], ["-X", "KUBE-FIREWALL"], ["-X", "CNI-1234"],
    ]  # fmt: skip
