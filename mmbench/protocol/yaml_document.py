"""Reading a protocol's YAML: plain data, no surprises, and the line of every key and value.

On top of PyYAML, whose nodes know their lines: a loader of YAML 1.2 would still take ``0x10`` and dates for
something else than text, and names no first line for a repeated key.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmbench.errors import Location, ProtocolError

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 30
MAX_INTEGER_DIGITS = 30
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN"
)
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"~|null|Null|NULL|")
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the lines (from 1) on which keys and values begin."""

    source: str
    """The file's name in messages."""
    value: dict[str, Any]
    key_lines: dict[Location, int] = field(default_factory=dict)
    value_lines: dict[Location, int] = field(default_factory=dict)

    def line(self, at: Location) -> int:
        """Return the line of a key, or of a list's entry; of what holds it where it is missing."""
        while at and at not in self.value_lines:
            at = at[:-1]
        return self.key_lines.get(at) or self.value_lines.get(at, 1)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: ``1e-3`` is a number; ``yes``, ``010``, ``1:30`` and dates mean what they say."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}


class ProtocolDumper(yaml.SafeDumper):
    """Quotes every string that either reader of numbers, 1.1's or ours, would take for something else."""


def _whole(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(f"^(?:{pattern.pattern})$")


_Loader.add_implicit_resolver(f"{_TAG}bool", _whole(_BOOL), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}int", _whole(_INTEGER), list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", _whole(_FLOAT), list("-+0123456789."))
_Loader.add_implicit_resolver(f"{_TAG}null", _whole(_NULL), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}merge", re.compile(r"^<<$"), ["<"])
ProtocolDumper.add_implicit_resolver(f"{_TAG}float", _whole(_FLOAT), list("-+0123456789."))


def read_document(path: Path, source: str | None = None) -> Document:
    """Read a protocol file.

    Parameters
    ----------
    path : Path
        The file.
    source : str, optional
        Its name in messages; the path when left out.

    Raises
    ------
    ProtocolError
        If it cannot be read, is over 1 MB, is not UTF-8 or not YAML, repeats a key, expands to too many
        nodes or is not a mapping.
    """
    source = source or str(path)
    try:
        if path.is_dir():
            raise ProtocolError(f"{source}: is a folder; name a protocol file in it")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ProtocolError(f"{source}: {size} bytes is too large for a protocol (at most {MAX_BYTES})")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ProtocolError(f"{source}: no such file") from None
    except OSError as error:
        raise ProtocolError(f"{source}: cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ProtocolError(f"{source}:{line}: not UTF-8 text; save the file as UTF-8") from None
    return parse_document(text, source)


def parse_document(text: str, source: str) -> Document:
    """Read a protocol's text; see :func:`read_document`."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ProtocolError(f"{source}:{line}: holds a character that text files must not hold") from None
    except yaml.MarkedYAMLError as error:
        raise ProtocolError(_syntax_message(error, source)) from None
    except (RecursionError, ValueError, OverflowError):
        raise ProtocolError(f"{source}: not readable as YAML; is it nested too deeply?") from None
    if root is None:
        raise ProtocolError(f"{source}: the file is empty; begin with 'name: …' and 'sources: …'")
    if not isinstance(root, yaml.MappingNode):
        raise ProtocolError(f"{source}:{_line(root)}: a protocol must be a mapping of keys such as 'name: …'")
    return _Builder(loader, source).document(root)


def _syntax_message(error: yaml.MarkedYAMLError, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    place = source if mark is None else f"{source}:{mark.line + 1}"
    problem = " ".join((error.problem or error.context or "malformed").split())
    if "'\\t'" in problem:
        return f"{place}: a tab is not allowed here; indent with spaces"
    if "single document" in (error.context or ""):
        return f"{place}: holds more than one YAML document; remove the '---' between them"
    if problem.startswith("found undefined alias"):
        return f"{place}: {problem.removeprefix('found ')}; no anchor of that name is defined before it"
    return f"{place}: not valid YAML: {problem}; check indentation, colons and quotes near this line"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Builder:
    """Turns a node graph into plain data and refuses what a protocol must not hold."""

    def __init__(self, loader: _Loader, source: str) -> None:
        self._loader = loader
        self._source = source
        self._nodes = 0
        self._keys: dict[Location, int] = {}
        self._values: dict[Location, int] = {}

    def document(self, root: yaml.MappingNode) -> Document:
        value = self._build(root, ())
        return Document(self._source, value, self._keys, self._values)

    def _fail(self, node: yaml.Node, message: str) -> ProtocolError:
        return ProtocolError(f"{self._source}:{_line(node)}: {message}")

    def _build(self, node: yaml.Node, at: Location) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._fail(
                node, f"the file's aliases expand to more than {MAX_NODES} values; write them out"
            )
        if len(at) > MAX_DEPTH:
            raise self._fail(node, "nested too deeply, or an alias contains itself")
        if node.tag not in _PLAIN_TAGS:
            raise self._fail(
                node, f"the YAML tag {node.tag.replace(_TAG, '!!')} is not allowed; give a plain value"
            )
        self._values[at] = _line(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*at, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, at)

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.tag == f"{_TAG}merge":
                merged |= self._merge(value_node, at)
                key = "<<"
            elif key_node.tag != f"{_TAG}str" or not isinstance(key_node, yaml.ScalarNode):
                shown = key if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                raise self._fail(
                    key_node, f"a key must be text, not {shown}; put it in quotes if it is a name"
                )
            if key in seen:
                raise self._fail(
                    key_node, f"{_dotted((*at, key))}: the key is given twice (first on line {seen[key]})"
                )
            seen[key] = _line(key_node)
            if key != "<<":
                self._keys[(*at, key)] = _line(key_node)
                own[key] = self._build(value_node, (*at, key))
        return {**merged, **own}

    def _merge(self, node: yaml.Node, at: Location) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            if not isinstance(part, yaml.MappingNode):
                raise self._fail(part, "'<<' merges mappings; give it an alias of one")
            merged |= self._build(part, at)
        return merged

    def _scalar(self, node: yaml.Node, at: Location) -> Any:
        if node.tag == f"{_TAG}int" and len(node.value) > MAX_INTEGER_DIGITS:
            raise self._fail(node, f"{_dotted(at)}: the number is too long")
        try:
            if node.tag == f"{_TAG}int":
                return int(node.value.replace("_", ""))
            value = self._loader.construct_object(node)
        except (ValueError, KeyError, yaml.YAMLError):
            kind = node.tag.removeprefix(_TAG)
            raise self._fail(node, f"{_dotted(at)}: {node.value[:60]!r} cannot be read as {kind}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._fail(node, f"{_dotted(at)}: {node.value[:60]} is not a finite number")
        return value


def _dotted(at: Location) -> str:
    return ".".join(str(part) for part in at)


def read_description(path: Path) -> str:
    """Return a protocol's ``description`` without validating or even reading the rest; "" if it has none."""
    depth, after_key, expects_key = 0, False, True
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for event in yaml.parse(stream, Loader=_Loader):
                if isinstance(event, yaml.ScalarEvent) and depth == 1:
                    if after_key:
                        return str(event.value).strip()
                    after_key = expects_key and event.value == "description"
                    expects_key = not expects_key
                elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                    depth += 1
                    if depth == 2 and after_key:
                        return ""
                elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                    depth -= 1
                    if depth == 1:
                        expects_key = True
                elif isinstance(event, yaml.AliasEvent) and depth == 1:
                    expects_key = not expects_key
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return ""
    return ""
