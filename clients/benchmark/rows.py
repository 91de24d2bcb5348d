"""Rows from a CSV file, read as a stream: only as many as are asked for."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from clients.benchmark.errors import BadInput
from clients.benchmark.formats import FORMATS, Format


@dataclass(frozen=True)
class Block:
    """Some rows, one after another: the fields of each, as text, and the line where it ends, counted from 1."""

    rows: list[list[str]]
    lines: list[int]


@dataclass(frozen=True)
class Table:
    """A data file, opened: the names of its columns, and its rows, which can be read once."""

    path: Path
    columns: tuple[str, ...]
    format: Format | None
    has_header: bool
    _reader: Iterator[tuple[int, list[str]]]

    def blocks(self, rows: int, size: int) -> Iterator[Block]:
        """The first `rows` rows, in blocks of `size`. Raises BadInput at a line that is no row of this table."""
        reader = islice(self._reader, min(rows, sys.maxsize))
        while taken := list(islice(reader, min(size, sys.maxsize))):
            lines, fields = zip(*taken, strict=True)
            yield Block(list(fields), list(lines))


@contextmanager
def open_table(path: Path, columns_file: Path | None, format_name: str | None) -> Iterator[Table]:
    """The table in a file: with a header, unless its columns are given. Raises BadInput where it is not readable as one."""
    known = FORMATS[format_name] if format_name else None
    given = known.columns if known else _read_columns(columns_file) if columns_file else None
    source = f"as --format {format_name} has" if known else f"as in {columns_file}" if columns_file else "as in the header"
    with _open(path) as file:
        records = _records(path, _lines(path, file), known)
        first = next(records, None)
        if first is None:
            raise BadInput(f"{path}: expected {'rows' if given else 'a header and rows'}, but the file is empty")
        if given is None:
            columns = _checked_names(path, *first)
        elif given == tuple(name.strip() for name in first[1]):
            raise BadInput(f"{path}, line {first[0]}: expected a row, got a header; leave out --format or --columns")
        else:
            columns, records = given, chain([first], records)
        yield Table(path, columns, known, given is None, _of_width(path, records, len(columns), source))


@contextmanager
def _open(path: Path) -> Iterator[Iterator[bytes]]:
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise BadInput(f"{path}: expected a CSV file that can be read: {error.strerror}") from None


def _lines(path: Path, file: Iterator[bytes]) -> Iterator[str]:
    """The lines as text, without a byte order mark. Raises BadInput for what is not text."""
    number = 0
    for number, line in enumerate(file, 1):
        if b"\0" in line:
            raise BadInput(f"{path}, line {number}: expected text, got a NUL byte (byte {line.index(0) + 1} of the line)")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(f"{path}, line {number}: expected UTF-8 text, got the byte 0x{line[error.start]:02x}") from None


def _records(path: Path, lines: Iterator[str], known: Format | None) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each record; blank lines are none, nor is a first line of comment in a known format.

    The first line has most of the delimiter.
    """
    first = next(lines, "")
    delimiter = max(",\t" if known else ",\t;|", key=first.count)
    # Known formats quote nothing, so that a quotation mark in them is a character like others.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if known else csv.QUOTE_MINIMAL
    reader = csv.reader(chain([first], lines), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for fields in reader:
            if fields and not (known and known.comment and reader.line_num == 1 and fields[0].startswith(known.comment)):
                yield reader.line_num, [field.strip() for field in fields] if known and known.trim else fields
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: expected a CSV row: {error}") from None


def _of_width(path: Path, records: Iterator[tuple[int, list[str]]], width: int, source: str) -> Iterator[tuple[int, list[str]]]:
    for line, fields in records:
        if len(fields) != width:
            raise BadInput(f"{path}, line {line}: expected {width} columns, {source}, got {len(fields)}")
        yield line, fields


def _read_columns(path: Path) -> tuple[str, ...]:
    """Column names from a file that holds a header: parted by commas, tabs or line ends."""
    with _open(path) as file:
        names = [(line, name.strip()) for line, fields in _records(path, _lines(path, file), None) for name in fields]
    if not names:
        raise BadInput(f"{path}: expected the names of columns, but the file is empty")
    return _checked_names(path, names[0][0], [name for _, name in names])


def _checked_names(path: Path, line: int, names: list[str]) -> tuple[str, ...]:
    stripped = tuple(name.strip() for name in names)
    twice = [name for name, count in Counter(stripped).items() if count > 1 and name]
    if twice:
        raise BadInput(f"{path}, line {line}: expected a name of its own for each column, got twice: {', '.join(twice)}")
    if "" in stripped:
        raise BadInput(f"{path}, line {line}: expected a name for each column, but column {stripped.index('') + 1} has none")
    return stripped
