"""What came of simulated runs, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trading_operator.planner.scaling.explain import explain
from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.run import Outcome

DECISIONS_TOLD = 8


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The figures; units are in the names."""
    pauses = sorted(pause for _, pause in outcome.pauses)
    errors = [e for d in outcome.decisions if (e := d.prediction_error) is not None]
    return {
        "strategy": outcome.strategy,
        "seconds": outcome.samples[-1].seconds if outcome.samples else 0.0,
        "orders_served_share": round(outcome.served_share, 5),
        "imbalance_mean": round(outcome.imbalance_mean, 4),
        "moves": len(outcome.moves),
        "ranges_moved": outcome.ranges_moved,
        "ranges_brought_back_within_half_an_hour": outcome.returns_within(1800.0),
        "pause_milliseconds_max": round(pauses[-1], 1) if pauses else 0.0,
        "scalings": len(outcome.changes),
        "unit_hours": {tier.value: round(outcome.unit_hours(tier), 2) for tier in Tier},
        "prediction_error_mean_absolute": (
            round(sum(map(abs, errors)) / len(errors), 4) if errors else None
        ),
        "predictions_checked": len(errors),
        "invariants_broken": outcome.broken,
        "changes": [
            {"seconds": at, "tier": tier.value, "from": before, "to": after}
            for at, tier, before, after in outcome.changes
        ],
    }


def as_text(outcomes: Sequence[Outcome]) -> str:
    """A table, one line per strategy, and the planner's last decisions in words."""
    head = (
        "strategy", "served", "imbalance", "moves", "ranges", "back", "scalings", "unit hours",
        "broken",
    )  # fmt: skip
    rows = [head]
    for each in outcomes:
        hours = sum(each.unit_hours(tier) for tier in Tier)
        rows.append(
            (
                each.strategy, f"{each.served_share:.2%}", f"{each.imbalance_mean:.3f}",
                str(len(each.moves)), str(each.ranges_moved), str(each.returns_within(1800.0)),
                str(len(each.changes)), f"{hours:.1f}", str(len(each.broken)),
            )
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for outcome in outcomes:
        made = [each for each in outcome.decisions if each.is_change][-DECISIONS_TOLD:]
        if made:
            lines += ["", f"Last changes of {outcome.strategy}:", *(explain(d) for d in made)]
        lines += [f"BROKEN {line}" for line in outcome.broken[:20]]
    return "\n".join(lines)
