"""Rows from JSON lines: one object in each line, whose keys are the columns. Lists nest into further dimensions; null is a blank."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from clients.benchmark.data.table import BLOCK_ROWS, Block, Table, open_file
from clients.benchmark.errors import BadInput


class JsonTable(Table):
    """A file of JSON lines; the first line's keys are its columns."""

    def blocks(self, names: Collection[str], limit: int) -> Iterator[Block]:
        """The first `limit` rows, with the columns of these names. Raises BadInput at a line that lacks one of them."""
        wanted, done = list(names), 0
        lines: list[int] = []
        values: list[list[Any]] = []
        with open_file(self.path) as file:
            for number, row in _objects(self.path, file):
                if done + len(values) == limit:
                    break
                try:
                    values.append([row[name] for name in wanted])
                except KeyError:
                    raise BadInput(f"{self.path}, line {number}: {self._missing(wanted, row)}") from None
                lines.append(number)
                if len(values) == BLOCK_ROWS:
                    yield _block(wanted, values, done, lines)
                    done += len(values)
                    lines, values = [], []
        if values:
            yield _block(wanted, values, done, lines)

    def _missing(self, wanted: list[str], row: dict[str, Any]) -> str:
        more = [name for name in row if name not in self.columns]
        missing = ", ".join(name for name in wanted if name not in row)
        return f"expected the keys of the first line, missing: {missing}{'; not in the first: ' + ', '.join(more) if more else ''}"


def open_json_lines(path: Path) -> JsonTable:
    """The table in a file of JSON lines. Raises BadInput where it holds none."""
    with open_file(path) as file:
        first = next(_objects(path, file), None)
    if first is None:
        raise BadInput(f"{path}: expected rows, one JSON object in each line, but the file is empty")
    return JsonTable(path=path, columns=tuple(first[1]))


def _block(names: list[str], values: list[list[Any]], first: int, lines: list[int]) -> Block:
    return Block(dict(zip(names, map(list, zip(*values, strict=True)), strict=True)), len(values), first, lines)


def _objects(path: Path, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of each line; blank lines are none."""
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}, line {number}: expected one JSON object, got {_shown(line)}: {_why(error)}") from None
        if not isinstance(row, dict):
            raise BadInput(f"{path}, line {number}: expected one JSON object ({{...}}), got {_shown(line)}")
        yield number, row


def _why(error: Exception) -> str:
    return f"{error.msg} (character {error.colno})" if isinstance(error, json.JSONDecodeError) else "it is not UTF-8 text or nests too deep"


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
