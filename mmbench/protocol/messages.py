"""Turning what pydantic finds wrong with a protocol into one line of plain words."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mmbench.errors import Location, ProtocolError, suggestion
from mmbench.protocol.annotations import BareString, OneOrMany, ReadAs, Words
from mmbench.protocol.vocabulary import REMOVED_KEYS, RENAMED_KEYS
from mmbench.protocol.yaml_document import Document

UNREMARKABLE = 10**9
"""Upper bounds from here on are left out of a message unless they are what the value exceeds."""


@dataclass(frozen=True)
class _Seen:
    """The refused value, handed along with a field's metadata."""

    value: Any


def protocol_error(error: ValidationError, document: Document, model: type[BaseModel]) -> ProtocolError:
    """Return the one-line error for a document that ``model`` refused.

    The line names the file, the line, the dotted key, the value and what was wanted; when there are more
    mistakes it ends with their number. Mistyped keys come first, then the order of the file.
    """
    faults: dict[Location, ErrorDetails] = {}
    for details in error.errors(include_url=False):
        at = _place(details, document.value)
        faults.setdefault(at, details)
    guessed = {
        (*at[:-1], name)
        for at, details in faults.items()
        if details["type"] == "extra_forbidden"
        for name in _field_names(model, at[:-1])
        if suggestion(str(at[-1]), _field_names(model, at[:-1])) == f"did you mean {name!r}?"
    }
    shown = [at for at, details in faults.items() if details["type"] != "missing" or at not in guessed]
    shown.sort(key=lambda at: (faults[at]["type"] != "extra_forbidden", document.line(at)))
    first = shown[0]
    place = f"{document.source}:{document.line(first)}: "
    key = ".".join(str(part) for part in first)
    text = _text(first, faults[first], document, model)
    more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
    return ProtocolError(f"{place}{key + ': ' if key else ''}{text}{more}")


def _place(details: ErrorDetails, value: Any) -> Location:
    """Return where in the file an error lies, without what pydantic or a short form adds to the path."""
    at: list[str | int] = []
    found = details["loc"]
    located = details["type"] == "located"
    path = [*found, *details["ctx"]["at"]] if located else [*found]
    for position, part in enumerate(path):
        last = position == len(path) - 1 and details["type"] in ("missing", "extra_forbidden")
        if isinstance(value, dict) and (part in value or (last and isinstance(part, str))):
            at.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            at.append(part)
            value = value[part]
    return tuple(at)


def _text(at: Location, details: ErrorDetails, document: Document, model: type[BaseModel]) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        if at[:-1] == () and at[-1] in RENAMED_KEYS:
            return f"this key is now called {RENAMED_KEYS[str(at[-1])]!r}; rename it"
        if at in REMOVED_KEYS:
            return REMOVED_KEYS[at]
        return f"unknown key; {suggestion(str(at[-1]), _field_names(model, at[:-1]))}"
    if kind == "missing":
        wanted = _describe(*_annotation(model, at))
        return f"the key is missing; give {wanted}"
    if kind == "located":
        return str(details["ctx"]["message"])
    if kind == "value_error":
        return str(details["ctx"]["error"])
    value = _value(document.value, at)
    annotation, metadata = _annotation(model, details["loc"])
    wanted = _describe(annotation, [*metadata, _Seen(value)])
    hint = ""
    names = [name for name in _literals(annotation) if isinstance(name, str)]
    if isinstance(value, str) and len(names) > 1:
        close = suggestion(value, names)
        hint = f"; {close}" if close.startswith("did") else ""
    elif kind == "string_type" and isinstance(value, (bool, int, float)):
        hint = "; put it in quotes if it is meant"
    return f"{_shown(value)} is not {wanted}{hint}"


def _value(value: Any, at: Location) -> Any:
    for part in at:
        value = value[part]
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "an empty value"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "an empty list" if not value else f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _field_names(model: type[BaseModel], at: Location) -> list[str]:
    annotation, _ = _annotation(model, at)
    return [name for found in _models(annotation) for name in found.model_fields]


