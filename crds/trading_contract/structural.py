"""JSON schemas of pydantic as the structural schemas of a CustomResourceDefinition.

A structural schema knows less than JSON schema. What it cannot say is rewritten where that loses
nothing and refused otherwise, so that no rule of the models is dropped in silence.
"""

from __future__ import annotations

from typing import Any

from trading_contract.errors import InvariantError

Schema = dict[str, Any]

_KEPT = {
    "type", "description", "default", "enum", "pattern", "format", "required", "properties",
    "items", "additionalProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems",
}  # fmt: skip


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
            schema[key] = without_defaults(structural(schema[key], definitions, seen))
    return schema


def without_defaults(schema: Schema) -> Schema:
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
        schema["properties"] = {key: without_defaults(each) for key, each in inner}
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
