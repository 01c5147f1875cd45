"""What the operator costs when nothing happens, by number of TradingClusters.

`python benchmarks/operator_at_rest.py [1 50 ..]`, needs what `make e2e` needs. The API server is
real, the operator is the real process as its real account with the chart's settings; pods and what
runs in them are stubbed. Calls are those that the API server's audit log has, watches among them.
Writes results/operator_at_rest.json.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE.parent / "e2e" / "kubernetes"), str(HERE)]

from stub_kubelet import StubKubelet  # noqa: E402

from bench.machine import commit, machine  # noqa: E402
from kubernetes_cluster.binaries import CHART, ensure  # noqa: E402
from kubernetes_cluster.control_plane import ControlPlane  # noqa: E402
from kubernetes_cluster.processes import free_port  # noqa: E402
from kubernetes_cluster.rights import calls  # noqa: E402
from operator_process import ROOT, Kubectl, OperatorProcess, until  # noqa: E402

QUIET_SECONDS = 15
WINDOW_SECONDS = 300  # longer than the watches and the full lists take turns
READY_SECONDS_MAX = 900
ACCOUNT, NAMESPACE = "trading-operator", "trading-system"
CLUSTER = """apiVersion: hft.trading/v1alpha1
kind: TradingCluster
metadata: {{name: c{number}}}
spec: {{symbols: [{{name: BTCUSDT}}, {{name: ETHUSDT}}]}}
---
"""


def measure(plane: ControlPlane, counts: list[int]) -> list[dict[str, float]]:
    """One operator for all counts, in rising order."""
    kubectl = Kubectl(plane.kubeconfig, str(plane.binaries / "kubectl"))
    kubectl("create", "namespace", NAMESPACE)
    kubectl("apply", "-f", "-", stdin=_rights())
    with tempfile.TemporaryDirectory() as folder:
        process = OperatorProcess(
            plane.account_kubeconfig(NAMESPACE, ACCOUNT), Path(folder), "rest", "", NAMESPACE,
            port=free_port(), world_kubeconfig=plane.kubeconfig,
        )  # fmt: skip
        process.start()
        try:
            return [_at_rest(plane, kubectl, process, count) for count in counts]
        finally:
            process.stop()


def _rights() -> str:
    """The account with its rights in all namespaces, as the chart has them."""
    return subprocess.run(
        [
            str(ensure(CHART) / "helm"), "template", ACCOUNT,
            str(ROOT / "charts" / "trading-operator"), "-n", NAMESPACE,
            "-s", "templates/rbac.yaml",
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip


def _at_rest(
    plane: ControlPlane, kubectl: Kubectl, process: OperatorProcess, count: int
) -> dict[str, float]:
    begun = time.monotonic()
    documents = "".join(CLUSTER.format(number=number) for number in range(count))
    kubectl("apply", "-f", "-", stdin=documents)
    until(lambda: _ready(kubectl) == count, f"{count} clusters are ready", READY_SECONDS_MAX)
    ready_seconds = time.monotonic() - begun
    time.sleep(QUIET_SECONDS)
    since = plane.audit_log.stat().st_size
    before, at = _metrics(process.port), time.monotonic()
    time.sleep(WINDOW_SECONDS)
    after, seconds = _metrics(process.port), time.monotonic() - at
    asked = calls(plane.audit_log, ACCOUNT, since=since)
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]

    def per_hour(*verbs: str, leases: bool) -> int:
        found = (
            number for call, number in asked.items()
            if (not verbs or call.split()[0] in verbs) and (call.split()[1] == "leases") == leases
        )  # fmt: skip
        return round(3600 * sum(found) / seconds)

    found = {
        "clusters": count,
        "all_ready_seconds": round(ready_seconds, 1),
        "resident_megabytes": round(after["process_resident_memory_bytes"] / 1e6, 1),
        "cpu_percent_of_a_core": round(100 * cpu / seconds, 2),
        "api_calls_per_hour": round(3600 * asked.total() / seconds),
        "of_the_lease_per_hour": per_hour(leases=True),
        "lists_per_hour": per_hour("list", leases=False),
        "watches_per_hour": per_hour("watch", leases=False),
        "changes_per_hour": per_hour("create", "update", "patch", "delete", leases=False),
    }
    print(found, flush=True)
    return found


def _ready(kubectl: Kubectl) -> int:
    path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    told = kubectl("get", "tradingclusters", "-A", "-o", f"jsonpath={path}")
    return told.split().count("True")


def _metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def main() -> None:
    """Measure and write."""
    counts = sorted(int(word) for word in sys.argv[1:]) or [1, 50]
    folder = Path(tempfile.mkdtemp(prefix="tc-plane-", dir="/var/tmp"))
    plane = ControlPlane(folder)
    try:
        plane.start()
        for name in ("tradingclusters", "symbolmoves"):
            definition = str(ROOT / "crds" / f"{name}.yaml")
            plane.install(definition)
        kubelet = StubKubelet(plane.kubeconfig)
        kubelet.start()
        results = measure(plane, counts)
        kubelet.stop()
    finally:
        plane.stop()
        shutil.rmtree(folder, ignore_errors=True)
    document = {"machine": machine(), "commit": commit(), "results": results}
    (HERE / "results" / "operator_at_rest.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
