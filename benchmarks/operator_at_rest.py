"""What the operator costs when nothing happens, by number of TradingClusters.

`python benchmarks/operator_at_rest.py [1 50 ..]`, needs what `make e2e` needs. The API server is
real, the operator is the real process with the chart's settings; pods and what runs in them are
stubbed. Writes results/operator_at_rest.json.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE.parent / "e2e" / "kubernetes"), str(HERE)]

from stub_kubelet import StubKubelet  # noqa: E402

from bench.machine import commit, machine  # noqa: E402
from kubernetes_cluster.control_plane import ControlPlane  # noqa: E402
from kubernetes_cluster.processes import free_port  # noqa: E402
from operator_process import ROOT, Kubectl, OperatorProcess, until  # noqa: E402

QUIET_SECONDS = 15
WINDOW_SECONDS = 120
READY_SECONDS_MAX = 900
CLUSTER = """apiVersion: hft.trading/v1alpha1
kind: TradingCluster
metadata: {{name: c{number}}}
spec: {{symbols: [{{name: BTCUSDT}}, {{name: ETHUSDT}}]}}
---
"""


def measure(plane: ControlPlane, counts: list[int]) -> list[dict[str, float]]:
    """One operator for all counts, in rising order."""
    kubectl = Kubectl(plane.kubeconfig, str(plane.binaries / "kubectl"))
    with tempfile.TemporaryDirectory() as folder:
        process = OperatorProcess(
            plane.kubeconfig, Path(folder), "rest", "", "default", port=free_port()
        )
        process.start()
        try:
            return [_at_rest(kubectl, process, count) for count in counts]
        finally:
            process.stop()


def _at_rest(kubectl: Kubectl, process: OperatorProcess, count: int) -> dict[str, float]:
    begun = time.monotonic()
    documents = "".join(CLUSTER.format(number=number) for number in range(count))
    kubectl("apply", "-f", "-", stdin=documents)
    until(lambda: _ready(kubectl) == count, f"{count} clusters are ready", READY_SECONDS_MAX)
    ready_seconds = time.monotonic() - begun
    time.sleep(QUIET_SECONDS)
    before, at = _metrics(process.port), time.monotonic()
    time.sleep(WINDOW_SECONDS)
    after, seconds = _metrics(process.port), time.monotonic() - at
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    calls = after["calls"] - before["calls"]
    found = {
        "clusters": count,
        "all_ready_seconds": round(ready_seconds, 1),
        "resident_megabytes": round(after["process_resident_memory_bytes"] / 1e6, 1),
        "cpu_percent_of_a_core": round(100 * cpu / seconds, 2),
        "api_calls_per_hour": round(3600 * calls / seconds),
        "changes_per_hour": round(3600 * (after["changes"] - before["changes"]) / seconds),
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
    found = {"calls": 0.0, "changes": 0.0}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if line.startswith("#"):
            continue
        if match := re.match(r'trading_operator_api_calls{kind="(\w+)",verb="(\w+)"', name):
            found["calls"] += float(value)
            is_renewal = match[1] == "Lease"
            found["changes"] += 0.0 if match[2] == "get" or is_renewal else float(value)
        found[name] = float(value)
    return found


def main() -> None:
    """Measure and write."""
    counts = sorted(int(word) for word in sys.argv[1:]) or [1, 50]
    folder = Path(tempfile.mkdtemp(prefix="tc-plane-", dir="/var/tmp"))
    plane = ControlPlane(folder)
    try:
        plane.start()
        for name in ("tradingclusters", "symbolmoves"):
            definition = str(ROOT / "crds" / f"{name}.yaml")
            plane.kubectl("apply", "--server-side", "-f", definition)
            plane.kubectl("wait", "--for=condition=Established", "-f", definition)
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
