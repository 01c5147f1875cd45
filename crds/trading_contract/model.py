"""The base of all resource models: frozen, strict about unknown fields, camelCase outside."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticKnownError


class ResourceModel(BaseModel):
    """One object of a resource; unknown fields are refused by name.

    A field that is null is as one that is left out: so the Kubernetes API server reads it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        known = cls.model_fields.keys() | {each.alias for each in cls.model_fields.values()}
        return {
            name: inner for name, inner in value.items() if inner is not None or name not in known
        }

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_as_such(cls, value: object, info: ValidationInfo) -> object:
        """The API server takes no "2" and no true for a number."""
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, str | bool) and kind in {int, int | None}:
            raise PydanticKnownError("int_type")
        return value
