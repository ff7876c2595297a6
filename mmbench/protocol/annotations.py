"""What the schema's models share: their base, bounded types, short forms and wordings for errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Words:
    """What a value must be, in words, for error messages (instead of a regular expression)."""

    text: str


@dataclass(frozen=True)
class BareString:
    """Let a bare string stand for a mapping with that one key."""

    key: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._open, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        mapping = handler(schema)
        field = handler.resolve_ref_schema(mapping)["properties"][self.key]
        short = {key: value for key, value in field.items() if key not in ("title", "default", "description")}
        return {"anyOf": [short, mapping]}

    def _open(self, value: Any) -> Any:
        return {self.key: value} if isinstance(value, str) else value


@dataclass(frozen=True)
class OneOrMany:
    """Let a single entry stand for a list of one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._wrap, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [*many["items"].get("anyOf", [many["items"]]), many]}

    @staticmethod
    def _wrap(value: Any) -> Any:
        return [value] if isinstance(value, (str, dict, int)) else value


@dataclass(frozen=True)
class ReadAs:
    """Read a field as another type, then convert what was read to the declared one."""

    annotation: Any
    convert: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        read = handler.generate_schema(self.annotation)
        convert = core_schema.no_info_plain_validator_function(self.convert)
        return core_schema.chain_schema([read, convert, handler(source)])


def located_error(message: str, *at: str | int) -> PydanticCustomError:
    """Return an error to raise from a validator, which says where below the validated value it is.

    Parameters
    ----------
    message : str
        One line, in plain words.
    *at : str or int
        Keys and list positions that lead from the validated value to the culprit.
    """
    return PydanticCustomError("located", "{message}", {"message": message, "at": at})


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 ._+@=\[\]-]*$"


def refuse_bool(value: Any) -> Any:
    """Refuse ``true`` and ``false`` where a number is wanted; return anything else."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_from_bool", "true and false are not numbers")
    return value


Name = Annotated[
    str,
    Field(pattern=NAME_PATTERN, max_length=80),
    Words("a name (a letter or digit, then at most 79 letters, digits, spaces and . _ + @ = [ ] -)"),
]
Member = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=40),
    Words("a name (a letter or digit, then at most 39 letters, digits, spaces and . _ -)"),
]
"""The name of a class or a structure; without colons, since metrics of one are called ``dice:heart``."""
Positive = Annotated[int, Field(ge=1, le=10**9)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name is not None:
            wanted = cls.model_fields[info.field_name].annotation
            if wanted in (int, float):
                return refuse_bool(value)
        return value
