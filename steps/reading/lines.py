"""A text file as chunks of whole records, each with the number of its first line. Memory is that of a chunk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from steps import contract
from steps.models.formats import Format

CHUNK_BYTES = 8 << 20
LONGEST_BYTES = 64 << 20
_BOM = b"\xef\xbb\xbf"


class Chunk(NamedTuple):
    """Whole records. `end` is where in the file they end, in bytes."""

    first_line: int
    data: bytes
    end: int


def chunks(path: Path, format_: Format) -> Iterator[Chunk]:
    """The records of a file, without a header or a first line of comment. Raises BadInput for a record that never ends."""
    line, rest, place = 1, b"", 0
    with open(path, "rb") as file:
        while block := file.read(CHUNK_BYTES):
            data = rest + block
            end = _last_end(data, format_)
            if not end and len(data) > LONGEST_BYTES:
                what = "a quote mark that is never closed" if format_.quoted else "no line end"
                raise contract.BadInput(
                    f"{path}:{line}: expected lines, got {what} in {len(data):,} bytes; is it a text file with Unix or Windows line ends?"
                )
            place += end
            if end:
                yield from _chunk(line, data[:end], place, format_)
            line += data.count(b"\n", 0, end)
            rest = data[end:]
    if rest:
        yield from _chunk(line, rest, place + len(rest), format_)


def _chunk(line: int, data: bytes, end: int, format_: Format) -> Iterator[Chunk]:
    """The chunk, if any record is left of it when what stands before the first record is taken off."""
    if line == 1:
        data = data.removeprefix(_BOM)
        if format_.header or (format_.comment and data.startswith(format_.comment.encode())):
            line, data = 2, data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    if data.strip():
        yield Chunk(line, data, end)


def _last_end(data: bytes, format_: Format) -> int:
    """Where the last whole record ends: behind the last line end that stands in no quoted value; 0 where there is none."""
    place = data.rfind(b"\n")
    if format_.quoted and b'"' in data:
        quoted = re.compile(rb'(?:^|(?<=[\r\n%b]))"[^"]*(?:""[^"]*)*(?:"|\Z)' % re.escape(format_.delimiter.encode()))
        for start, end in reversed([match.span() for match in quoted.finditer(data)]):
            if start <= place < end:
                place = data.rfind(b"\n", 0, start)
    return place + 1
