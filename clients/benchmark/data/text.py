"""Rows from a CSV file, read as a stream: only as many as are asked for."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Literal

from clients.benchmark.data.formats import FORMATS, Format
from clients.benchmark.data.table import BLOCK_ROWS, Block, Table, open_file
from clients.benchmark.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class CsvTable(Table):
    """A CSV file: `delimiter` parts its fields, `skip` lines stand above its rows, `source` is where its columns' names stand."""

    delimiter: str
    skip: int
    source: str

    def blocks(self, names: Collection[str], limit: int) -> Iterator[Block]:
        """The first `limit` rows, with the columns of these names. Raises BadInput at a line that is no row of this table."""
        with open_file(self.path) as file:
            lines = _Lines(self.path, file)
            lines.skip(self.skip)
            done = 0
            for numbers, columns in self._groups(lines, limit):
                yield Block({name: columns[self.columns.index(name)] for name in names}, len(numbers), done, numbers)
                done += len(numbers)

    def _groups(self, lines: _Lines, limit: int) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
        """Line numbers and columns of so many rows, some at a time."""
        while limit > 0 and (group := lines.take(min(BLOCK_ROWS, limit))):
            first = lines.number - len(group) + 1
            text = lines.decoded(group, first)
            if self._is_plain(text, group):
                numbers, columns = self._split(text, first)
                if numbers:
                    yield numbers, columns
                    limit -= len(numbers)
            else:
                # A quoted field may hold delimiters and line ends: from here on the csv module reads, which is slower.
                yield from self._quoted(
                    chain([lines.decoded([line], first + place) for place, line in enumerate(group)], lines), first, limit
                )
                return

    def _is_plain(self, text: str, group: list[bytes]) -> bool:
        quoted = '"' in text and self.format is None
        return (
            not quoted and ("\r" not in text or text.count("\r") == text.count("\r\n")) and max(map(len, group)) <= csv.field_size_limit()
        )

    def _split(self, text: str, first: int) -> tuple[Sequence[int], list[list[str]]]:
        """Rows without quotes, taken apart for a whole block at once. Blank lines are no rows."""
        rows = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
        numbers: Sequence[int] = range(first, first + len(rows))
        if "" in rows:
            numbers = [number for number, row in zip(numbers, rows, strict=True) if row]
            rows = [row for row in rows if row]
        width, delimiter = len(self.columns), self.delimiter
        for number, row in zip(numbers, rows, strict=True):
            if row.count(delimiter) != width - 1:
                self._refuse_width(number, row.count(delimiter) + 1)
        fields = delimiter.join(rows).split(delimiter) if rows else []
        if self.format and self.format.trim:
            fields = [field.strip() for field in fields]
        return numbers, [fields[position::width] for position in range(width)]

    def _quoted(self, lines: Iterator[str], first: int, limit: int) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
        records = islice(_records(self.path, lines, self.delimiter, self.format, first - 1), limit)
        while group := list(islice(records, BLOCK_ROWS)):
            numbers, rows = zip(*group, strict=True)
            for number, row in group:
                if len(row) != len(self.columns):
                    self._refuse_width(number, len(row))
            yield numbers, [list(column) for column in zip(*rows, strict=True)]

    def _refuse_width(self, line: int, width: int) -> None:
        raise BadInput(f"{self.path}, line {line}: expected {len(self.columns)} columns, {self.source}, got {width}")


def open_csv(path: Path, columns_file: Path | None, format_name: str | None) -> CsvTable:
    """The table in a CSV file: with a header, unless its columns are given. Raises BadInput where it is not readable as one."""
    known = FORMATS[format_name] if format_name else None
    given = known.columns if known else _read_columns(columns_file) if columns_file else None
    source = f"as --format {format_name} has" if known else f"as in {columns_file}" if columns_file else "as in the header"
    with open_file(path) as file:
        lines = _Lines(path, file)
        comment = 0
        if known and known.comment and lines.peek().startswith(known.comment):
            comment = lines.skip(1)
        delimiter = _delimiter(lines.peek(), known)
        first = next(_records(path, lines, delimiter, known, comment), None)
        if first is None:
            raise BadInput(f"{path}: expected {'rows' if given else 'a header and rows'}, but the file is empty")
        line, fields = first
    if given is None:
        columns, skip = _checked_names(path, line, fields), line
    elif given == tuple(name.strip() for name in fields):
        raise BadInput(f"{path}, line {line}: expected a row, got a header; leave out --format or --columns")
    else:
        columns, skip = given, comment
    header = given is None
    return CsvTable(
        path=path, columns=columns, format=known, is_text=True, names_in_file=header, delimiter=delimiter, skip=skip, source=source
    )


class _Lines:
    """The lines of a file as text, without a byte order mark. Raises BadInput for what is not text."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file: Iterator[bytes] = iter(file)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        group = self.take(1)
        if not group:
            raise StopIteration
        return self.decoded(group, self.number)

    def take(self, count: int) -> list[bytes]:
        """The next lines, at most so many."""
        group = list(islice(self._file, count))
        self.number += len(group)
        return group

    def skip(self, count: int) -> int:
        """Leave out so many lines. Returns the number of the last."""
        self.take(count)
        return self.number

    def peek(self) -> str:
        """The next line, which is read again."""
        line = next(self._file, b"")
        self._file = chain([line] if line else [], self._file)
        return self.decoded([line], self.number + 1)

    def decoded(self, group: list[bytes], first: int) -> str:
        """Lines as one text, where `first` is the number of the first."""
        joined = b"".join(group)
        if b"\0" in joined:
            number, line = next((number, line) for number, line in enumerate(group, first) if b"\0" in line)
            raise BadInput(f"{self._path}, line {number}: expected text, got a NUL byte (byte {line.index(0) + 1} of the line)")
        try:
            return joined.decode("utf-8-sig" if first == 1 else "utf-8")
        except UnicodeDecodeError as error:
            before = joined[: error.start].count(b"\n")
            raise BadInput(f"{self._path}, line {first + before}: expected UTF-8 text, got the byte 0x{joined[error.start]:02x}") from None


def _delimiter(line: str, known: Format | None) -> str:
    """What the first line has most of."""
    return max(",\t" if known else ",\t;|", key=line.count)


def _records(path: Path, lines: Iterator[str], delimiter: str, known: Format | None, before: int) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each record; blank lines are none. `before` lines come before these."""
    # Known formats quote nothing, so that a quotation mark in them is a character like others.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if known else csv.QUOTE_MINIMAL
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for fields in reader:
            if fields:
                yield before + reader.line_num, [field.strip() for field in fields] if known and known.trim else fields
    except csv.Error as error:
        raise BadInput(f"{path}, line {before + reader.line_num}: expected a CSV row: {error}") from None


def _read_columns(path: Path) -> tuple[str, ...]:
    """Column names from a file that holds a header: parted by commas, tabs or line ends."""
    with open_file(path) as file:
        lines = _Lines(path, file)
        records = _records(path, lines, _delimiter(lines.peek(), None), None, 0)
        names = [(line, name.strip()) for line, fields in records for name in fields]
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
