"""The project's image without Docker: a Debian made here, the project's Dockerfile, one archive."""

from __future__ import annotations

import fcntl
import os
import shutil
import ssl
import subprocess
from hashlib import sha256
from pathlib import Path

from kubernetes_cluster.binaries import cache
from kubernetes_cluster.leftovers import unmount_below
from kubernetes_cluster.problems import CannotError

PROJECT = Path(__file__).resolve().parents[2]
SUITE = "trixie"
BASE = f"localhost/tradingcluster-base:{SUITE}"
IMAGE = "tradingcluster:0.1.0"
# What the Dockerfile copies, and what .dockerignore keeps out of that.
SOURCES = (
    "Dockerfile", "pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE", "crds", "engine",
    "backend", "operator",
)  # fmt: skip
SKIPPED = {"__pycache__", "tests", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
LAYERS_MAX = 60  # some gigabytes
CERTIFICATES = "/etc/ssl/machine.crt"  # inside the build: whom this machine trusts


def build_image(tag: str = IMAGE) -> Path:
    """The image as an archive to import; minutes at first, less when only our code changed.

    Nothing is built where nothing that goes into it has changed; one is built at a time.
    """
    folder = cache() / "image"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _built(folder, tag)


def _built(folder: Path, tag: str) -> Path:
    archive = folder / f"{tag.replace(':', '-')}.tar"
    note, digest = archive.with_suffix(".made-of"), made_of()
    if archive.exists() and note.exists() and note.read_text() == digest:
        return archive
    require_builders()
    note.unlink(missing_ok=True)
    if len(list(folder.glob("storage/overlay/*"))) > LAYERS_MAX:
        _forget_storage(folder)
    try:
        _build(folder, tag, archive)
    except CannotError as error:
        # One that was killed may have left a storage that no other can work with.
        print(f"the image is built anew from nothing, after: {error}", flush=True)
        _forget_storage(folder)
        _build(folder, tag, archive)
    note.write_text(digest)
    return archive


def made_of(project: Path = PROJECT) -> str:
    """Changes when the image would."""
    digest = sha256()
    for name in sorted(SOURCES):
        path = project / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            inside = file.relative_to(project)
            if file.is_file() and not SKIPPED & set(inside.parts) and file.suffix != ".so":
                content = sha256(file.read_bytes()).hexdigest()
                digest.update(f"{inside} {content}\n".encode())
    return digest.hexdigest()


def _build(folder: Path, tag: str, archive: Path) -> None:
    _make_base(folder)
    pip = folder / "pip.conf"
    pip.write_text(f"[global]\ncert = {CERTIFICATES}\n")
    trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or ""
    mounts = ["-v", f"{pip}:/etc/pip.conf:ro"]
    if trusted:
        mounts += ["-v", f"{trusted}:{CERTIFICATES}:ro"]
    _buildah(
        folder, "build", "--isolation", "chroot", "--layers", "--build-arg", f"BASE_IMAGE={BASE}",
        *mounts, "-t", tag, "-f", str(PROJECT / "Dockerfile"), str(PROJECT),
    )  # fmt: skip
    archive.unlink(missing_ok=True)
    _buildah(folder, "push", tag, f"docker-archive:{archive}:{tag}")


def _forget_storage(folder: Path) -> None:
    unmount_below(folder)
    for name in ("storage", "run"):
        shutil.rmtree(folder / name, ignore_errors=True)


def require_builders() -> None:
    """Raise CannotError when this machine cannot build the image."""
    missing = [tool for tool in ("buildah", "mmdebstrap") if shutil.which(tool) is None]
    if missing:
        raise CannotError(f"missing on this machine: apt-get install {' '.join(missing)}")


def _make_base(folder: Path) -> None:
    """An ordinary Debian, from its own packages."""
    if _buildah(folder, "images", "-q", BASE, check=False).strip():
        return
    root = folder / f"{SUITE}.tar"
    if not root.exists():
        fresh = folder / f"{SUITE}.new.tar"
        _run("mmdebstrap", "--variant=apt", "--include=ca-certificates", SUITE, str(fresh))
        fresh.rename(root)
    container = _buildah(folder, "from", "scratch").strip()
    _buildah(folder, "add", container, str(root), "/")
    _buildah(folder, "commit", "--rm", container, BASE)


def _buildah(folder: Path, *words: str, check: bool = True) -> str:
    storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
    return _run("buildah", *storage, *words, check=check)


def _run(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        tail = (done.stdout + done.stderr)[-3000:]
        raise CannotError(f"{' '.join(words[:6])} ..: {tail}")
    return done.stdout
