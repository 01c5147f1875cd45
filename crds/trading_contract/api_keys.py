"""The file `api-keys.json` in the secrets folder: who may do what. Re-read when it changes."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from trading_contract.model import ResourceModel


class Scope(StrEnum):
    """What a key may do. `trade` does not include `read`."""

    READ = "read"
    TRADE = "trade"


class ApiKeyEntry(ResourceModel):
    """One key. The secret (HMAC-SHA256) is stored as it is: the file is mode 0600."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="For people.")
    api_key: str = Field(pattern=r"^[A-Za-z0-9]{16,128}$", description="Sent as X-MBX-APIKEY.")
    secret: str = Field(pattern=r"^[A-Za-z0-9]{16,128}$", description="Never sent.", repr=False)
    account: int = Field(ge=1, le=(1 << 62), description="Whose orders these are.")
    scopes: tuple[Scope, ...] = Field(min_length=1, description="What it may do.")


class ApiKeys(ResourceModel):
    """All keys. An account may have several; a name has one."""

    keys: tuple[ApiKeyEntry, ...] = ()
    next_account: int = Field(default=1, ge=1, description="Accounts are numbered and not reused.")
