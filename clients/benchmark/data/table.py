"""A data file, opened: the names of its columns, and its rows, in blocks."""

from __future__ import annotations

import gzip
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from clients.benchmark.data.formats import Format
from clients.benchmark.errors import BadInput
from clients.serving.tensors import Array

# So many rows are read and converted at once, or fewer where rows are long.
BLOCK_ROWS = 4096

# A column of a block, one value for each row: text as the file writes it, an array [rows, ...], or Python's values (lists may nest).
Values = Sequence[str] | Array | Sequence[Any]


@dataclass(frozen=True)
class Block:
    """Some rows, one after another: the values of the columns that were asked for.

    `first` is the index of the first row in the file, from 0. `lines` are the lines where the rows end, counted from 1,
    in a file that has lines.
    """

    columns: Mapping[str, Values]
    rows: int
    first: int
    lines: Sequence[int] | None = None

    def place(self, row: int) -> str:
        """Where a person finds a row of this block: its line, or its number, counted from 1."""
        return f"row {self.first + row + 1:,}" if self.lines is None else f"line {self.lines[row]}"

    def part(self, start: int, end: int) -> Block:
        """The rows from `start` to `end`."""
        columns = {name: values[start:end] for name, values in self.columns.items()}
        return Block(columns, end - start, self.first + start, None if self.lines is None else self.lines[start:end])


@dataclass(frozen=True, kw_only=True)
class Table(ABC):
    """What every reader gives. `is_text`: values are text, to be read as the model's types ask for; else they have types of their own.

    `names_in_file`: line 1 was taken for the names of the columns. `whole` is the name by which a whole record can be
    asked for, beside the columns that are found in it (tf.Example).
    """

    path: Path
    columns: tuple[str, ...]
    format: Format | None = None
    is_text: bool = False
    names_in_file: bool = False
    whole: str | None = None

    @abstractmethod
    def blocks(self, names: Collection[str], limit: int) -> Iterator[Block]:
        """The first `limit` rows, with the columns of these names. Raises BadInput at a row that is no row of this table."""


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """A file's content, from its start; unpacked, where gzip packed it. Raises BadInput where it cannot be read to its end."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                yield file
                return
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]  # a GzipFile reads as any binary file does
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: expected a whole gzip file, but it is damaged: {error}; copy or download it anew") from None
    except OSError as error:
        raise BadInput(f"{path}: expected a data file that can be read: {error.strerror or error}") from None
