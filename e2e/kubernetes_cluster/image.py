"""The project's image without Docker: a Debian made here, the project's Dockerfile, one archive."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

from kubernetes_cluster.binaries import cache
from kubernetes_cluster.problems import CannotError

PROJECT = Path(__file__).resolve().parents[2]
SUITE = "trixie"
BASE = f"localhost/tradingcluster-base:{SUITE}"
IMAGE = "tradingcluster:0.1.0"
CERTIFICATES = "/etc/ssl/machine.crt"  # inside the build: whom this machine trusts


def build_image(tag: str = IMAGE) -> Path:
    """The image as an archive to import; minutes at first, less when only our code changed."""
    require_builders()
    folder = cache() / "image"
    folder.mkdir(parents=True, exist_ok=True)
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
    archive = folder / f"{tag.replace(':', '-')}.tar"
    archive.unlink(missing_ok=True)
    _buildah(folder, "push", tag, f"docker-archive:{archive}:{tag}")
    return archive


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
