"""A process starts only with settings that it knows."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from trading_contract.errors import UserError
from trading_contract.settings import load


class Listening(BaseModel):
    """Settings of a test."""

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)


def test_settings_come_from_variables_with_the_prefix() -> None:
    settings = load(Listening, "TC_", {"TC_PORT": "80", "PORT": "1", "PATH": "/bin"})
    assert settings == Listening(port=80)


def test_every_wrong_variable_is_named() -> None:
    with pytest.raises(UserError) as caught:
        load(Listening, "TC_", {"TC_PORT": "0", "TC_PROT": "80"})
    first, second = str(caught.value).splitlines()
    assert first.startswith("TC_PROT: unknown setting")
    assert second.startswith("TC_PORT: ")


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(UserError, match="TC_PORT: Field required"):
        load(Listening, "TC_", {})
