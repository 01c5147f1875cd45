"""Who signed a request, and when."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from trading_backend.errors import ApiError
from trading_backend.keys import KeyRing, read_keys
from trading_backend.order_entry import ApiKey
from trading_contract.errors import UserError

NOW_MS = 1_700_000_000_000
SECRET = "s" * 64


def ring(*scopes: str) -> KeyRing:
    """One key."""
    made = KeyRing()
    made.replace((ApiKey("k" * 64, SECRET, 7, frozenset(scopes)),))
    return made


def fields(payload: str) -> dict[str, str]:
    """The parameters of a payload, signed."""
    found = dict(part.split("=") for part in payload.split("&"))
    found["signature"] = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    return found


def test_a_signed_request_names_its_account() -> None:
    payload = f"symbol=BTCUSDT&timestamp={NOW_MS}"
    assert ring("read").signed("k" * 64, payload.encode(), fields(payload), "read", NOW_MS) == 7


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (f"timestamp={NOW_MS - 5001}", -1021),
        (f"timestamp={NOW_MS + 1000}", -1021),
        (f"timestamp={NOW_MS - 60_000}&recvWindow=60001", -1131),
        ("timestamp=x", -1100),
        ("symbol=BTCUSDT", -1102),
    ],
)
def test_a_request_of_another_time_is_refused(payload: str, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        ring("read").signed("k" * 64, payload.encode(), fields(payload), "read", NOW_MS)
    assert refused.value.code == code


def test_one_changed_character_breaks_the_signature() -> None:
    payload = f"symbol=BTCUSDT&timestamp={NOW_MS}"
    with pytest.raises(ApiError) as refused:
        ring("read").signed("k" * 64, payload.encode() + b"0", fields(payload), "read", NOW_MS)
    assert refused.value.code == -1022


@pytest.mark.parametrize("signature", ["", "é", "\ud800", "0" * 64, "0" * 65])
def test_any_text_may_stand_for_a_signature(signature: str) -> None:
    payload = f"timestamp={NOW_MS}"
    wrong = {"timestamp": str(NOW_MS), "signature": signature}
    with pytest.raises(ApiError) as refused:
        ring("read").signed("k" * 64, payload.encode(), wrong, "read", NOW_MS)
    assert refused.value.code in (-1022, -1102)


def test_a_key_without_the_scope_is_refused() -> None:
    payload = f"timestamp={NOW_MS}"
    with pytest.raises(ApiError) as refused:
        ring("trade").signed("k" * 64, payload.encode(), fields(payload), "read", NOW_MS)
    assert refused.value.code == -2015


def test_a_missing_file_means_no_keys_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "api-keys.json") == ()
    (tmp_path / "api-keys.json").write_text('{"keys": [{"name": "x"}]}')
    with pytest.raises(UserError, match=r"api-keys\.json"):
        read_keys(tmp_path / "api-keys.json")
