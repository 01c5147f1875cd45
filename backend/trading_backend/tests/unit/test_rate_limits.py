"""Limits are counted, and cancels pass."""

from __future__ import annotations

import time

import pytest

from trading_backend.channels import Channels
from trading_backend.rate_limits import RateLimits, Window
from trading_contract.topology import Limits


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> RateLimits:
    """Ten orders in ten seconds, at a time that stands still."""
    monkeypatch.setattr(time, "time", lambda: 1_000_005.0)
    made = RateLimits(Channels())
    made.set_limits(Limits(orders_per_10_seconds=10, request_weight_per_minute=100))
    return made


def test_orders_beyond_the_limit_are_refused_with_the_time_to_wait(limits: RateLimits) -> None:
    assert limits.take_orders(1, 10).allowed
    refused = limits.take_orders(1, 1)
    assert not refused.allowed
    assert refused.orders_exceeded
    assert 1 <= refused.retry_after_seconds <= 10


def test_cancels_pass_when_orders_do_not(limits: RateLimits) -> None:
    limits.take_orders(1, 10)
    assert limits.take_orders(1, 0).allowed


def test_accounts_do_not_share(limits: RateLimits) -> None:
    limits.take_orders(1, 10)
    assert limits.take_orders(2, 10).allowed


def test_a_new_window_begins_empty(limits: RateLimits, monkeypatch: pytest.MonkeyPatch) -> None:
    limits.take_orders(1, 10)
    monkeypatch.setattr(time, "time", lambda: 1_000_010.0)
    assert limits.take_orders(1, 10).allowed


def test_reads_are_refused_by_weight(limits: RateLimits) -> None:
    assert limits.take_weight(1, 100).allowed
    refused = limits.take_weight(1, 1)
    assert not refused.allowed
    assert not refused.orders_exceeded


def test_without_limits_everything_passes() -> None:
    made = RateLimits(Channels())
    made.set_limits(Limits())
    assert all(made.take_orders(1, 1000).allowed for _ in range(100))


def test_a_counter_that_begins_anew_takes_nothing_back() -> None:
    window = Window("orders", 10)
    window.unsent = 5
    window.learn(5, 7)
    assert (window.known, window.unsent) == (7, 0)
    window.unsent = 3
    window.learn(2, 2)  # its seven are gone
    assert (window.known, window.unsent) == (9, 1)
    window.learn(1, 4)  # another replica added one
    assert window.known == 11
    window.learn(0, 0)  # and again
    assert window.known == 11
