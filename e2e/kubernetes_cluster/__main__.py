"""`python -m kubernetes_cluster check|up|down|build-image|load-image ARCHIVE|environment`.

`up` and `down` take kind where Docker and kind are there, and else a node of this machine.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubernetes_cluster import binaries, kind, processes
from kubernetes_cluster.control_plane import PARTS, ControlPlane, environment
from kubernetes_cluster.image import PROJECT, build_image, require_builders
from kubernetes_cluster.leftovers import unmount_below
from kubernetes_cluster.node import NODE_ADDRESS, NODE_PARTS, Node, require_tools
from kubernetes_cluster.problems import CannotError

API_PORT = 16_443


def the_plane() -> ControlPlane:
    """The one cluster with a node of this machine."""
    plane = ControlPlane(binaries.cache() / "node", NODE_ADDRESS, API_PORT)
    plane.binaries = binaries.binaries()
    return plane


@contextmanager
def held(*, is_patient: bool = False) -> Iterator[None]:
    """The machine's cluster for one user at a time, of all clones; it ends with the process.

    Whoever is patient says that it waits; for others it raises CannotError.
    """
    binaries.cache().mkdir(parents=True, exist_ok=True)
    with (binaries.cache() / "node.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            text = f"{lock.read() or 'another run'} uses the cluster of this machine"
            if not is_patient:
                raise CannotError(f"{text}: wait for its end, or end it") from None
            print(f"waiting: {text}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} of {PROJECT}")
        lock.flush()
        yield


def runs() -> bool:
    """Whether there is a node of this machine with all its parts, and it answers."""
    plane = the_plane()
    if not all(processes.is_running(plane.folder, name) for name in (*PARTS, *NODE_PARTS)):
        return False
    try:
        plane.kubectl("get", "--raw", "/readyz")
    except (RuntimeError, subprocess.SubprocessError):
        return False
    return True


def up() -> None:
    """Start it unless it runs; what is left of one that was killed goes first."""
    plane = the_plane()
    if runs():
        print(f"runs already: export KUBECONFIG={plane.kubeconfig}")
        return
    require_tools()
    down()
    begun = time.monotonic()
    plane.folder.mkdir(parents=True, exist_ok=True)
    node = Node(plane)
    node.make_links()
    plane.start()
    node.start()
    print(f"Ready after {time.monotonic() - begun:.0f} s: export KUBECONFIG={plane.kubeconfig}")


def down() -> None:
    """End it and remove what it left; nothing when it is not there."""
    plane = the_plane()
    if not plane.folder.exists():
        return
    Node(plane).stop()
    plane.stop()
    unmount_below(plane.folder)
    shutil.rmtree(plane.folder)


def make() -> None:
    """Whichever cluster this machine can have. Raises CannotError, also while it is in use."""
    if kind.is_there():
        with held():
            print(f"export KUBECONFIG={kind.up()}")
        return
    require_tools()
    with held():
        up()


def remove() -> None:
    """What `make` made; nothing when it is not there. Raises CannotError while it is in use."""
    if not binaries.cache().exists():
        return
    with held():
        if kind.is_there():
            kind.down()
        down()


def load(archive: Path) -> None:
    """Give an image to the node. Raises CannotError while somebody else tests theirs on it."""
    with held():
        Node(the_plane()).load_image(archive)


def require_all() -> None:
    """Raise CannotError unless tests with real pods can run here."""
    if os.environ.get("KUBECONFIG") or kind.is_there():
        return
    require_tools()
    require_builders()
    binaries.require_go()


def main() -> int:
    """Entry point; 1 = this machine cannot, said on stderr."""
    parser = argparse.ArgumentParser(prog="kubernetes_cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    commands.add_parser("up")
    commands.add_parser("down")
    commands.add_parser("environment")
    commands.add_parser("load-image").add_argument("archive", type=Path)
    commands.add_parser("build-image")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "check":
                require_all()
            case "up":
                make()
            case "down":
                remove()
            case "environment":
                for key, value in environment(the_plane()).items():
                    print(f"export {key}={value}")
            case "build-image" if kind.is_there():
                with held():
                    kind.load_built_image()
            case "build-image":
                archive = build_image()
                print(archive)
                if processes.is_running(the_plane().folder, "containerd"):
                    load(archive)
            case "load-image":
                load(arguments.archive)
    except CannotError as error:
        print(f"kubernetes_cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
