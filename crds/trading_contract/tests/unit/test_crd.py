"""The committed definitions are those of the models, and drop none of their rules in silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_contract.crd import DEFINITIONS, text
from trading_contract.errors import InvariantError
from trading_contract.structural import structural

FOLDER = Path(__file__).parents[3]
CHART = FOLDER.parent / "charts" / "trading-operator" / "crds-generated"
every_kind = pytest.mark.parametrize("plural", DEFINITIONS)


@every_kind
@pytest.mark.parametrize("folder", [FOLDER, CHART], ids=["crds", "chart"])
def test_the_committed_file_is_fresh(plural: str, folder: Path) -> None:
    committed = (folder / f"{plural}.yaml").read_text()
    assert committed == text(plural), "the models changed: run `make crds` and commit the file"


@every_kind
def test_the_text_is_the_definition(plural: str) -> None:
    assert yaml.safe_load(text(plural)) == DEFINITIONS[plural]()


def properties(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties below with their paths."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", inner
        yield from properties(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from properties(schema[key], f"{path}[]")


def root(plural: str) -> dict[str, Any]:
    """The schema of the resource."""
    version: dict[str, Any] = DEFINITIONS[plural]()["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


@every_kind
def test_a_person_can_learn_every_field_from_its_description(plural: str) -> None:
    for path, schema in properties(root(plural)):
        if path not in (".apiVersion", ".kind", ".metadata"):
            assert schema.get("description"), f"{path} has no description"


@every_kind
def test_every_field_is_structural(plural: str) -> None:
    for path, schema in properties(root(plural)):
        assert isinstance(schema["type"], str), path
        assert not {"$ref", "anyOf", "oneOf", "allOf", "title"} & schema.keys(), path
        assert schema.get("default", ...) is not None, f"{path} has default null"
        assert not ("properties" in schema and "additionalProperties" in schema), path


@every_kind
def test_every_list_and_every_number_of_the_spec_is_bounded(plural: str) -> None:
    for path, schema in properties(root(plural)["properties"]["spec"]):
        if schema["type"] == "array":
            assert "maxItems" in schema, path
        if schema["type"] == "integer":
            assert {"minimum", "maximum"} <= schema.keys(), path


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "string", "format": "duration"},
        {"oneOf": [{"type": "string"}]},
        {"$ref": "#/$defs/Node"},
    ],
)
def test_what_a_structural_schema_cannot_say_is_refused(schema: dict[str, Any]) -> None:
    loop = {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}}
    with pytest.raises(InvariantError):
        structural(schema, loop)


def test_what_it_says_otherwise_is_rewritten() -> None:
    schema = {
        "type": "object",
        "title": "T",
        "additionalProperties": False,
        "properties": {
            "a": {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "null"}]},
            "b": {"const": "x", "type": "string", "default": None},
        },
    }
    assert structural(schema, {}) == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            "b": {"type": "string", "enum": ["x"]},
        },
    }
