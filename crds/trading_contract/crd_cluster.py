"""What the definition of TradingCluster says beyond its schema: rules, keyed lists, columns.

Rules over several fields are CEL, by hand; the models check the same and more.
"""

from __future__ import annotations

from trading_contract.status import ConditionType, Phase, Reason
from trading_contract.structural import Schema
from trading_contract.symbols import SymbolSpec

# (path below spec, rule, message). They run after the defaults are filled in.
RULES = (
    (
        "shards",
        "self.durability != 'required' || self.members >= 3",
        "durability: required needs members: 3",
    ),
    *(
        (f"autoscaling.{tier}", "self.min <= self.max", "min must not be larger than max")
        for tier in ("backends", "partitions", "shards", "redis")
    ),
    (
        "autoscaling.partitions",
        "!has(self.warmSpares) || self.warmSpares < self.max",
        "warmSpares must be less than max",
    ),
    *(
        (
            "autoscaling",
            f"self.{tier}.mode != 'external'",
            f"{tier}.mode: external is for backends only; set on, dryRun or off",
        )
        for tier in ("partitions", "shards", "redis")
    ),
    *(
        (f"{windows}[]", "self.fromTime < self.toTime", "fromTime must come before toTime")
        for windows in ("autoscaling.windows", "autoscaling.tradingHours", "rebalancing.windows")
    ),
    (
        "prices",
        (
            "has(self.cpuCore) == has(self.memoryGibibyte) && "
            "has(self.cpuCore) == has(self.storageGibibyte)"
        ),
        "prices: give cpuCore, memoryGibibyte and storageGibibyte, or none of them",
    ),
    (
        "",
        (
            "!has(self.autoscaling.budget) || !has(self.autoscaling.budget.costPerMonthMax) || "
            "(has(self.prices) && has(self.prices.cpuCore))"
        ),
        "autoscaling.budget.costPerMonthMax: needs prices; set spec.prices or remove it",
    ),
    (
        "symbols[]",
        "has(self.baseAsset) == has(self.quoteAsset)",
        "set baseAsset and quoteAsset both, or neither",
    ),
    (
        "symbols[]",
        " && ".join(
            f"(has(self.{field}) ? self.{field} : '{default}')"
            f" == (has(oldSelf.{field}) ? oldSelf.{field} : '{default}')"
            for field, default in (
                ("tickSize", SymbolSpec.model_fields["tick_size"].default),
                ("lotSize", SymbolSpec.model_fields["lot_size"].default),
            )
        ),
        "tickSize and lotSize cannot change: prices and quantities are stored as counts of them",
    ),
    (
        "",
        "self.placement.all(p, !has(p.shard) || p.shard < self.shards.count)",
        "placement names a shard that does not exist",
    ),
    (
        "",
        "self.placement.all(p, !has(p.partition) || p.partition < self.partitions.count)",
        "placement names a partition that does not exist",
    ),
)
DRAINED = tuple(
    rule
    for tier, name in (("partitions", "partition"), ("shards", "shard"))
    for rule in (
        (
            tier,
            "!has(self.drained) || self.drained.all(name, int(name.split('-')[1]) < self.count)",
            f"drained names a {name} that does not exist",
        ),
        (
            tier,
            "!has(self.drained) || self.drained.size() < self.count",
            f"drained: somebody must keep the symbols; leave one {name} out",
        ),
    )
)
ONE_SCALER = (
    (
        "",
        (
            "self.autoscaling.backends.mode != 'external' || "
            "(has(self.backends.managedBy) && self.backends.managedBy == 'External')"
        ),
        "autoscaling.backends.mode: external needs backends.managedBy: External; set it",
    ),
    (
        "",
        (
            "self.autoscaling.backends.mode != 'on' || "
            "!has(self.backends.managedBy) || self.backends.managedBy != 'External'"
        ),
        "backends.managedBy: External and autoscaling.backends.mode: on both scale; set one only",
    ),
)
# Ranges such as `A..H` tile the symbol space: one begins open, one ends open, and each other bound
# is the end of one range and the beginning of exactly one. As every range runs upwards, that leaves
# no hole and no overlap.
_FIRST, _PAST = "{}.range.split('..')[0]", "{}.range.split('..')[1]"
TILES = (
    (
        "placement[]",
        "self.range.endsWith('..') || self.range.split('..')[0] < self.range.split('..')[1]",
        "range must run upwards: A..H, ..H or P..",
    ),
    (
        "",
        "self.placement.size() == 0 || self.placement.exists_one(p, p.range.startsWith('..'))",
        "placement: exactly one range begins open, such as ..H",
    ),
    (
        "",
        "self.placement.size() == 0 || self.placement.exists_one(p, p.range.endsWith('..'))",
        "placement: exactly one range ends open, such as P..",
    ),
    (
        "",
        (
            "self.placement.all(p, p.range.startsWith('..') || self.placement.exists_one(q, "
            f"{_PAST.format('q')} == {_FIRST.format('p')}))"
        ),
        "placement: ranges leave a hole or overlap; each must begin where another one ends",
    ),
    (
        "",
        (
            "self.placement.all(p, p.range.endsWith('..') || self.placement.exists_one(q, "
            f"{_FIRST.format('q')} == {_PAST.format('p')}))"
        ),
        "placement: ranges overlap or leave a hole; each must end where another one begins",
    ),
)
FIXED = (
    (
        "",
        "self.placement == oldSelf.placement",
        "placement is read only when the cluster is made; leave it as it was",
    ),
    (
        "shards.storage",
        (
            "self.size == oldSelf.size && has(self.storageClass) == has(oldSelf.storageClass)"
            " && (!has(self.storageClass) || self.storageClass == oldSelf.storageClass)"
        ),
        "shards.storage: size and storageClass cannot change; leave them as they were",
    ),
)
KEYED_LISTS = (("symbols", "name"),)
KEYED_STATUS_LISTS = (("conditions", "type"), ("tiers", "name"))
# Newer than the first release: were their defaults written into stored objects, an operator of the
# version before, which runs on while a newer one is rolled out, would refuse all specifications.
NOT_WRITTEN = (
    ("", "imagePullPolicy"),
    ("", "imagePullSecrets"),
    ("backends", "managedBy"),
    ("partitions", "drained"),
    ("partitions", "update"),
    ("shards", "drained"),
    ("autoscaling", "tradingHours"),
    ("autoscaling.partitions", "warmSpares"),
    ("autoscaling", "budget"),
    ("autoscaling", "benefitPerCostPercentMin"),
    ("", "prices"),
)
# What a cluster says of itself before an operator has looked at it, or where none serves its
# namespace. Without any status, tools that follow kstatus would call it current at once.
UNSEEN: Schema = {
    "phase": Phase.PENDING.value,
    "observedGeneration": 0,
    "conditions": [
        {
            "type": ConditionType.READY.value,
            "status": "Unknown",
            "reason": Reason.NOT_SEEN.value,
            "message": "no operator has looked at it yet: one that serves this namespace must run",
            "observedGeneration": 0,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ],
}
# (name, type, path, priority): 0 is always shown, 1 with `-o wide`.
COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Phase", "string", ".status.phase", 0),
    *(
        (tier.capitalize(), "string", f'.status.tiers[?(@.name=="{tier}")].shown', priority)
        for tier, priority in (("backends", 0), ("partitions", 0), ("shards", 0), ("redis", 1))
    ),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("REST", "string", ".status.endpoints.rest", 1),
    ("Message", "string", '.status.conditions[?(@.type=="Ready")].message', 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
