"""Finding, loading and writing protocols."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mmbench.errors import ProtocolError, UserError, suggestion
from mmbench.protocol.vocabulary import Task
from mmbench.protocol.yaml_document import (
    Document,
    ProtocolDumper,
    parse_document,
    read_description,
    read_document,
)

if TYPE_CHECKING:
    from mmbench.protocol.schema import Protocol
    from mmbench.protocol.settings import Backbone

SUFFIXES = (".yaml", ".yml")


def shipped_paths() -> dict[str, Path]:
    """Return the files of the protocols that come with mmbench, by bare name."""
    folder = resources.files("mmbench.protocols")
    return {
        entry.name.removesuffix(".yaml"): Path(str(entry))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def shipped_protocols() -> dict[str, str]:
    """Return the descriptions of the shipped protocols, by bare name, without validating them."""
    return {name: " ".join(read_description(path).split()) for name, path in shipped_paths().items()}


def resolve_protocol_path(name_or_path: str | Path) -> Path:
    """Return the file of a protocol given as a path or by a shipped protocol's bare name.

    An existing file wins over a shipped protocol of the same name.

    Raises
    ------
    ProtocolError
        If there is neither.
    """
    text = os.fspath(name_or_path)
    path = Path(text)
    if path.is_file():
        return path
    shipped = shipped_paths()
    bare = isinstance(name_or_path, str) and os.sep not in text and not text.endswith(SUFFIXES)
    if bare and text in shipped:
        return shipped[text]
    if bare:
        raise ProtocolError(f"unknown protocol {text!r}; {suggestion(text, shipped)}")
    if path.is_dir():
        raise ProtocolError(f"{text}: is a folder; name a protocol file in it")
    hint = f"; {path.stem!r} alone names the shipped protocol" if path.stem in shipped else ""
    raise ProtocolError(f"{text}: no such file{hint}")


def load_protocol(name_or_path: str | Path) -> Protocol:
    """Read and validate a protocol given as a path or by a shipped protocol's bare name.

    Raises
    ------
    ProtocolError
        On the first mistake, in one line: file, line, key, value and what was wanted.
    """
    path = resolve_protocol_path(name_or_path)
    return _found_beside(validate_document(read_document(path)), path.resolve().parent)


def _found_beside(protocol: Protocol, folder: Path) -> Protocol:
    """Return a protocol whose relative paths are absolute where there is such a file beside its own."""

    def found(text: str) -> str:
        return str(folder / text) if (folder / text).exists() else text

    def with_path(choice: Any) -> Any:
        if isinstance(choice, list):
            return [*map(with_path, choice)]
        if choice is None or choice.path is None:
            return choice
        return choice.model_copy(update={"path": found(choice.path)})

    sources, targets = (
        role.model_copy(update={task.value: with_path(role.of(task)) for task in Task})
        for role in (protocol.sources, protocol.targets)
    )
    plugins = [*map(found, protocol.plugins)]

    def with_file(_: object, backbone: Backbone) -> Backbone:
        if backbone.file is None:
            return backbone
        return backbone.model_copy(update={"pretrained": found(str(backbone.file))})

    changed = protocol.model_copy(update={"sources": sources, "targets": targets, "plugins": plugins})
    return changed.with_backbones(with_file)


@contextmanager
def naming_lines(name_or_path: str | Path) -> Iterator[None]:
    """Give every user error in the block that names a key of the protocol its file and line."""
    try:
        yield
    except UserError as error:
        if not error.at:
            raise
        document = read_document(resolve_protocol_path(name_or_path))
        raise type(error)(f"{document.source}:{document.line(error.at)}: {error}") from error


def parse_protocol(text: str, source: str = "protocol") -> Protocol:
    """Read and validate a protocol's YAML text.

    Parameters
    ----------
    text : str
        What a protocol file would hold.
    source : str
        Stands for the file's name in messages.

    Raises
    ------
    ProtocolError
        As for :func:`load_protocol`.
    """
    return validate_document(parse_document(text, source))


def validate_document(document: Document) -> Protocol:
    """Return the protocol that a YAML document describes; see :func:`load_protocol`."""
    from pydantic import ValidationError

    from mmbench.protocol.messages import protocol_error
    from mmbench.protocol.schema import Protocol

    try:
        return Protocol.model_validate(document.value)
    except ValidationError as error:
        raise protocol_error(error, document, Protocol) from None


def protocol_yaml(protocol: Protocol, *, complete: bool = False) -> str:
    """Return the YAML text of a protocol; :func:`parse_protocol` reads an equal one back from it.

    Parameters
    ----------
    protocol : Protocol
        What to write.
    complete : bool
        Also write the values that are the defaults.
    """
    value = protocol.model_dump(mode="json", exclude_defaults=not complete, exclude_none=True)
    return yaml.dump(value, Dumper=ProtocolDumper, sort_keys=False, allow_unicode=True, width=100)
