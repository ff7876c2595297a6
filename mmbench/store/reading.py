"""Reading the JSON files of a results folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mmbench.errors import StoreError

Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, fix: str) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises
    ------
    StoreError
        If there is none; the message ends with ``fix``.
    """
    try:
        content = json.loads(path.read_bytes(), parse_float=_exact, parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such file; {fix}") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); {fix}") from None
    except (ValueError, RecursionError):
        raise StoreError(f"{path}: is not JSON; {fix}") from None
    if not isinstance(content, dict):
        raise StoreError(f"{path}: is not a JSON object; {fix}")
    return content


def _exact(text: str) -> float:
    """Read a number that is written as Python writes it: a changed last digit may give the same number."""
    value = float(text)
    if repr(value) != text:
        raise ValueError(f"{text} is not as a record writes {value!r}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def parse(model: type[Model], content: dict[str, Any], path: Path, fix: str) -> Model:
    """Return the model that a file's content describes.

    Raises
    ------
    StoreError
        If it is not as this version writes it; the message ends with ``fix``.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if content.get("format", 2) != 2:
            raise StoreError(f"{path}: was written by another version of mmbench; {fix}") from None
        raise StoreError(f"{path}: {key}: not as this version of mmbench writes it; {fix}") from None
