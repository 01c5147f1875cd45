"""A certificate authority for one cluster, with the extensions that strict clients ask for."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

DAYS = "3650"


def make_authority(folder: Path) -> None:
    """`ca.crt` and `ca.key`."""
    _openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, "-subj", "/CN=test-ca",
        "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt"),
        "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip


def make_certificate(
    folder: Path, name: str, subject: str, alternatives: Sequence[str] = ()
) -> None:
    """`NAME.crt` and `NAME.key`, for servers and clients; `alternatives` as `IP:` and `DNS:`."""
    key, request, extensions = (folder / f"{name}{end}" for end in (".key", ".csr", ".ext"))
    lines = [
        "basicConstraints=CA:FALSE", "keyUsage=digitalSignature,keyEncipherment",
        "extendedKeyUsage=serverAuth,clientAuth", "authorityKeyIdentifier=keyid",
    ]  # fmt: skip
    if alternatives:
        lines.append(f"subjectAltName={','.join(alternatives)}")
    extensions.write_text("\n".join(lines) + "\n")
    _openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", str(key),
        "-out", str(request),
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", str(request), "-CA", str(folder / "ca.crt"),
        "-CAkey", str(folder / "ca.key"), "-CAcreateserial", "-days", DAYS,
        "-extfile", str(extensions), "-out", str(folder / f"{name}.crt"),
    )  # fmt: skip


def make_key_pair(folder: Path, name: str) -> None:
    """`NAME.key` and `NAME.pub`, for tokens of ServiceAccounts."""
    key = str(folder / f"{name}.key")
    _openssl("genrsa", "-out", key, "2048")
    _openssl("rsa", "-in", key, "-pubout", "-out", str(folder / f"{name}.pub"))


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
