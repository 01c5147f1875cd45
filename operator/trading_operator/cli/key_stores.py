"""Where the API keys of a cluster are kept: a file on this machine, or a Secret on Kubernetes."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Callable
from typing import Protocol

from pydantic import ValidationError

from trading_contract.api_keys import ApiKeys
from trading_contract.errors import UserError, WorldError
from trading_operator.cli.clusters import find_cluster
from trading_operator.cli.key_check import wait_until_followed
from trading_operator.substrates.processes.layout import Layout, write_atomically

Change = Callable[[ApiKeys], ApiKeys]


class KeyStore(Protocol):
    """The keys of one cluster; two changes at once lose neither."""

    def read(self) -> ApiKeys:
        """All keys. Raises WorldError when they cannot be read."""
        ...

    def change(self, change: Change) -> None:
        """Replace the keys by what `change` makes of them; what it raises changes nothing."""
        ...

    def wait(self, api_key: str, *, is_known: bool) -> None:
        """Until the replicas follow, for a few seconds; says so when they are late."""
        ...


def store_of(arguments: argparse.Namespace) -> KeyStore:
    """The Secret when a namespace is given, else the file of a cluster on this machine."""
    if arguments.namespace:
        if not arguments.name:
            raise UserError("--name: which TradingCluster of the namespace?")
        # Loaded only now: the client of Kubernetes is large.
        from trading_operator.cli.secret_keys import SecretKeys

        return SecretKeys(arguments.namespace, arguments.name)
    return FileKeys(find_cluster(arguments))


class FileKeys:
    """`api-keys.json` in the secrets folder."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self) -> ApiKeys:
        """All keys."""
        path = self._layout.keys_file
        try:
            return ApiKeys.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return ApiKeys()
        except (OSError, ValidationError) as error:
            raise WorldError(f"{path} cannot be read: {error}") from error

    def change(self, change: Change) -> None:
        """Under a lock."""
        path, flags = self._layout.lock_file("keys"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            text = change(self.read()).model_dump_json(by_alias=True, indent=1)
            write_atomically(self._layout.keys_file, text + "\n", mode=0o600)
        finally:
            os.close(descriptor)

    def wait(self, api_key: str, *, is_known: bool) -> None:
        """Asks every replica."""
        if not wait_until_followed(self._layout, api_key, is_known=is_known):
            print("tradingctl: not every replica has read the keys yet", file=sys.stderr)
