"""The CustomResourceDefinitions: `python -m trading_contract.crd PLURAL` prints one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from trading_contract import crd_cluster, crd_move
from trading_contract.model import ResourceModel
from trading_contract.structural import Schema, structural, without_defaults
from trading_contract.symbolmove import MOVE_KIND, SymbolMove
from trading_contract.tradingcluster import KIND, TradingCluster

HEADER = "# Generated from crds/trading_contract: do not edit; run `make crds`.\n"


@dataclass(frozen=True)
class _Names:
    kind: str
    plural: str
    short: str


def _below(schema: Schema, path: str) -> Schema:
    for step in path.split(".") if path else ():
        schema = schema["properties"][step.removesuffix("[]")]
        if step.endswith("[]"):
            schema = schema["items"]
    return schema


def _leave_to_the_models(spec: Schema, path: str, field: str) -> None:
    """No default of the field is written, be it its own or within that of what it is part of."""
    properties = _below(spec, path)["properties"]
    properties[field] = without_defaults(properties[field])
    steps = path.split(".") if path else []
    for at in range(len(steps) + 1):
        default = _below(spec, ".".join(steps[:at])).get("default")
        for step in steps[at:]:
            default = (default or {}).get(step)
        (default or {}).pop(field, None)


def _add_rules(schema: Schema, rules: Sequence[tuple[str, str, str]]) -> None:
    for path, rule, message in rules:
        found = _below(schema, path).setdefault("x-kubernetes-validations", [])
        found.append({"rule": rule, "message": message})


def _key_lists(schema: Schema, keyed_lists: Sequence[tuple[str, str]]) -> None:
    for path, key in keyed_lists:
        keyed = _below(schema, path)
        keyed["x-kubernetes-list-type"] = "map"
        keyed["x-kubernetes-list-map-keys"] = [key]


def definition() -> Schema:
    """The CustomResourceDefinition of TradingCluster."""
    whole, spec, status = _parts(TradingCluster)
    for path, field in crd_cluster.NOT_WRITTEN:
        _leave_to_the_models(spec, path, field)
    _add_rules(
        spec,
        (
            *crd_cluster.RULES,
            *crd_cluster.DRAINED,
            *crd_cluster.ONE_SCALER,
            *crd_cluster.TILES,
            *crd_cluster.FIXED,
        ),
    )
    _key_lists(spec, crd_cluster.KEYED_LISTS)
    _key_lists(status, crd_cluster.KEYED_STATUS_LISTS)
    status["default"] = crd_cluster.UNSEEN
    pattern = whole["$defs"]["Metadata"]["properties"]["name"]["pattern"]
    root = _root(whole["description"], spec, status)
    rule = f"self.metadata.name.matches('{pattern}')"
    _add_rules(root, [("", rule, f"metadata.name must match {pattern}")])
    return _definition(_Names(KIND, "tradingclusters", "tc"), root, crd_cluster.COLUMNS)


def move_definition() -> Schema:
    """The CustomResourceDefinition of SymbolMove."""
    whole, spec, status = _parts(SymbolMove)
    _add_rules(spec, crd_move.RULES)
    _key_lists(status, crd_move.KEYED_STATUS_LISTS)
    root = _root(whole["description"], spec, status)
    _add_rules(root, [("", rule, message) for rule, message in crd_move.ROOT_RULES])
    return _definition(_Names(MOVE_KIND, "symbolmoves", "smove"), root, crd_move.COLUMNS)


DEFINITIONS: Mapping[str, Callable[[], Schema]] = {
    "tradingclusters": definition,
    "symbolmoves": move_definition,
}


def _parts(model: type[ResourceModel]) -> tuple[Schema, Schema, Schema]:
    """The whole JSON schema, and spec and status as structural ones."""
    whole = model.model_json_schema(by_alias=True)
    definitions, parts = whole["$defs"], whole["properties"]
    spec, status = (structural(parts[part], definitions) for part in ("spec", "status"))
    return whole, spec, status


def _root(description: str, spec: Schema, status: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }


def _definition(
    names: _Names, root: Schema, columns: Sequence[tuple[str, str, str, int]]
) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.hft.trading"},
        "spec": {
            "group": "hft.trading",
            "names": {
                "kind": names.kind,
                "listKind": f"{names.kind}List",
                "plural": names.plural,
                "singular": names.kind.lower(),
                "shortNames": [names.short],
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
                        for name, kind, path, priority in columns
                    ],
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


class _PlainDumper(yaml.SafeDumper):
    """YAML without anchors: equal parts are written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(plural: str = "tradingclusters") -> str:
    """The YAML of one definition, as committed in `crds/`."""
    found = DEFINITIONS[plural]()
    return HEADER + yaml.dump(found, Dumper=_PlainDumper, sort_keys=False, width=100)


if __name__ == "__main__":
    sys.stdout.write(text(*sys.argv[1:]))
