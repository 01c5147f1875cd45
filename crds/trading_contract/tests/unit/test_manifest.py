"""A wrong TradingCluster is refused with a line per problem: the field and the way out."""

from __future__ import annotations

import pytest

from trading_contract.errors import UserError
from trading_contract.manifest import TEXT_BYTES_MAX, load_cluster
from trading_contract.policies import PolicyMode, TierMode
from trading_contract.tests.builders import FIVE_LINES, cluster_text


def refusal(spec: str) -> str:
    """The message about a cluster with this spec."""
    with pytest.raises(UserError) as caught:
        load_cluster(cluster_text(spec))
    return str(caught.value)


def test_five_lines_are_a_valid_cluster() -> None:
    assert len(FIVE_LINES.splitlines()) == 5
    cluster = load_cluster(FIVE_LINES)
    assert cluster.spec.symbols[0].assets == ("BTC", "USDT")
    assert cluster.spec.shards.count == cluster.spec.partitions.count == 1
    assert cluster.spec.redis.masters == 3


REFUSED = {
    "shards: {count: 0}": "spec.shards.count: must be at least 1 (given: 0)",
    "backends: {replicas: 100000}": "spec.backends.replicas: must be at most 256 (given: 100000)",
    "partitions: {count: -1}": "spec.partitions.count: must be at least 1 (given: -1)",
    "redis: {masters: 2}": "spec.redis.masters: must be at least 3 (given: 2)",
    "backends: {replicas: 1.5}": "spec.backends.replicas: must be a whole number (given: 1.5)",
    "backends: {replicas: many}": "spec.backends.replicas: must be a whole number (given: many)",
    'backends: {replicas: "2"}': "spec.backends.replicas: must be a whole number (given: 2)",
    "redis: {masters: true}": "spec.redis.masters: must be a whole number (given: True)",
    "backends: {replicas: .nan}": "spec.backends.replicas:",
    "backends: {replica: 2}": "spec.backends.replica: unknown field; remove it or correct its name",
    "shards: {durability: required}": "spec.shards.durability: required needs members: 3, not 1; "
    "set members to 3 or durability to preferred",
    "shards: {durability: maybe}": "spec.shards.durability: must be 'preferred' or 'required' "
    "(given: maybe)",
    "symbols: []": "spec.symbols: needs at least 1 entry",
    "symbols: [BTCUSDT]": "spec.symbols.0: must be an object with fields, such as {name: value} "
    "(given: BTCUSDT)",
    "symbols: [{name: BTCUSDT}, {name: BTCUSDT}]": "spec.symbols: BTCUSDT is listed twice; "
    "remove one",
    "symbols: [{name: btcusdt}]": "spec.symbols.0.name: must match",
    "symbols: [{name: ABCXYZ}]": "spec.symbols.0: cannot tell the assets of ABCXYZ: "
    "set baseAsset and quoteAsset",
    "symbols: [{name: BTCUSDT, tickSize: 0.01}]": "spec.symbols.0.tickSize: must be text; "
    "put it in quotes (given: 0.01)",
    'symbols: [{name: BTCUSDT, tickSize: "-1"}]': "spec.symbols.0.tickSize: must match",
    'symbols: [{name: BTCUSDT, tickSize: "0.00"}]': "spec.symbols.0.tickSize: must be larger",
    'symbols: [{name: BTCUSDT, tickSize: "NaN"}]': "spec.symbols.0.tickSize: must match",
    'symbols: [{name: BTCUSDT, lotSize: "1", maxQuantity: "0.5"}]': "maxQuantity is smaller",
    "placement: [{range: ..H}, {range: G..}]": "spec.placement: G.. overlaps ..H",
    "placement: [{range: ..H}, {range: P..}]": "spec.placement: nothing covers H..P; "
    "extend ..H or P..",
    "placement: [{range: ..H}]": "spec.placement: nothing covers H..; end the last range open",
    "placement: [{range: B..}]": "spec.placement: nothing covers the beginning..B",
    "placement: [{range: H..A}]": "spec.placement.0.range: 'H..A' is empty",
    "placement: [{range: A-H}]": "write A..H, ..H or P..",
    "placement: [{range: .., shard: 3}]": "spec.placement.0.shard: 3 does not exist",
    "placement: [{range: .., partition: 1}]": "spec.placement.0.partition: 1 does not exist",
    "placement: [{range: ..H}, {range: H..}]": "spec.placement.1.range: H.. holds no listed symbol",
    "autoscaling: {backends: {min: 9}}": "spec.autoscaling.backends: min 9 is larger than max 8",
    "autoscaling: {shards: {mode: external}}": "external is for backends only",
    "rebalancing: {windows: [{fromTime: '22:00', toTime: '06:00'}]}": "fromTime must come before",
    "autoscaling: {shards: {targetUtilizationPercent: 120}}": "spec.autoscaling.shards.targetUtil",
    "autoscaling: {backends: {min: 0}}": "spec.autoscaling.backends.min",
    "autoscaling: {windows: [{fromTime: '09:00', toTime: '10:00'}], "
    "tradingHours: [{fromTime: '08:00', toTime: '18:00'}]}": "spec.autoscaling.windows: all of",
    "autoscaling: {budget: {processesMax: 3}}": "budget.processesMax: 3 is less than the 6 that",
    "autoscaling: {partitions: {mode: on, min: 7}, budget: {processesMax: 11}}": "than the 12 that",
    "autoscaling: {budget: {costPerMonthMax: '5'}}": "budget.costPerMonthMax: needs prices",
    "autoscaling: {budget: {costPerMonthMax: '5'}}, "
    "prices: {cpuCore: '20', memoryGibibyte: '3', storageGibibyte: '0.1'}": "5 is less than the 27",
    "autoscaling: {partitions: {warmSpares: 8}}": "warmSpares 8 leaves no partition of max 8",
    "prices: {cpuCore: '20'}": "spec.prices: memoryGibibyte, storageGibibyte: missing; give all",
    "prices: {cpuCore: '-1'}": "spec.prices.cpuCore",
    "prices: {currency: dollars}": "spec.prices.currency",
    "paused: maybe": "spec.paused: must be true or false (given: maybe)",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_a_wrong_spec_is_refused_by_field(spec: str) -> None:
    assert REFUSED[spec] in refusal(spec)


def test_every_problem_has_its_line() -> None:
    lines = refusal("shards: {count: 0}, redis: {masters: 1}, colour: red").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "spec.shards.count",
        "spec.redis.masters",
        "spec.colour",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found 0 documents"),
        (FIVE_LINES + "---\n" + FIVE_LINES, "found 2 documents: give each a file"),
        ("[1, 2]", "kind, ..), found a list"),
        ("word", "kind, ..), found a single value"),
        ("a: [", "not YAML"),
        ("a: [", "at line 1, column 5"),
        ("a: 1\na: 2", "'a' is given twice; remove one"),
        ("a: &x [1]\nb: *x", "aliases are not supported"),
        ("[" * 5000, "not YAML"),
        ("#" * (TEXT_BYTES_MAX + 1), "longer than"),
        (FIVE_LINES.replace("minimal", "Not_A_Name"), "metadata.name: must match"),
        (FIVE_LINES.replace("v1alpha1", "v2"), "apiVersion: must be 'hft.trading/v1alpha1'"),
        (FIVE_LINES.replace("metadata: {name: minimal}\n", ""), "metadata: is required"),
    ],
)
def test_a_text_that_is_no_cluster_is_refused(text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        load_cluster(text)
    assert told in str(caught.value)


def test_bare_on_and_off_mean_what_was_written() -> None:
    spec = load_cluster(
        cluster_text("autoscaling: {backends: {mode: on}}, rebalancing: {mode: off}")
    ).spec
    assert spec.autoscaling.backends.mode is TierMode.ON
    assert spec.rebalancing.mode is PolicyMode.OFF


def test_null_means_the_default_as_for_the_api_server() -> None:
    spec = load_cluster(cluster_text("backends: {replicas: null}, shards: null")).spec
    assert (spec.backends.replicas, spec.shards.count) == (1, 1)
    assert "spec.backends.replica: unknown field" in refusal("backends: {replica: null}")


def test_metadata_that_kubernetes_adds_is_taken() -> None:
    text = FIVE_LINES.replace("{name: minimal}", "{name: minimal, uid: x, managedFields: []}")
    assert load_cluster(text).metadata.name == "minimal"


def test_a_cluster_survives_json() -> None:
    cluster = load_cluster(cluster_text("shards: {count: 3}, placement: [{range: .., shard: 2}]"))
    again = type(cluster).model_validate_json(cluster.model_dump_json(by_alias=True))
    assert again == cluster
