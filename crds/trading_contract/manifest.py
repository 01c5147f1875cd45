"""From the text of a file to a TradingCluster, with one clear line per problem."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from trading_contract.errors import UserError
from trading_contract.model import ResourceModel
from trading_contract.symbolmove import SymbolMove
from trading_contract.tradingcluster import TradingCluster

TEXT_BYTES_MAX = 1 << 20  # as much as the Kubernetes API takes
_METADATA = ("name", "namespace", "generation", "labels", "annotations")
_MOVE_METADATA = (*_METADATA, "uid", "creationTimestamp")

Kind = TypeVar("Kind", bound=ResourceModel)


class _Loader(yaml.SafeLoader):
    """YAML without the trap that a key given twice silently takes its last value."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases are not supported; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is given twice; remove one", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load_cluster(text: str) -> TradingCluster:
    """The one TradingCluster in `text`.

    Raises `UserError` whose message has a line per problem: `spec.shards.count: ...`.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise UserError(f"longer than {TEXT_BYTES_MAX} bytes; a TradingCluster is smaller")
    try:
        documents = [d for d in yaml.load_all(text, _Loader) if d is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        told = " ".join(str(problem).replace('in "<unicode string>", ', "at ").split())
        raise UserError(f"not YAML: {told}") from None
    if len(documents) != 1:
        way_out = ": give each a file of its own" if documents else ""
        text = f"expected one TradingCluster, found {len(documents)} documents{way_out}"
        raise UserError(text)
    if not isinstance(documents[0], dict):
        kind = "a list" if isinstance(documents[0], list) else "a single value"
        raise UserError(f"expected one TradingCluster (apiVersion, kind, ..), found {kind}")
    return parse_cluster(documents[0])


def parse_cluster(document: dict[str, Any]) -> TradingCluster:
    """The same from a mapping, such as one of the Kubernetes API."""
    return _parse(TradingCluster, document, _METADATA)


def parse_move(document: dict[str, Any]) -> SymbolMove:
    """A SymbolMove from a mapping, such as one of the Kubernetes API. Raises `UserError`."""
    return _parse(SymbolMove, document, _MOVE_METADATA)


def _parse(kind: type[Kind], document: dict[str, Any], kept: Container[str]) -> Kind:
    """One object; of its metadata only what is `kept`."""
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        document = {**document, "metadata": {k: v for k, v in metadata.items() if k in kept}}
    try:
        return kind.model_validate(document)
    except ValidationError as problem:
        raise UserError("\n".join(lines_of(problem))) from None


def lines_of(problem: ValidationError) -> list[str]:
    """One line per problem, each beginning with the path of its field."""
    errors = problem.errors()
    return [_line(each) for each in errors if not _echoes(each, errors)]


def _echoes(error: Any, errors: list[Any]) -> bool:
    """A list that is "too short" only because an item of it was refused, which is told anyway."""
    return error["type"] == "too_short" and any(
        len(e["loc"]) > len(error["loc"]) and e["loc"][: len(error["loc"])] == error["loc"]
        for e in errors
    )


# Texts of pydantic's error types in our words; the braces are fields of its context.
_TEXTS = {
    "extra_forbidden": "unknown field; remove it or correct its name",
    "missing": "is required",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "needs at least {min_length} entry",
    "too_long": "takes at most {max_length} entries",
    "string_too_long": "must not be longer than {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "string_type": "must be text; put it in quotes",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be an object with fields, such as {{name: value}}",
    "tuple_type": "must be a list",
    "dict_type": "must be an object with fields",
}
# A rule over several fields names the one it is about at the start of its text.
_NAMED_FIELD = re.compile(r"^([A-Za-z]\w*(?:\.\w+)*): ")


def _line(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "value_error":
        message = str(error["msg"]).removeprefix("Value error, ")
        named = _NAMED_FIELD.match(message)
        if named:
            return f"{path}.{named[1]}: {message[named.end() :]}"
        return f"{path}: {message}"
    text = _TEXTS.get(error["type"])
    message = text.format(**error.get("ctx", {})) if text else str(error["msg"])
    given = error.get("input")
    if isinstance(given, str | int | float) and error["type"] != "extra_forbidden":
        message += f" (given: {str(given)[:80]})"
    return f"{path}: {message}"
