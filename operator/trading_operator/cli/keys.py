"""`tradingctl keys`: API keys of a cluster.

Partitions and replicas re-read the file by themselves.
"""

from __future__ import annotations

import argparse
import json

from pydantic import ValidationError

from trading_contract.api_keys import ApiKeyEntry, ApiKeys, Scope
from trading_contract.errors import UserError
from trading_operator.cli.key_stores import store_of
from trading_operator.cli.tables import table
from trading_operator.substrates.processes.store import random_text

KEY_CHARACTERS = 64


def create(arguments: argparse.Namespace) -> int:
    """A new key; its secret is shown here and nowhere else."""
    store = store_of(arguments)
    scopes = parse_scopes(arguments.scopes)
    made: list[ApiKeyEntry] = []

    def add(keys: ApiKeys) -> ApiKeys:
        if any(each.name == arguments.key_name for each in keys.keys):
            raise UserError(
                f"NAME: there is a key {arguments.key_name} already; revoke it or choose another"
            )
        account = arguments.account or keys.next_account
        made[:] = [new_key(arguments.key_name, account, scopes)]
        return ApiKeys(keys=(*keys.keys, *made), next_account=max(keys.next_account, account + 1))

    store.change(add)
    (entry,) = made
    store.wait(entry.api_key, is_known=True)
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
    keys = store_of(arguments).read().keys
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
    store = store_of(arguments)
    gone: list[ApiKeyEntry] = []

    def remove(keys: ApiKeys) -> ApiKeys:
        gone[:] = [each for each in keys.keys if each.name == arguments.key_name]
        if not gone:
            raise UserError(
                f"NAME: there is no key {arguments.key_name}; see `tradingctl keys list`"
            )
        return keys.model_copy(
            update={"keys": tuple(each for each in keys.keys if each not in gone)}
        )

    store.change(remove)
    store.wait(gone[0].api_key, is_known=False)
    print(f"revoked {arguments.key_name}")
    return 0


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
