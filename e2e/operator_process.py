"""The operator as a process of its own, and what a person sees through the API server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DIED = 86
# For tests in which another one takes over; on a busy machine it is short for one that leads alone.
SHORT_LEASE = {"TRADING_OPERATOR_LEASE_SECONDS": "5"}


@dataclass
class Kubectl:
    """`kubectl` with one kubeconfig."""

    kubeconfig: Path
    binary: str = "kubectl"

    def __call__(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Its stdout; raises with what it said when it fails."""
        done = subprocess.run(
            [self.binary, "--kubeconfig", str(self.kubeconfig), *words],
            input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            text = f"kubectl {' '.join(words)} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
            raise AssertionError(text)
        return done.stdout if check else done.stdout + done.stderr

    def get(self, kind: str, namespace: str, name: str = "", selector: str = "") -> dict[str, Any]:
        """One object or a list, as JSON."""
        words = ["get", kind, "-n", namespace, "-o", "json"]
        words += [name] if name else []
        words += ["-l", selector] if selector else []
        document: dict[str, Any] = json.loads(self(*words))
        return document

    def condition(self, namespace: str, name: str, kind: str) -> dict[str, Any]:
        """One condition of a TradingCluster; empty when it has none yet."""
        body = self.get("tradingclusters.hft.trading", namespace, name)
        conditions = body.get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    def wait_condition(
        self, namespace: str, name: str, kind: str, status: str = "True",
        timeout_seconds: float = 60.0,
    ) -> dict[str, Any]:  # fmt: skip
        """Until the condition holds for the present generation."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            body = self.get("tradingclusters.hft.trading", namespace, name)
            told = body.get("status", {}).get("conditions", [])
            found = next((each for each in told if each["type"] == kind), {})
            is_fresh = found.get("observedGeneration") == body["metadata"]["generation"]
            if is_fresh and found.get("status") == status:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{kind} is not {status}: {json.dumps(told, indent=1)}")
            time.sleep(0.4)  # each look costs a tenth of a second of CPU time


@dataclass
class OperatorProcess:
    """One operator process with a stubbed data plane."""

    kubeconfig: Path
    folder: Path
    identity: str = "operator-a"
    namespaces: str = ""
    lease_namespace: str = "default"
    extra: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    world_kubeconfig: Path | None = None  # with which the stubs look; None = as the operator does

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self.folder / f"{self.identity}.log"

    @property
    def changes_file(self) -> Path:
        """The names of its changes."""
        return self.folder / "changes"

    def changes(self) -> list[str]:
        """Every change that any operator of this folder began."""
        return self.changes_file.read_text().splitlines() if self.changes_file.exists() else []

    def start(self, crash: str = "") -> OperatorProcess:
        """Begin; `crash` see stubbed_operator."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "TRADING_OPERATOR_IDENTITY": self.identity,
            "TRADING_OPERATOR_NAMESPACES": self.namespaces,
            "TRADING_OPERATOR_LEASE_NAMESPACE": self.lease_namespace,
            "TRADING_OPERATOR_HEALTH_HOST": "127.0.0.1",
            "TRADING_OPERATOR_HEALTH_PORT": str(self.port),
            "WORLD": str(self.folder),
            "WORLD_KUBECONFIG": str(self.world_kubeconfig or self.kubeconfig),
            "CHANGES": str(self.changes_file),
            "CRASH": crash,
            **self.extra,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "kubernetes" / "stubbed_operator.py")],
                env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return self

    def stop(self) -> None:
        """Gracefully; kills it when it does not end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """At once."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def wait_died(self, timeout_seconds: float) -> bool:
        """Whether it ended by itself in time."""
        assert self.process is not None
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        self.process = None
        return True


def until(check: Callable[[], bool], what: str, timeout_seconds: float = 30.0) -> float:
    """Seconds until it holds; raises when it does not in time."""
    begun = time.monotonic()
    while not check():
        if time.monotonic() - begun > timeout_seconds:
            raise AssertionError(f"not within {timeout_seconds} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - begun
