"""Passwords of the database roles: one file per role in the secrets folder."""

from __future__ import annotations

from pathlib import Path

from trading_contract.errors import UserError

ADMINISTRATOR = "postgres"
ENGINE = "tc_engine"
READER = "tc_reader"
OPERATOR = "tc_operator"


def read_password(folder: Path, role: str) -> str:
    """The role's password; raises `UserError` naming the file when there is none."""
    path = folder / role
    try:
        password = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(f"password of {role}: {path}: {error.strerror}") from error
    if not password:
        raise UserError(f"password of {role}: {path} is empty")
    return password
