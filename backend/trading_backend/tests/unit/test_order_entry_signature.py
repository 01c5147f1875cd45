"""Who may ask, and when: keys, signatures, times."""

from __future__ import annotations

import ast
import hashlib
import hmac
from pathlib import Path

import pytest

from trading_backend import _native, order_entry
from trading_backend.tests.unit.order_desk import KEY, NOW_US, ORDER, Desk, sign, signed

# The worked example in the public documentation of this signature scheme.
EXAMPLE_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
EXAMPLE = (
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    "&timestamp=1499827319559"
)
EXAMPLE_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def code_of(desk: Desk, query: str, body: str = "", key: str = KEY) -> int:
    """The code of a refused order; 0 when it was taken."""
    request = desk.begin("POST", "/api/v3/order", query, body, key=key)
    if request in desk.answers:
        return int(desk.answer(request)[1]["code"])
    desk.commands()
    return 0


def test_the_documented_example_verifies() -> None:
    desk = Desk()
    desk.native.set_keys([(KEY, EXAMPLE_SECRET, 1, 3)])
    desk.now_us = 1499827319559_000
    # The symbol is not listed here: the signature was right when that is all that is wrong.
    assert code_of(desk, "", f"{EXAMPLE}&signature={EXAMPLE_SIGNATURE}") == -1121
    assert code_of(desk, EXAMPLE, f"signature={EXAMPLE_SIGNATURE}") == -1121
    wrong = EXAMPLE_SIGNATURE[:-1] + "2"
    assert code_of(desk, "", f"{EXAMPLE}&signature={wrong}") == -1022


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_signatures_agree_with_the_standard_library_at_every_block_boundary(length: int) -> None:
    desk = Desk()
    filler = "x" * length
    payload = f"newClientOrderId={filler}&timestamp={NOW_US // 1000}"
    for secret in ("", "s", "s" * 64, "s" * 65, "s" * 200):
        desk.native.set_keys([(KEY, secret, 1, 3)])
        right = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        assert code_of(desk, "", f"{payload}&signature={right}") not in (0, -1022)
        wrong = f"{payload}x&signature={right}"
        assert code_of(desk, "", wrong) in (-1022, -1105)


def test_query_and_body_are_signed_together_in_that_order() -> None:
    desk = Desk()
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT"
    body = f"timeInForce=GTC&quantity=1&price=10&timestamp={NOW_US // 1000}"
    assert code_of(desk, query, f"{body}&signature={sign(query + body)}") == 0
    assert code_of(desk, query, f"{body}&signature={sign(body + query)}") == -1022
    assert code_of(desk, f"{query}&signature={sign(query + body)}", body) == 0


def test_upper_case_digits_are_the_same_signature() -> None:
    text, _, signature = signed(ORDER).rpartition("=")
    assert code_of(Desk(), "", f"{text}={signature.upper()}") == 0


@pytest.mark.parametrize("signature", ["", "00", "g" * 64, "0" * 63, "0" * 65, "0" * 64, " " * 64])
def test_a_wrong_signature_is_refused(signature: str) -> None:
    text = signed(ORDER).rpartition("&")[0]
    assert code_of(Desk(), "", f"{text}&signature={signature}") in (-1022, -1105)


def test_a_signature_that_is_not_last_is_refused() -> None:
    text, _, signature = signed(ORDER).rpartition("&")
    first, _, rest = text.partition("&")
    assert code_of(Desk(), "", f"{first}&{signature}&{rest}") == -1022


def test_one_changed_byte_is_noticed() -> None:
    good = signed(ORDER)
    assert code_of(Desk(), "", good.replace("0.5", "0.6")) == -1022
    assert code_of(Desk(), "", good.replace("price", "Price")) == -1104


def test_missing_pieces_are_named() -> None:
    desk = Desk()
    text = signed(ORDER).rpartition("&")[0]
    assert code_of(desk, "", text) == -1102
    bare = "symbol=BTCUSDT"
    assert code_of(desk, "", f"{bare}&signature={sign(bare)}") == -1102
    assert code_of(desk, "", signed(ORDER), key="") == -2014
    assert code_of(desk, "", signed(ORDER), key="X" * 64) == -2015


@pytest.mark.parametrize(
    ("sent_ms", "window", "code"),
    [
        (0, None, 0),
        (-5000, None, 0),
        (-5001, None, -1021),
        (999, None, 0),
        (1000, None, -1021),
        (-60000, 60000, 0),
        (-60001, 60000, -1021),
        (-1, 0, -1021),
        (0, 0, 0),
    ],
)
def test_requests_out_of_their_window_are_refused(
    sent_ms: int, window: int | None, code: int
) -> None:
    params = ORDER if window is None else {**ORDER, "recvWindow": str(window)}
    assert code_of(Desk(), "", signed(params, now_us=NOW_US + sent_ms * 1000)) == code


def test_microsecond_stamps_are_understood() -> None:
    text = "&".join(f"{k}={v}" for k, v in ORDER.items()) + f"&timestamp={NOW_US}"
    assert code_of(Desk(), "", f"{text}&signature={sign(text)}") == 0


def test_a_command_expires_with_its_window_but_never_after_our_own_deadline() -> None:
    desk = Desk()
    desk.begin("POST", "/api/v3/order", "", signed({**ORDER, "recvWindow": "100"}))
    assert desk.commands()[0].expires_us == NOW_US + 100_000
    desk.begin("POST", "/api/v3/order", "", signed({**ORDER, "recvWindow": "60000"}))
    assert desk.commands()[0].expires_us == NOW_US + 5_000_000


def test_a_revoked_key_is_refused_at_once() -> None:
    desk = Desk()
    assert code_of(desk, "", signed(ORDER)) == 0
    desk.native.set_keys([])
    assert code_of(desk, "", signed(ORDER)) == -2015


def test_the_table_of_errors_is_that_of_the_contract() -> None:
    codes = pytest.importorskip("trading_contract.codes")
    assert _native.error_rows() == [tuple(refusal.value) for refusal in codes.Refusal]


def test_the_stub_names_what_the_module_has() -> None:
    tree = ast.parse(Path(order_entry.__file__).with_name("_native.pyi").read_text())
    (stub,) = (n for n in tree.body if isinstance(n, ast.ClassDef))
    told = {n.name for n in stub.body if isinstance(n, ast.FunctionDef)} - {"__init__"}
    assert told == {n for n in vars(_native.OrderEntry) if not n.startswith("_")}
