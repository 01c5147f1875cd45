"""Where everything of one cluster lies in its data folder."""

from __future__ import annotations

import errno
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from trading_contract.errors import WorldError

# In the environment of every component: `<uid of the folder>/<name>`, role, hash of its settings.
MARKER = "TRADINGCLUSTER_COMPONENT"
ROLE = "TRADINGCLUSTER_ROLE"
SETTINGS = "TRADINGCLUSTER_SPEC_HASH"


def home_folder() -> Path:
    """The parent of all data folders: TRADINGCTL_HOME, else the system's or the user's place."""
    if override := os.environ.get("TRADINGCTL_HOME"):
        return Path(override).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/tradingcluster")
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "tradingcluster"


def ordinary_user(preferred: str = "postgres") -> str | None:
    """The account PostgreSQL and Redis run under when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in (preferred, "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SOCKET_CHARACTERS_MAX = 100  # the system's own limit is 107


@dataclass(frozen=True)
class Layout:
    """Paths below one data folder."""

    root: Path

    @property
    def uid_file(self) -> Path:
        """Holds the identity of this data folder."""
        return self.root / "uid"

    @property
    def cluster_file(self) -> Path:
        """The stored TradingCluster."""
        return self.root / "cluster.json"

    @property
    def run_file(self) -> Path:
        """Present = should run; `down` leaves "down" in it, its absence ends the supervisor."""
        return self.root / "run"

    @property
    def ports_file(self) -> Path:
        """Ports by component."""
        return self.root / "ports.json"

    @property
    def topology_file(self) -> Path:
        """What replicas and partitions read."""
        return self.root / "topology.json"

    @property
    def status_file(self) -> Path:
        """The last report."""
        return self.root / "status.json"

    @property
    def secrets_folder(self) -> Path:
        """Passwords and keys, closed to other users."""
        return self.root / "secrets"

    @property
    def keys_file(self) -> Path:
        """The API keys."""
        return self.secrets_folder / "api-keys.json"

    @property
    def logs_folder(self) -> Path:
        """One log per component."""
        return self.root / "logs"

    @property
    def balancer_socket(self) -> Path:
        """Where replicas ask the load balancer for connections; its name may be long."""
        return self.sockets_folder / "load-balancer.sock"

    @property
    def sockets_folder(self) -> Path:
        """UNIX sockets of partitions and of the load balancer."""
        return self.root / "sockets"

    @property
    def moves_folder(self) -> Path:
        """SymbolMoves, as they were asked for."""
        return self.root / "moves"

    def move_file(self, name: str) -> Path:
        """One SymbolMove without its status."""
        return self.moves_folder / f"{name}.json"

    def move_status_file(self, name: str) -> Path:
        """How far a SymbolMove is."""
        return self.moves_folder / "status" / f"{name}.json"

    def socket_file(self, name: str) -> Path | None:
        """Where a component listens besides its port; None where the path is too long for that."""
        path = self.sockets_folder / f"{name}.sock"
        return path if len(str(path)) <= SOCKET_CHARACTERS_MAX else None

    def log_file(self, name: str) -> Path:
        """The log of one component."""
        return self.logs_folder / f"{name}.log"

    def lock_file(self, name: str) -> Path:
        """Held by the component for as long as it lives."""
        return self.root / "locks" / f"{name}.lock"

    @property
    def shards_folder(self) -> Path:
        """One folder per shard."""
        return self.root / "shards"

    def shard_folder(self, name: str) -> Path:
        """All that belongs to one shard, its UNIX socket among it."""
        return self.shards_folder / name

    def has_shard_socket(self, name: str) -> bool:
        """Whether the path of its socket is short enough to listen there."""
        longest = self.shard_folder(name) / ".s.PGSQL.65535"
        return len(str(longest)) <= SOCKET_CHARACTERS_MAX

    def shard_data(self, name: str) -> Path:
        """PGDATA: a sub-folder, so that our own files lie beside it."""
        return self.shard_folder(name) / "data"

    def prepared_file(self, name: str) -> Path:
        """Hash of the topology that the shard was last prepared for."""
        return self.shard_folder(name) / "prepared"

    def node_folder(self, name: str) -> Path:
        """nodes.conf of one Redis node."""
        return self.root / "redis" / name

    @property
    def uid(self) -> str:
        """Identity of the data folder, part of the marker in each process's environment."""
        return self.uid_file.read_text().strip()

    def make(self) -> None:
        """Create the folders; idempotent. Only the secrets are closed to other users."""
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in ("locks", "logs", "shards", "redis", "sockets"):
            (self.root / folder).mkdir(mode=0o755, exist_ok=True)
        self.secrets_folder.mkdir(mode=0o700, exist_ok=True)
        if not self.uid_file.exists():
            write_atomically(self.uid_file, os.urandom(6).hex() + "\n")


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file as a whole.

    A reader sees the old or the new text, a crash leaves one of them.
    Raises WorldError when there is no space.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in NO_SPACE:
            raise no_space(error, path) from error
        raise


def no_space(error: OSError, path: Path | None = None) -> WorldError:
    """What a person is told; the system names no file when a write is refused, so we do."""
    where = path or error.filename or "the data folder"
    return WorldError(f"no disk space: {where} cannot be written: free some on its disk")


def told_problem(error: OSError) -> WorldError:
    """The same error in a line for a person."""
    if error.errno in NO_SPACE:
        return no_space(error)
    where = f"{error.filename}: " if error.filename else ""
    return WorldError(f"{where}{error.strerror or error}")
