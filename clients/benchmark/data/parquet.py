"""Rows from Parquet, read by pyarrow, which only who has such a file needs to install."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from clients.benchmark.data.table import BLOCK_ROWS, Block, Table, Values
from clients.benchmark.errors import BadInput
from clients.serving.tensors import Array


class ParquetTable(Table):
    """A Parquet file. Lists nest into further dimensions; null is a blank."""

    def blocks(self, names: Collection[str], limit: int) -> Iterator[Block]:
        """The first `limit` rows, with the columns of these names. Raises BadInput where the file is damaged."""
        done = 0
        with _file(self.path) as file:
            for batch in file.iter_batches(BLOCK_ROWS, columns=list(names), use_threads=False):
                taken = batch.slice(0, limit - done)
                yield Block({name: _values(taken.column(name)) for name in names}, taken.num_rows, done)
                done += taken.num_rows
                if done == limit:
                    return


def open_parquet(path: Path) -> ParquetTable:
    """The table in a Parquet file. Raises BadInput where it is damaged, or pyarrow is not installed."""
    with _file(path) as file:
        return ParquetTable(path=path, columns=tuple(file.schema_arrow.names))


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise BadInput(f"{path}: reading Parquet needs the package pyarrow: pip install pyarrow") from None
    try:
        with open(path, "rb") as opened, parquet.ParquetFile(opened) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        why = " ".join(str(error).split())
        raise BadInput(f"{path}: expected a whole Parquet file, but it cannot be read: {why}; copy or write it anew") from None


def _values(column: Any) -> Values:
    """A column as an array where it holds plain numbers, and as Python's values else."""
    import pyarrow

    kind = column.type
    listed = pyarrow.types.is_fixed_size_list(kind)
    inner = column.flatten() if listed and not column.null_count else column
    if _is_number(inner.type) and not inner.null_count:
        array: Array = np.asarray(inner.to_numpy(zero_copy_only=False))
        return array.reshape(len(column), -1) if listed else array
    values: list[Any] = column.to_pylist()
    return values


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
