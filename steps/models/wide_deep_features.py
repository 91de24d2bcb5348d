"""Prepared data as arrays on disk: numbers as they are, categories as hashed ids; read by memory map, so memory does not grow with rows."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from steps import contract, storage
from steps.fetch import patience
from steps.models.wide_deep_statistics import PIECES, Statistics, measure
from steps.progress import Progress

BUCKETS = 8192
_FORMAT = 1
_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Columns:
    """The names of the features, in the schema's order, by kind."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    @classmethod
    def of(cls, schema: dict[str, Any]) -> Columns:
        """The columns of a prepared folder's schema."""
        names = {kind: tuple(c["name"] for c in schema["columns"] if c["kind"] == kind) for kind in ("number", "category")}
        return cls(names["number"], names["category"])


@dataclass(frozen=True)
class Part:
    """Rows of one part: numbers [rows, F] float32 with NaN for blanks, ids [rows, C] int32, labels [rows] float32."""

    numbers: NDArray[np.float32]
    ids: NDArray[np.int32]
    labels: NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Both parts, and what is known of the training part."""

    columns: Columns
    statistics: Statistics
    train: Part
    evaluation: Part


def hash_ids(strings: Any) -> Any:
    """Rows of the embedding table [..., C] int32 for strings [..., C]: BUCKETS rows to a column. The same in training and in serving."""
    import tensorflow as tf

    columns = strings.shape[-1]
    return tf.cast(tf.strings.to_hash_bucket_fast(strings, BUCKETS), tf.int32) + tf.range(columns) * BUCKETS


def load(prepared: Path) -> Features:
    """The features of a prepared folder, made at the first call and kept in it, whole or not there."""
    schema = json.loads((prepared / "schema.json").read_text())
    columns = Columns.of(schema)
    what = [_FORMAT, BUCKETS, PIECES, schema["data_sha256"], columns.numbers, columns.categories]
    folder = prepared / f"features-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}"
    if not folder.exists():
        with patience.lock(prepared / ".features.lock", "features"):
            storage.remove_asides(prepared)
            if not folder.exists():
                try:
                    _make(prepared, folder, schema, columns)
                except OSError as error:
                    error.filename = error.filename or str(prepared)  # a full disk names no file
                    raise
    statistics = Statistics.read((folder / "statistics.json").read_text())
    return Features(columns, statistics, _read_part(folder, "train"), _read_part(folder, "eval"))


def _make(prepared: Path, folder: Path, schema: dict[str, Any], columns: Columns) -> None:
    with storage.whole_folder(folder) as aside:
        total = schema["train"]["rows"] + schema["eval"]["rows"]
        progress = Progress("features", total, "rows")
        _write_part(prepared, aside, "train", schema["train"]["rows"], columns, progress, 0)
        _write_part(prepared, aside, "eval", schema["eval"]["rows"], columns, progress, schema["train"]["rows"])
        (aside / "statistics.json").write_text(measure(_read_part(aside, "train").numbers).text())
        progress.end(total)


def _write_part(prepared: Path, folder: Path, name: str, rows: int, columns: Columns, progress: Progress, before: int) -> None:
    """One part's arrays, batch by batch."""
    with contextlib.ExitStack() as stack:
        numbers = stack.enter_context(_create(folder / f"{name}-numbers.npy", "<f4", (rows, len(columns.numbers))))
        ids = stack.enter_context(_create(folder / f"{name}-ids.npy", "<i4", (rows, len(columns.categories))))
        labels = stack.enter_context(_create(folder / f"{name}-labels.npy", "<f4", (rows,)))
        done = 0
        for batch in batches(prepared / f"{name}.parquet"):
            numbers.write(_stacked([batch[column].to_numpy(zero_copy_only=False) for column in columns.numbers], "<f4"))
            ids.write(_stacked([_hashed(batch[column]) + i * BUCKETS for i, column in enumerate(columns.categories)], "<i4"))
            labels.write(batch["label"].to_numpy().astype("<f4").tobytes())
            done += batch.num_rows
            progress.tell(before + done)
    if done != rows:
        raise contract.BadInput(f"{prepared}: expected {rows:,} rows in {name}.parquet, as schema.json says, got {done:,}; prepare it anew")


def _create(path: Path, kind: str, shape: tuple[int, ...]) -> BinaryIO:
    """A .npy file to which the rows of an array are then written, in order."""
    file = open(path, "wb")  # noqa: SIM115
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file


def _stacked(columns: list[NDArray[Any]], kind: str) -> bytes:
    return np.stack(columns, axis=1).astype(kind, copy=False).tobytes() if columns else b""


def batches(path: Path) -> Iterator[Any]:
    """The record batches of a prepared file, of any number of rows."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(_BATCH_ROWS)


def _hashed(column: Any) -> NDArray[np.int32]:
    """The ids [rows] of a column of strings, within the column's own buckets; each distinct string is hashed once."""
    import pyarrow as pa
    import tensorflow as tf

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    distinct = tf.constant(encoded.dictionary.to_pylist() or [""], tf.string)
    buckets = tf.strings.to_hash_bucket_fast(distinct, BUCKETS).numpy().astype(np.int32)
    return buckets[encoded.indices.to_numpy()]


def _read_part(folder: Path, name: str) -> Part:
    arrays = [_open(folder / f"{name}-{field}.npy") for field in ("numbers", "ids", "labels")]
    return Part(*arrays)


def _open(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:  # empty: it cannot be mapped
        return np.load(path)
