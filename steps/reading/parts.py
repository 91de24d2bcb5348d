"""One part of a prepared data set as it is written: Parquet in row groups, and for evaluation a CSV of the same rows."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from steps import storage
from steps.models.formats import Format

ROW_GROUP_ROWS = 1 << 16


class Part:
    """A writer of tables from `batches`: columns label int8, numbers float32 (blank is NaN), categories dictionary of string."""

    def __init__(self, path: Path, format_: Format, csv_path: Path | None = None) -> None:
        self.path, self.rows, self.class_counts = path, 0, [0, 0]
        self._numbers = {column.name for column in format_.columns if column.kind == "number"}
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        names = [column.name for column in format_.columns]
        schema = pa.schema([("label", pa.int8()), *((name, self._type(name)) for name in names)])
        with contextlib.ExitStack() as stack:
            self._parquet = stack.enter_context(parquet.ParquetWriter(path, schema, compression="zstd", write_statistics=False))
            self._csv = stack.enter_context(open(csv_path, "wb")) if csv_path else None
            self._open = stack.pop_all()
        if self._csv:
            self._csv.write((",".join(["label", *names]) + "\n").encode())

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with storage.naming(self.path), self._open:
            if kind is None:
                self._write(self._waiting_rows)

    def add(self, table: pa.Table) -> None:
        """Write the rows of a table, as soon as a row group is full."""
        if not table.num_rows:
            return
        ones = int(np.count_nonzero(table["label"].to_numpy()))
        self.class_counts = [self.class_counts[0] + table.num_rows - ones, self.class_counts[1] + ones]
        self.rows += table.num_rows
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        with storage.naming(self.path):
            while self._waiting_rows >= ROW_GROUP_ROWS:
                self._write(ROW_GROUP_ROWS)

    def _write(self, rows: int) -> None:
        if not rows:
            return
        waiting = pa.concat_tables(self._waiting)
        table = waiting.slice(0, rows).combine_chunks()
        self._waiting, self._waiting_rows = [waiting.slice(rows)], self._waiting_rows - rows
        if self._csv:
            self._csv.write(_csv_text(table))
        columns = [self._stored(name, table[name]) for name in table.column_names]
        self._parquet.write_table(pa.table(columns, schema=self._parquet.schema), row_group_size=rows)

    def _type(self, name: str) -> pa.DataType:
        return pa.float32() if name in self._numbers else pa.dictionary(pa.int32(), pa.string())

    def _stored(self, name: str, column: pa.ChunkedArray) -> Any:
        if name == "label":
            return column
        return pc.fill_null(column, float("nan")) if name in self._numbers else pc.dictionary_encode(column)


def _csv_text(table: pa.Table) -> memoryview:
    """The rows as CSV: blanks empty, quotes only where some value needs them."""
    for style in ("none", "needed"):
        sink = pa.BufferOutputStream()
        try:
            csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style=style))
        except pa.ArrowInvalid:
            if style == "needed":
                raise
        else:
            break
    return memoryview(sink.getvalue())
