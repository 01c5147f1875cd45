"""What the other tests take for granted of a cluster: restricted pods, disks, Services, names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubernetes_cluster.image import IMAGE
from operator_process import Kubectl

pytestmark = pytest.mark.kubernetes
SERVER = """
import http.server, os
os.chdir("/disk")
open("greeting", "w").write("good morning")
http.server.ThreadingHTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
# Names resolve, the Service forwards, the API server is known by the certificate that pods get.
CLIENT = """
import os, socket, ssl, time, urllib.request
deadline = time.monotonic() + 60
while True:
    try:
        text = urllib.request.urlopen("http://greeter:8000/greeting", timeout=5).read().decode()
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)
trust = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
with urllib.request.urlopen("https://kubernetes.default.svc/version", context=trust) as answer:
    assert answer.status == 200
try:
    open("/opt/written", "w")
    raise SystemExit("the root file system can be written to")
except OSError:
    pass
print(text, os.getuid(), socket.gethostbyname("greeter." + os.environ["NAMESPACE"] + ".svc"))
"""


def _pod(name: str, program: str, namespace: str, disk: str = "") -> dict[str, Any]:
    volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": disk}}] if disk else []
    mounts = [{"name": "disk", "mountPath": "/disk"}] if disk else []
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never", "volumes": volumes, "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-c", program], "volumeMounts": mounts,
                "env": [{"name": "NAMESPACE", "value": namespace}],
                "securityContext": {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    }  # fmt: skip


def _apply(kubectl: Kubectl, namespace: str, *bodies: dict[str, Any]) -> None:
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)})
    kubectl("apply", "-n", namespace, "-f", "-", stdin=document)


def test_restricted_pods_have_a_disk_a_service_names_and_run_to_completion(
    kubectl: Kubectl, room: str
) -> None:
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}},
        },
    }  # fmt: skip
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "greeter"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 8000}]},
    }
    pods = _pod("server", SERVER, room, disk="disk"), _pod("client", CLIENT, room)
    _apply(kubectl, room, claim, service, *pods)
    phase = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl("wait", "-n", room, phase, "pod/client", "--timeout=90s")
    said = kubectl("logs", "-n", room, "client").strip()
    address = kubectl.get("service", room, "greeter")["spec"]["clusterIP"]
    assert said == f"good morning 10001 {address}"
    assert kubectl("exec", "-n", room, "server", "--", "cat", "/disk/greeting") == "good morning"


def test_a_pod_that_is_not_restricted_is_refused(kubectl: Kubectl, room: str) -> None:
    pod = _pod("root", CLIENT, room)
    pod["spec"]["securityContext"]["runAsUser"] = 0
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    answer = kubectl("apply", "-n", room, "-f", "-", stdin=json.dumps(pod), check=False)
    assert "violates PodSecurity" in answer
