"""Namespaces of tests on a node: they admit restricted pods alone, and go with their test."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from diagnostics import DIAGNOSTICS
from operator_process import Kubectl, until

OPERATOR_NAMESPACE = "trading-system"
PREFIX = "e2e-"
GONE_SECONDS_MAX = 60
LAST_LINES = 40
READY = '{.status.conditions[?(@.type=="Ready")].status}'
READINESS = f'jsonpath={{range .items[*]}}{{.metadata.name}} {READY}{{"\\n"}}{{end}}'


def make_namespace(kubectl: Kubectl, name: str) -> None:
    """One that admits nothing but restricted pods."""
    body = {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }  # fmt: skip
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(body))


@contextmanager
def own_namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """One of a random name. Its end is not waited for: pods take their time, and cost none."""
    name = f"{PREFIX}{uuid.uuid4().hex[:6]}"
    make_namespace(kubectl, name)
    is_well = False
    try:
        yield name
        is_well = not request.session.testsfailed
    finally:  # what is made in it may fail before any test does
        if not is_well:
            keep_diagnostics(kubectl, name)
            capture = request.config.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled():  # a module's last test may be well
                _print_unready(kubectl, name)
        kubectl("delete", "namespace", name, "--wait=false")


def wait_all_are_gone(kubectl: Kubectl) -> None:
    """The last namespace of a test, and what is in it, goes within a minute."""

    def are_gone() -> bool:
        return f"namespace/{PREFIX}" not in kubectl("get", "namespaces", "-o", "name")

    until(are_gone, "all namespaces of tests are gone", GONE_SECONDS_MAX)


def keep_diagnostics(kubectl: Kubectl, namespace: str) -> None:
    """Events, descriptions and logs of a failed test."""
    folder = DIAGNOSTICS / namespace
    folder.mkdir(parents=True, exist_ok=True)
    for name, words in (
        ("events", ("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")),
        ("objects", ("get", "all,pvc,configmap", "-n", namespace, "-o", "wide")),
        ("clusters", ("get", "tradingclusters,symbolmoves", "-n", namespace, "-o", "yaml")),
        ("topologies", ("get", "configmap", "-n", namespace, "-o", "yaml")),
        ("pods", ("describe", "pods", "-n", namespace)),
        ("logs", ("logs", "-n", namespace, "--prefix", "--all-containers", "--tail=300",
                  "-l", "app.kubernetes.io/managed-by=trading-operator")),
        ("operator", ("logs", "-n", OPERATOR_NAMESPACE, "--prefix", "--tail=2000",
                      "-l", "app.kubernetes.io/name=trading-operator")),
    ):  # fmt: skip
        (folder / f"{name}.txt").write_text(kubectl(*words, check=False))


def _print_unready(kubectl: Kubectl, namespace: str) -> None:
    """What pods that are not ready said last: all that is left where nobody sees the folder."""
    print(kubectl("get", "pods", "-n", namespace, "-o", "wide", check=False))
    for line in kubectl("get", "pods", "-n", namespace, "-o", READINESS, check=False).splitlines():
        name, _, ready = line.partition(" ")
        if ready != "True":
            words = ("-n", namespace, name, "--all-containers", f"--tail={LAST_LINES}")
            print(f"--- {name} is not ready\n{kubectl('logs', *words, check=False)}")
