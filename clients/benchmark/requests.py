"""Requests, built before the clock starts: the file cut into batches, in its order, each row in one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clients.benchmark.errors import BadInput
from clients.benchmark.formats import LABEL, Format
from clients.benchmark.inputs import Column, Kind, convert, convert_column, match
from clients.benchmark.model import Model
from clients.benchmark.rows import Block, Table
from clients.benchmark.settings import Settings
from clients.serving.messages import PredictRequest
from clients.serving.tensors import STRING, Array

# Built requests are held in memory; a file that needs more than this is used up to here.
MEMORY_BYTES = 1 << 30
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class Request:
    """An encoded PredictRequest, its number of rows, and their labels: class indices [rows], None for a file without."""

    body: bytes
    rows: int
    labels: Array | None


@dataclass(frozen=True)
class Prepared:
    """The distinct requests of a run, and what a reader of its result should know of them."""

    requests: list[Request]
    notes: list[str]


def prepare(settings: Settings, model: Model, table: Table) -> Prepared:
    """Read and encode the rows that the run needs, and no more.

    The last batch of the file is as short as what is left of it; a run of more requests than the file has batches
    begins again with the first. Raises BadInput where columns, rows or values are not what the model takes.
    """
    columns, unsent = match(table, model.inputs, settings.batch_size)
    notes = [f"not sent, because the model takes no such input: {', '.join(unsent)}"] if unsent else []
    requests, size = [], 0
    for request in _requests(settings, table, columns, has_label=LABEL in table.columns and LABEL not in model.inputs):
        requests.append(request)
        size += len(request.body)
        if size > MEMORY_BYTES:
            rows = sum(request.rows for request in requests)
            notes.append(f"only the first {rows:,} rows of the file were used: more do not fit {MEMORY_BYTES >> 20} MiB")
            break
    if not requests:
        raise BadInput(f"{table.path}: expected rows after the header, got none")
    return Prepared(requests, notes)


def _requests(settings: Settings, table: Table, columns: Sequence[Column], has_label: bool) -> Iterator[Request]:
    size = settings.batch_size
    templates: dict[int, _Template] = {}
    for block in table.blocks(size * (settings.calls or sys.maxsize), size * max(1, _ROWS_AT_ONCE // size)):
        values = convert(table.path, block, columns, table.format.unknown if table.format else None)
        labels = _labels(table, block) if has_label else None
        for start in range(0, len(block.rows), size):
            part = slice(start, min(start + size, len(block.rows)))
            rows = part.stop - part.start
            if rows not in templates:
                templates[rows] = _Template(settings, columns, rows)
            yield Request(templates[rows].encode(values, part), rows, None if labels is None else labels[part])


class _Template:
    """A PredictRequest of so many rows, filled again and again: its names, types and shapes are set once."""

    def __init__(self, settings: Settings, columns: Sequence[Column], rows: int) -> None:
        self._request = PredictRequest()
        self._request.model_spec.name = settings.model
        self._request.model_spec.signature_name = settings.signature
        for column in columns:
            tensor = self._request.inputs[column.name]
            tensor.dtype = column.dtype
            for size in (rows, *column.shape):
                tensor.tensor_shape.dim.add(size=size)

    def encode(self, values: Mapping[str, Array], part: slice) -> bytes:
        """The request for some rows of the values, which are arrays [rows] by name of the input."""
        for name, tensor in self._request.inputs.items():
            chosen = values[name][part]
            if tensor.dtype == STRING:
                tensor.string_val[:] = chosen.tolist()
            else:
                tensor.tensor_content = chosen.tobytes()
        body: bytes = self._request.SerializeToString()
        return body


def _labels(table: Table, block: Block) -> Array:
    position = table.columns.index(LABEL)
    return convert_column(table.path, block.lines, LABEL, _label_kind(table.format), [row[position] for row in block.rows])


def _label_kind(known: Format | None) -> Kind:
    if known is None:
        return Kind("a class index: 0, 1, ...", _class_indices)
    index_of = {text: index for index, texts in enumerate(known.classes) for text in texts}

    def convert_classes(texts: Sequence[str]) -> Array:
        try:
            return np.array([index_of[text] for text in texts], np.int64)
        except KeyError:
            raise ValueError from None

    return Kind(f"one of {', '.join(index_of)}", convert_classes)


def _class_indices(texts: Sequence[str]) -> Array:
    if not all(text.isascii() and text.isdecimal() for text in texts):
        raise ValueError
    return np.array([int(text) for text in texts], np.int64)