def _annotation(model: Any, at: Location | tuple[Any, ...]) -> tuple[Any, list[Any]]:
    """Follow keys and positions from a model to what is declared there, skipping pydantic's own tags."""
    annotation: Any = model
    metadata: list[Any] = []
    for part in at:
        models = [found for found in _models(annotation) if part in found.model_fields]
        items = list(_item_types(annotation, part))
        if models:
            info: FieldInfo = models[0].model_fields[str(part)]
            annotation, metadata = info.annotation, list(info.metadata)
            for read in (item for item in metadata if isinstance(item, ReadAs)):
                annotation, metadata = read.annotation, []
        elif items:
            annotation, metadata = items[0], []
    return annotation, metadata


def _options(annotation: Any) -> list[Any]:
    """Return the members of a union, ``None`` left out; other annotations are their own only member."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [option for member in get_args(annotation) for option in _options(member)]
    return [] if annotation is type(None) else [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [
        option
        for option in _options(annotation)
        if isinstance(option, type) and issubclass(option, BaseModel)
    ]


def _item_types(annotation: Any, part: Any) -> Iterator[Any]:
    for option in _options(annotation):
        if get_origin(option) is list and isinstance(part, int):
            yield get_args(option)[0]
        if get_origin(option) is dict and isinstance(part, str):
            yield get_args(option)[1]


def _literals(annotation: Any) -> list[Any]:
    return [
        value
        for option in _options(annotation)
        if get_origin(option) is Literal
        for value in get_args(option)
    ]


def _describe(annotation: Any, metadata: list[Any]) -> str:
    """Say in words what an annotation accepts, for example ``a whole number >= 1 or 'full'``."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _describe(inner, [*more, *metadata])
    flat = list(_flat(metadata))
    words = [item.text for item in flat if isinstance(item, Words)]
    if words:
        return words[0]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        members = [_describe(member, flat) for member in arguments if member is not type(None)]
        return " or ".join(dict.fromkeys(members))
    if origin is Literal:
        names = [repr(value) for value in arguments]
        return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
    text = _noun(annotation, origin, arguments, flat)
    short = next((item for item in flat if isinstance(item, BareString)), None)
    if short is not None and _models(annotation):
        return f"text or {text}"
    if any(isinstance(item, OneOrMany) for item in flat):
        return f"{text} (or a single entry)"
    return text


def _noun(annotation: Any, origin: Any, arguments: tuple[Any, ...], metadata: list[Any]) -> str:
    bounds = _bounds(metadata)
    if annotation is bool:
        return "true or false"
    if annotation is int:
        return f"a whole number{bounds}"
    if annotation is float:
        return f"a number{bounds}"
    if annotation is str:
        return f"text{_length(metadata, 'characters')}"
    if origin is list:
        return f"a list{_length(metadata, 'entries')}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a mapping with keys such as {', '.join(list(annotation.model_fields)[:4])}"
    return "a mapping" if origin is dict else "a value of another kind"


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from item.metadata
        else:
            yield item


def _bounds(metadata: list[Any]) -> str:
    seen = next((item.value for item in metadata if isinstance(item, _Seen)), None)
    number = seen if isinstance(seen, (int, float)) and not isinstance(seen, bool) else 0
    parts = []
    for item in metadata:
        if isinstance(item, annotated_types.Ge):
            parts.append(f">= {item.ge}")
        elif isinstance(item, annotated_types.Gt):
            parts.append(f"> {item.gt}")
        elif isinstance(item, annotated_types.Le):
            upper: Any = item.le
            parts += [f"<= {upper}"] if upper < UNREMARKABLE or number > upper else []
        elif isinstance(item, annotated_types.Lt):
            upper = item.lt
            parts += [f"< {upper}"] if upper < UNREMARKABLE or number >= upper else []
    return f" {' and '.join(parts)}" if parts else ""


def _length(metadata: list[Any], unit: str) -> str:
    least = next((item.min_length for item in metadata if isinstance(item, annotated_types.MinLen)), 0)
    most = next((item.max_length for item in metadata if isinstance(item, annotated_types.MaxLen)), None)
    if least and most is not None:
        return f" of {least} to {most} {unit}" if least != most else f" of {least} {unit}"
    if least:
        return f" of at least {least} {unit}"
    return f" of at most {most} {unit}" if most is not None else ""
