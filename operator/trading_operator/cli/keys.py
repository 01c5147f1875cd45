"""`tradingctl keys`: API keys of a cluster.

Partitions and replicas re-read the file by themselves.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from trading_contract.api_keys import ApiKeyEntry, ApiKeys, Scope
from trading_contract.errors import UserError, WorldError
from trading_operator.cli.clusters import find_cluster
from trading_operator.cli.key_check import wait_until_followed
from trading_operator.cli.tables import table
from trading_operator.substrates.processes.layout import Layout, write_atomically
from trading_operator.substrates.processes.store import random_text

KEY_CHARACTERS = 64


def create(arguments: argparse.Namespace) -> int:
    """A new key; its secret is shown here and nowhere else."""
    layout = find_cluster(arguments)
    scopes = parse_scopes(arguments.scopes)
    with _locked(layout):
        keys = read_keys(layout)
        if any(each.name == arguments.key_name for each in keys.keys):
            raise UserError(
                f"NAME: there is a key {arguments.key_name} already; revoke it or choose another"
            )
        account = arguments.account or keys.next_account
        entry = new_key(arguments.key_name, account, scopes)
        next_account = max(keys.next_account, account + 1)
        _write(layout, ApiKeys(keys=(*keys.keys, entry), next_account=next_account))
    _tell_when_late(layout, entry.api_key, is_known=True)
    shown = {
        "apiKey": entry.api_key,
        "secret": entry.secret,
        "name": entry.name,
        "account": entry.account,
        "scopes": [scope.value for scope in entry.scopes],
    }
    if arguments.output == "json":
        print(json.dumps(shown, indent=2))
    else:
        print("\n".join(f"{key:8} {value}" for key, value in shown.items()))
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """All keys, without their secrets."""
    keys = read_keys(find_cluster(arguments)).keys
    if arguments.output == "json":
        shown = [
            {
                "name": each.name,
                "apiKey": each.api_key,
                "account": each.account,
                "scopes": [scope.value for scope in each.scopes],
            }
            for each in keys
        ]
        print(json.dumps(shown, indent=2))
        return 0
    rows = [
        (each.name, str(each.account), ",".join(scope.value for scope in each.scopes), each.api_key)
        for each in keys
    ]
    print(table(("NAME", "ACCOUNT", "SCOPES", "KEY"), rows))
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Remove a key by its name."""
    layout = find_cluster(arguments)
    with _locked(layout):
        keys = read_keys(layout)
        kept = tuple(each for each in keys.keys if each.name != arguments.key_name)
        if len(kept) == len(keys.keys):
            raise UserError(
                f"NAME: there is no key {arguments.key_name}; see `tradingctl keys list`"
            )
        _write(layout, keys.model_copy(update={"keys": kept}))
        revoked = next(each for each in keys.keys if each.name == arguments.key_name)
    _tell_when_late(layout, revoked.api_key, is_known=False)
    print(f"revoked {arguments.key_name}")
    return 0


def _tell_when_late(layout: Layout, api_key: str, *, is_known: bool) -> None:
    if not wait_until_followed(layout, api_key, is_known=is_known):
        print("tradingctl: not every replica has read the keys yet", file=sys.stderr)


def new_key(name: str, account: int, scopes: tuple[Scope, ...]) -> ApiKeyEntry:
    """A fresh key; raises UserError when name or account are out of bounds."""
    try:
        return ApiKeyEntry(
            name=name, api_key=random_text(KEY_CHARACTERS), secret=random_text(KEY_CHARACTERS),
            account=account, scopes=scopes,
        )  # fmt: skip
    except ValidationError as error:
        lines = [f"{each['loc'][0]}: {each['msg']}" for each in error.errors(include_input=False)]
        raise UserError("\n".join(lines)) from None


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """`read,trade` -> scopes; raises UserError for others."""
    scopes = []
    for word in text.split(","):
        if word not in set(Scope):
            known = ", ".join(scope.value for scope in Scope)
            raise UserError(f"--scopes: {word!r} is unknown; choose of {known}")
        scopes.append(Scope(word))
    return tuple(dict.fromkeys(scopes))


def read_keys(layout: Layout) -> ApiKeys:
    """The keys of a cluster; raises WorldError when the file cannot be read."""
    try:
        return ApiKeys.model_validate_json(layout.keys_file.read_bytes())
    except FileNotFoundError:
        return ApiKeys()
    except (OSError, ValidationError) as error:
        raise WorldError(f"{layout.keys_file} cannot be read: {error}") from error


def _write(layout: Layout, keys: ApiKeys) -> None:
    text = keys.model_dump_json(by_alias=True, indent=1)
    write_atomically(layout.keys_file, text + "\n", mode=0o600)


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Two commands at once must not lose one of the two keys."""
    descriptor = os.open(layout.lock_file("keys"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
