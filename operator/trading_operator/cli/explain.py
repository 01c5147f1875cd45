"""`tradingctl explain`: why the cluster did or did not scale, now or at a time in the history."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from trading_contract.autoscaling_status import AutoscalingStatus, TierScalingStatus
from trading_contract.errors import UserError
from trading_operator.cli.clusters import find_cluster
from trading_operator.cli.status import current_status
from trading_operator.planner.autoscale.told import (
    balance_read,
    decision_read,
    history_read,
)
from trading_operator.planner.moves.times import told as told_time
from trading_operator.planner.scaling.decisions import Decision, History
from trading_operator.planner.scaling.explain import explain as in_words
from trading_operator.planner.scaling.explain import explain_at, explain_balance
from trading_operator.planner.scaling.signals import Tier

NOTHING = (
    "nothing scales by load: every mode of spec.autoscaling and spec.rebalancing is off. Set one "
    "to dryRun to see what it would do."
)
TIME_FORMS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


def explain(arguments: argparse.Namespace) -> int:
    """Print it."""
    told = _told(arguments)
    if told is None:
        print(NOTHING)
        return 0
    tiers = [Tier(arguments.tier)] if arguments.tier else list(Tier)
    at_seconds = time_of(arguments.at, datetime.now(UTC)) if arguments.at else None
    if arguments.output == "json":
        print(json.dumps(told.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2))
        return 0
    print("\n".join(text(told, tiers, at_seconds)))
    return 0


def text(
    told: AutoscalingStatus, tiers: list[Tier], at_seconds: float | None = None
) -> Iterator[str]:
    """The answer in lines, for each tier; for partitions and shards also of their balance."""
    history = history_read(told.history)
    if at_seconds is None and told.limiting:
        yield f"{told.limiting} limit what clients get."
    for tier in tiers:
        if at_seconds is not None:
            yield explain_at(history, tier, at_seconds)
            continue
        yield from _now(told, tier, history)
    balances = ((Tier.PARTITIONS, told.balance), (Tier.SHARDS, told.shard_balance))
    for tier, balance in balances:
        if at_seconds is not None or tier not in tiers or balance is None:
            continue
        try:
            yield f"{explain_balance(balance_read(balance), tier)} ({balance.at})"
        except ValueError:
            yield f"rebalancing of {tier}: {balance.reason}"
    if at_seconds is None:
        yield from _errors(history, tiers)


def _now(told: AutoscalingStatus, tier: Tier, history: History) -> Iterator[str]:
    """What holds now, and the last change if that is something else."""
    of: TierScalingStatus | None = next((t for t in told.tiers if t.name == tier.value), None)
    if of is None or of.decision is None:
        yield f"{tier}: nothing was decided yet"
        return
    try:
        last = decision_read(of.decision)
    except ValueError:
        yield f"{tier}: {of.decision.action}, {of.decision.reason}"
        return
    yield in_words(last)
    change = _last_change(history, tier)
    if change is not None and not last.is_change:
        yield f"  Before that, {in_words(change)}"


def _last_change(history: History, tier: Tier) -> Decision | None:
    changes = (each for each in reversed(history.decisions) if each.tier is tier and each.is_change)
    return next((each for each in changes if not each.is_dry), None)


def _errors(history: History, tiers: list[Tier]) -> Iterator[str]:
    """How good the predictions were, of those whose effect was seen."""
    errors = [
        each.prediction_error for each in history.decisions
        if each.tier in tiers and each.prediction_error is not None
    ]  # fmt: skip
    if errors:
        mean = sum(map(abs, errors)) / len(errors)
        yield f"Predictions of {len(errors)} changes were off by {mean:.0%} on average."


def time_of(words: str, now: datetime) -> float:
    """A time of day (of today, UTC) or a date with it -> Unix seconds; raises UserError."""
    for form in TIME_FORMS:
        try:
            return datetime.strptime(words, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            clock = datetime.strptime(words, form).replace(tzinfo=UTC).time()
        except ValueError:
            continue
        return datetime.combine(now.date(), clock, UTC).timestamp()
    example = told_time(now.timestamp())
    raise UserError(f"--at: {words!r} is no time; write {example} or 14:30 (UTC)")


def _told(arguments: argparse.Namespace) -> AutoscalingStatus | None:
    if not arguments.file:
        return current_status(find_cluster(arguments)).autoscaling
    try:
        words = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text()
        document: Any = yaml.safe_load(words)
        told = (document.get("status") or {}).get("autoscaling")
        return None if told is None else AutoscalingStatus.model_validate(told)
    except (OSError, yaml.YAMLError, AttributeError, ValidationError) as error:
        raise UserError(
            f"--file: {arguments.file} holds no TradingCluster with its status; give it the "
            f"output of `kubectl get tc NAME -o yaml` ({type(error).__name__})"
        ) from None
