"""JSON schemas for kubeconform, from what an API server says of its own kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
KIND = "x-kubernetes-group-version-kind"
# How kubeconform looks for them.
LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"


def write_schemas(read: Callable[[str], str], folder: Path) -> str:
    """One file for each kind that the API server serves; returns the -schema-location.

    `read` answers a path of the API server. Fields that a kind does not have are errors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    definitions: dict[str, Schema] = json.loads(read("/openapi/v2"))["definitions"]
    whole = {name: _strict(schema) for name, schema in definitions.items()}
    for name, schema in definitions.items():
        for kind in schema.get(KIND, ()):
            group = kind["group"].partition(".")[0]
            suffix = f"-{group}-{kind['version']}" if group else f"-{kind['version']}"
            needed = {each: whole[each] for each in _needed(name, definitions)}
            document = {**whole[name], "definitions": needed}
            (folder / f"{kind['kind'].lower()}{suffix}.json").write_text(json.dumps(document))
    return f"{folder}/{LOCATION}"


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    strict = {key: _strict(value) for key, value in schema.items() if not key.startswith("x-")}
    if isinstance(schema.get("properties"), dict):
        strict.setdefault("additionalProperties", False)
        strict["properties"] = {k: _strict(v) for k, v in schema["properties"].items()}
    return strict


def _needed(name: str, definitions: dict[str, Schema]) -> set[str]:
    """The definitions that one refers to, through others too."""
    found: set[str] = set()
    left = [name]
    while left:
        for each in _references(definitions[left.pop()]):
            if each not in found:
                found.add(each)
                left.append(each)
    return found


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for each in schema for name in _references(each)]
    if not isinstance(schema, dict):
        return []
    mine = schema.get("$ref")
    own = [mine.rpartition("/")[2]] if isinstance(mine, str) else []
    return own + [name for each in schema.values() for name in _references(each)]
