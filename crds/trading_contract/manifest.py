"""From the text of a file to a TradingCluster, with one clear line per problem."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from trading_contract.errors import UserError
from trading_contract.tradingcluster import TradingCluster

_METADATA = ("name", "namespace", "generation", "labels", "annotations")


def load_cluster(text: str) -> TradingCluster:
    """The one TradingCluster in `text`.

    Raises `UserError` whose message has a line per problem: `spec.shards.count: ...`.
    """
    try:
        documents = [d for d in yaml.safe_load_all(text) if d is not None]
    except yaml.YAMLError as problem:
        raise UserError(f"not YAML: {' '.join(str(problem).split())}") from None
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UserError(f"expected one TradingCluster object, found {len(documents)} documents")
    return parse_cluster(documents[0])


def parse_cluster(document: dict[str, Any]) -> TradingCluster:
    """The same from a mapping, such as one of the Kubernetes API."""
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        kept = {k: v for k, v in metadata.items() if k in _METADATA}
        document = {**document, "metadata": kept}
    try:
        return TradingCluster.model_validate(document)
    except ValidationError as problem:
        errors = problem.errors()
        inner = [e for e in errors if not _echoes(e, errors)]
        raise UserError("\n".join(_line(e) for e in inner)) from None


def _echoes(error: Any, errors: list[Any]) -> bool:
    """A list that is "too short" only because an item of it was refused, which is told anyway."""
    return error["type"] == "too_short" and any(
        len(e["loc"]) > len(error["loc"]) and e["loc"][: len(error["loc"])] == error["loc"]
        for e in errors
    )


def _line(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown field; remove it or correct its name"
    elif error["type"] == "missing":
        message = "is required"
    given = error.get("input")
    if isinstance(given, str | int | float) and error["type"] not in ("value_error", "missing"):
        message += f" (given: {given!r})"
    return f"{path}: {message}"
