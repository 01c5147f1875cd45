"""Every code of the wire has one answer for the client, and the native table is the same."""

from __future__ import annotations

import pytest

from trading_contract.codes import Refusal, refusal_of
from trading_contract.wire import Code, Kind


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("code", Code)
def test_every_code_has_an_answer(code: Code, kind: Kind) -> None:
    refusal = refusal_of(code, kind)
    assert (refusal is None) == (code in (Code.OK, Code.DUPLICATE_SAME, Code.END))


def test_every_refusal_has_its_own_answer() -> None:
    assert len({refusal.value for refusal in Refusal}) == len(Refusal.__members__)


def test_an_http_status_tells_whether_a_command_may_have_been_applied() -> None:
    for refusal in Refusal:
        assert refusal.code < 0
        assert 400 <= refusal.http < 500 or refusal in (Refusal.BUSY, Refusal.UNKNOWN_OUTCOME)
    assert Refusal.BUSY.http == 503
    assert Refusal.UNKNOWN_OUTCOME.http == 504


def test_a_message_names_the_parameter_and_keeps_the_rest() -> None:
    assert Refusal.ILLEGAL_SYMBOL.message("symbol") == (
        "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9]{2,16}$'."
    )
    assert Refusal.UNKNOWN_ORDER.message() == "Unknown order sent."


def test_the_table_of_the_native_order_entry_is_the_same() -> None:
    native = pytest.importorskip("trading_backend._native", reason="run `make build`")
    assert native.error_rows() == [refusal.value for refusal in Refusal]
