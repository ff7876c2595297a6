"""Reading CSV files that people wrote: every table of data sets and claims comes through here.

Spreadsheets save what they please: other encodings, semicolons, a column twice, a comma too many. Whatever
would put a value into another column, or lose one, is refused with the file and the line.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmbench.errors import DataError, UserError, suggestion
from mmbench.text import plural

_DELIMITERS = {";": "';'", "\t": "tabs", "|": "'|'"}


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    where : str
        File and line, to begin a message with.
    values : dict of str to str
        By column, without spaces around them.
    """

    where: str
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]


@dataclass(frozen=True)
class Table:
    """A CSV file's columns and rows.

    Attributes
    ----------
    name : str
        The file, as messages name it.
    columns : tuple of str
        In their order.
    rows : list of Row
        Without empty lines.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[Row]

    def unique(self, column: str) -> Iterator[Row]:
        """Yield the rows.

        Raises
        ------
        DataError
            If two rows have the same value in a column.
        """
        seen: dict[str, str] = {}
        for row in self.rows:
            if (first := seen.setdefault(row[column], row.where)) != row.where:
                raise DataError(f"{row.where}: {row[column]!r} stands twice, first at {first}; keep one row")
            yield row


def read_text(path: Path, error: type[UserError] = DataError) -> str:
    """Return a text file's content.

    Parameters
    ----------
    path : Path
        A file in UTF-8, with or without a byte-order mark.
    error : type of UserError
        What to raise.

    Raises
    ------
    UserError
        If the file cannot be read or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror}); name a text file") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise error(f"{path}: is not UTF-8 text; save it as 'CSV UTF-8'") from None
    return text


def read_table(
    path: Path,
    required: Collection[str] = (),
    *,
    known: Collection[str] | None = None,
    prefix: str = "",
    error: type[UserError] = DataError,
) -> Table:
    """Read a CSV file; see :func:`parse_table`."""
    text = read_text(path, error)
    return parse_table(text, str(path), required, known=known, prefix=prefix, error=error)


def parse_table(
    text: str,
    name: str,
    required: Collection[str] = (),
    *,
    known: Collection[str] | None = None,
    prefix: str = "",
    error: type[UserError] = DataError,
) -> Table:
    """Return the table that a text holds.

    Parameters
    ----------
    text : str
        Comma-separated, with a header.
    name : str
        The file, for messages.
    required : collection of str
        Columns that must be there.
    known : collection of str, optional
        If given, every column must be one of these or begin with ``prefix``.
    prefix : str
        See ``known``.
    error : type of UserError
        What to raise.

    Raises
    ------
    UserError
        If it is not CSV, a column is missing, unknown or there twice, a value has several lines, or a row has
        more or fewer fields than the header; columns at the end without a name and a value do not count.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = [column.strip() for column in next(reader, [])]
        columns = _without_empty_end(header)
        _check_columns(columns, name, required, known, prefix, error)
        for fields in reader:
            values = [field.strip() for field in fields]
            if not any(values):
                continue
            where = f"{name} line {reader.line_num}"
            if any("\n" in value or "\r" in value for value in values):
                raise error(f"{where}: a value goes over several lines; check the quotes there")
            # As long as the header, and empty where the header is: one comma too many moves every value.
            if not len(columns) <= len(values) <= len(header) or any(values[len(columns) :]):
                found = plural(len(values), "field")
                raise error(f"{where}: has {found} instead of {len(columns)}; quote values that hold commas")
            rows.append(Row(where, dict(zip(columns, values, strict=False))))
    except csv.Error as problem:
        raise error(
            f"{name} line {reader.line_num}: is not CSV ({problem}); check the quotes there"
        ) from None
    return Table(name, tuple(columns), rows)


def _check_columns(
    columns: list[str],
    name: str,
    required: Iterable[str],
    known: Collection[str] | None,
    prefix: str,
    error: type[UserError],
) -> None:
    for column, count in Counter(columns).items():
        if column and count > 1:
            raise error(f"{name}: column {column!r} stands twice; rename or remove one")
    unknown = [
        column
        for column in columns
        if known is not None and column not in known and not (prefix and column.startswith(prefix))
    ]
    missing = [column for column in required if column not in columns]
    for delimiter, shown in _DELIMITERS.items():
        if (missing or unknown) and len(columns) == 1 and delimiter in columns[0]:
            raise error(f"{name}: its columns are separated by {shown}; commas are needed")
    if unknown:
        hint = suggestion(unknown[0], set(known or ()) - set(columns))
        raise error(f"{name}: unknown column {unknown[0]!r}; {'' if '?' in hint else 'remove it; '}{hint}")
    if missing:
        raise error(f"{name}: has no column {missing[0]!r}; its columns: {', '.join(columns) or 'none'}")


def _without_empty_end(fields: list[str]) -> list[str]:
    while fields and not fields[-1]:
        fields = fields[:-1]
    return fields
