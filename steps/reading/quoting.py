"""CSV with quotes, value by value, by Python's own reader: for headers, samples and the search for faults."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

_LONGEST = 1 << 30


def records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record, empty ones too, with the number of lines before it."""
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before = 0
    for values in reader:
        yield before, values
        before = reader.line_num
