"""Settings of a process, from environment variables with a prefix, read once at its start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from trading_contract.errors import UserError

Settings = TypeVar("Settings", bound=BaseModel)


def load(model: type[Settings], prefix: str, environ: Mapping[str, str]) -> Settings:
    """`model` from the variables that begin with `prefix` (`TRADING_ENGINE_LISTEN_PORT`).

    Raises `UserError` that names each variable that is unknown, missing or wrong.
    """
    given = {k[len(prefix) :].lower(): v for k, v in environ.items() if k.startswith(prefix)}
    problems = [
        f"{prefix}{name.upper()}: unknown setting; remove it or correct its name"
        for name in given
        if name not in model.model_fields
    ]
    known = {name: value for name, value in given.items() if name in model.model_fields}
    try:
        settings = model.model_validate(known)
    except ValidationError as problem:
        problems += [
            f"{prefix}{'_'.join(str(p) for p in e['loc']).upper()}: {e['msg']}"
            for e in problem.errors()
        ]
    if problems:
        raise UserError("\n".join(problems))
    return settings
