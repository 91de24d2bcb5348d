"""The records of a file as typed tables: the fast way, by pyarrow. Where it stumbles, `faults` says over what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from steps import contract
from steps.models.formats import Format
from steps.reading import faults, lines

MOST_CLASSES = 1000


def batches(path: Path, format_: Format) -> Iterator[tuple[int, pa.Table]]:
    """How many bytes are read, with a table: column `label` int8 (class index), numbers float32 (null is blank), categories string.

    Raises BadInput with file, line, column, what was expected and what came.
    """
    for chunk in lines.chunks(path, format_):
        try:
            yield chunk.end, _table(chunk.data, format_)
        except (pa.ArrowInvalid, _Fault) as cause:
            raise faults.find(path, chunk, format_, str(cause)) from None


def find_classes(paths: tuple[Path, ...], format_: Format) -> list[str]:
    """The distinct texts of the label column, in the order of their class indices: numbers by value, else by alphabet."""
    found: set[str] = set()
    for path in paths:
        for chunk in lines.chunks(path, format_):
            try:
                column = _read(chunk.data, format_, [format_.label], {format_.label: pa.string()})[format_.label]
            except pa.ArrowInvalid as cause:
                raise faults.find(path, chunk, format_, str(cause)) from None
            found |= {faults.clean_label(text, format_) for text in pc.unique(column).to_pylist()} - {""}
            if len(found) > MOST_CLASSES:
                return sorted(found)
    return sorted(found, key=_class_order)


def _class_order(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


class _Fault(Exception):
    """Something is wrong in a chunk that pyarrow takes."""


def _read(data: bytes, format_: Format, names: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    blanks = ["", *format_.blanks] if "number" in format_.blanks_in else [""]
    if format_.trim:
        blanks += [f" {blank}" for blank in blanks]
    return csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(column_names=format_.file_columns, use_threads=False, block_size=len(data) + 1),
        csv.ParseOptions(
            delimiter=format_.delimiter,
            quote_char='"' if format_.quoted else False,
            double_quote=format_.quoted,
            newlines_in_values=format_.quoted,
        ),
        csv.ConvertOptions(
            column_types=types, include_columns=names, null_values=blanks, strings_can_be_null=False, quoted_strings_can_be_null=True
        ),
    )


def _table(data: bytes, format_: Format) -> pa.Table:
    if b"\0" in data:
        raise _Fault("a NUL byte")
    types = {column.name: pa.float32() if column.kind == "number" else pa.string() for column in format_.columns}
    table = _read(data, format_, [format_.label, *types], types | {format_.label: pa.string()})
    arrays = [_class_indices(table[format_.label], format_)]
    for column in format_.columns:
        values = table[column.name]
        arrays.append(_checked_numbers(values) if column.kind == "number" else _cleaned(values, format_))
    return pa.table(arrays, names=["label", *types])


def _class_indices(column: pa.ChunkedArray, format_: Format) -> pa.Array:
    encoded = column.combine_chunks().dictionary_encode()
    if format_.classes is None:
        raise contract.BadInput("classes: expected two, got none; they are found before the rows are read")
    places = {name: place for place, name in enumerate(format_.classes)}
    indices = [places.get(faults.clean_label(text, format_), -1) for text in encoded.dictionary.to_pylist()]
    if -1 in indices:
        raise _Fault("a label that is no class")
    return pa.array(np.asarray(indices, dtype=np.int8)[encoded.indices.to_numpy()])


def _checked_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same numbers. Infinite ones are refused: text such as `inf`, or beyond float32; and `nan`, unless it means a blank."""
    values: Any = column.combine_chunks().to_numpy(zero_copy_only=False)
    if np.count_nonzero(~np.isfinite(values)) != column.null_count:
        raise _Fault("a number that is not finite")
    return column


def _cleaned(column: pa.ChunkedArray, format_: Format) -> pa.ChunkedArray:
    if not format_.trim and "category" not in format_.blanks_in:
        return column
    encoded = column.combine_chunks().dictionary_encode()
    texts = [text.strip() if format_.trim else text for text in encoded.dictionary.to_pylist()]
    if "category" in format_.blanks_in:
        texts = ["" if text in format_.blanks else text for text in texts]
    return pa.chunked_array([pa.array(texts, pa.string()).take(encoded.indices)])
