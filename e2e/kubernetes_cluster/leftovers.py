"""What a node leaves on this machine when it ends, or when it was killed: all of it goes.

Nothing here asks a program of the node: whoever was killed cannot answer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

NETWORK_NAMESPACES = Path("/run/netns")
NETWORK_RESULTS = Path("/var/lib/cni/results")
ENDING_SECONDS_MAX = 20.0


def end_pods(folder: Path) -> None:
    """Kill what runs in containers of the node in `folder`, and the shims that hold them.

    Raises OSError when some of it does not go.
    """
    for find in (processes_in_containers, shims):
        deadline = time.monotonic() + ENDING_SECONDS_MAX
        while found := list(find(folder)):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise OSError(f"processes of pods do not end: {found}")
            time.sleep(0.1)


def processes_in_containers(folder: Path) -> Iterator[int]:
    """Processes whose root is an image below `folder`: only a container has such a root."""
    for process in _processes():
        with suppress(OSError):
            for line in (process / "mountinfo").read_text().splitlines():
                if line.split()[4] == "/" and f"lowerdir={folder}/" in line:
                    yield int(process.name)


def shims(folder: Path) -> Iterator[int]:
    """containerd's keepers of containers: they outlive it."""
    for process in _processes():
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"shim" in words[0] and f"{folder}/containerd.sock".encode() in words:
                yield int(process.name)


def _processes() -> Iterator[Path]:
    return (each for each in Path("/proc").iterdir() if each.name.isdigit())


def unmount_below(folder: Path) -> None:
    """Detach every mount below the folder, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        quietly("umount", "-l", mount)


def pod_namespaces() -> list[str]:
    """The network namespaces that a network plugin made."""
    there = NETWORK_NAMESPACES
    names = [each.name for each in there.iterdir()] if there.is_dir() else []
    return [name for name in names if name.startswith("cni-")]


def remove_network(network: str, before: list[str], links: tuple[str, ...], services: str) -> None:
    """Namespaces but those that were there `before`, links, notes of the plugin, connections."""
    for namespace in pod_namespaces():
        if namespace not in before:
            quietly("ip", "netns", "delete", namespace)
    for link in links:
        quietly("ip", "link", "delete", link)
    for note in NETWORK_RESULTS.glob(f"{network}-*"):
        note.unlink(missing_ok=True)
    quietly("conntrack", "-D", "-d", services)


def quietly(*words: str) -> None:
    """Run it; that it fails means that there was nothing to do."""
    subprocess.run(words, capture_output=True, check=False, timeout=60)
