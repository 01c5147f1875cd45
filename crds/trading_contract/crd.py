"""The models as CustomResourceDefinitions: `python -m trading_contract.crd` prints them.

A structural schema knows less than JSON schema. What it cannot say is rewritten where that loses
nothing and refused otherwise, so that no rule of the models is dropped in silence. Rules over
several fields are CEL, by hand; the models check the same and more.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml

from trading_contract.errors import InvariantError
from trading_contract.status import ConditionType, Phase, Reason
from trading_contract.symbols import SymbolSpec
from trading_contract.tradingcluster import KIND, TradingCluster

HEADER = "# Generated from crds/trading_contract: do not edit; run `make crds`.\n"

Schema = dict[str, Any]

_KEPT = {
    "type", "description", "default", "enum", "pattern", "format", "required", "properties",
    "items", "additionalProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems",
}  # fmt: skip

# (path below spec, rule, message). They run after the defaults are filled in.
_RULES = (
    (
        "shards",
        "self.durability != 'required' || self.members >= 3",
        "durability: required needs members: 3",
    ),
    *(
        (f"autoscaling.{tier}", "self.min <= self.max", "min must not be larger than max")
        for tier in ("backends", "partitions", "shards", "redis")
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
        (f"{policy}.windows[]", "self.fromTime < self.toTime", "fromTime must come before toTime")
        for policy in ("autoscaling", "rebalancing")
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
_ONE_SCALER = (
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
_TILES = (
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
_FIXED = (
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
    (
        "redis",
        "self.masters == oldSelf.masters",
        "redis.masters cannot change on a running cluster; leave it as it was",
    ),
)
_KEYED_LISTS = (("symbols", "name"),)
_KEYED_STATUS_LISTS = (("conditions", "type"), ("tiers", "name"))
# Newer than the first release: were their defaults written into stored objects, an operator of the
# version before, which runs on while a newer one is rolled out, would refuse all specifications.
_NOT_WRITTEN = (("", "imagePullPolicy"), ("", "imagePullSecrets"), ("backends", "managedBy"))
# What a cluster says of itself before an operator has looked at it, or where none serves its
# namespace. Without any status, tools that follow kstatus would call it current at once.
_UNSEEN: Schema = {
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
_COLUMNS = (
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


def structural(
    schema: Schema, definitions: dict[str, Schema], seen: tuple[str, ...] = ()
) -> Schema:
    """A JSON schema of pydantic as a structural one; `InvariantError` for what has no equal."""
    schema = dict(schema)
    if "$ref" in schema:
        name = schema.pop("$ref").rsplit("/", 1)[-1]
        if name in seen:
            raise InvariantError(f"{name} is recursive; a structural schema cannot be")
        return structural({**definitions[name], **schema}, definitions, (*seen, name))
    if "anyOf" in schema:
        return structural({**_only_option(schema.pop("anyOf")), **schema}, definitions, seen)
    schema.pop("title", None)
    if schema.get("default", ...) is None:
        del schema["default"]
    elif "default" in schema:
        schema["default"] = _without_nulls(schema["default"])
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    for bound, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in schema:
            schema[plain], schema[bound] = schema[bound], True
    if schema.get("additionalProperties") is False:
        del schema["additionalProperties"]  # the server prunes or, asked strictly, refuses
    unknown = set(schema) - _KEPT
    if unknown or schema.get("format") == "duration":
        raise InvariantError(f"no structural form of {sorted(unknown) or 'durations'} in {schema}")
    if "properties" in schema:
        inner = schema["properties"]
        schema["properties"] = {k: structural(v, definitions, seen) for k, v in inner.items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            schema[key] = _without_defaults(structural(schema[key], definitions, seen))
    return schema


def _without_defaults(schema: Schema) -> Schema:
    """An entry of a list as it was written: the models fill in what it leaves out.

    Were the API server to do so, the list would differ from the applied file for ever, and
    applying it again would not say "unchanged".
    """
    schema = dict(schema)
    default = schema.pop("default", None)
    if (
        default != ""
        and isinstance(default, str | int | float)
        and "Default" not in schema.get("description", "")
    ):
        shown = str(default).lower() if isinstance(default, bool) else default
        schema["description"] = f"{schema.get('description', '')} Default: {shown}.".strip()
    if "properties" in schema:
        inner = schema["properties"].items()
        schema["properties"] = {key: _without_defaults(each) for key, each in inner}
    return schema


def _without_nulls(value: Any) -> Any:
    """A default as the API server takes it: what is absent is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return value


def _only_option(options: list[Schema]) -> Schema:
    """Of "X or null" the X: an absent field says null."""
    others = [option for option in options if option.get("type") != "null"]
    if len(others) != 1:
        raise InvariantError(f"no structural form of a choice: {options}")
    return others[0]


def _below(schema: Schema, path: str) -> Schema:
    for step in path.split(".") if path else ():
        schema = schema["properties"][step.removesuffix("[]")]
        if step.endswith("[]"):
            schema = schema["items"]
    return schema


def _leave_to_the_models(parent: Schema, field: str) -> None:
    properties = parent["properties"]
    properties[field] = _without_defaults(properties[field])
    parent.get("default", {}).pop(field, None)


def _status_schema(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    status = structural(schema, definitions)
    for path, key in _KEYED_STATUS_LISTS:
        keyed = _below(status, path)
        keyed["x-kubernetes-list-type"] = "map"
        keyed["x-kubernetes-list-map-keys"] = [key]
    return {**status, "default": _UNSEEN}


def definition() -> Schema:
    """The CustomResourceDefinition of TradingCluster."""
    whole = TradingCluster.model_json_schema(by_alias=True)
    definitions = whole["$defs"]
    parts = whole["properties"]
    spec = structural(parts["spec"], definitions)
    for path, field in _NOT_WRITTEN:
        _leave_to_the_models(_below(spec, path), field)
    for path, rule, message in (*_RULES, *_ONE_SCALER, *_TILES, *_FIXED):
        rules = _below(spec, path).setdefault("x-kubernetes-validations", [])
        rules.append({"rule": rule, "message": message})
    for path, key in _KEYED_LISTS:
        keyed = _below(spec, path)
        keyed["x-kubernetes-list-type"] = "map"
        keyed["x-kubernetes-list-map-keys"] = [key]
    status = _status_schema(parts["status"], definitions)
    pattern = definitions["Metadata"]["properties"]["name"]["pattern"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "tradingclusters.hft.trading"},
        "spec": {
            "group": "hft.trading",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": "tradingclusters",
                "singular": "tradingcluster",
                "shortNames": ["tc"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "priority": priority}
                        for name, kind, path, priority in _COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "description": whole["description"],
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": status,
                            },
                            "x-kubernetes-validations": [
                                {
                                    "rule": f"self.metadata.name.matches('{pattern}')",
                                    "message": f"metadata.name must match {pattern}",
                                }
                            ],
                        }
                    },
                }
            ],
        },
    }


class _PlainDumper(yaml.SafeDumper):
    """YAML without anchors: equal parts are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text() -> str:
    """The YAML of all definitions, as committed in `crds/`."""
    return HEADER + yaml.dump(definition(), Dumper=_PlainDumper, sort_keys=False, width=100)


if __name__ == "__main__":
    sys.stdout.write(text())
