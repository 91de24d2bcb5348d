"""Synthetic data in Criteo's format: synthetic-train.csv and synthetic-eval.csv, the same bytes for the same rows and seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from steps import storage
from steps.fetch import disk, world
from steps.fetch.address import Generated
from steps.fetch.manifest import Entry
from steps.progress import Progress

_BLOCK_ROWS = 1 << 14  # part of what the bytes depend on: each block has a random stream of its own
_ROW_BYTES = 260
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype="S2")


@dataclass(frozen=True)
class Made:
    """The files, and the best accuracy that any model can be expected to have on the rows of the eval file."""

    files: tuple[Entry, ...]
    best_accuracy: float


def write(folder: Path, wanted: Generated) -> Made:
    """Write both files into a folder."""
    disk.need(folder, (wanted.rows + wanted.eval_rows) * _ROW_BYTES, "the generated data")
    train, _ = _write_part(folder / "synthetic-train.csv", wanted.rows, (wanted.seed, 0))
    evaluation, best_accuracy = _write_part(folder / "synthetic-eval.csv", wanted.eval_rows, (wanted.seed, 1))
    return Made((train, evaluation), round(best_accuracy, 6))


def _write_part(path: Path, rows: int, seed: tuple[int, int]) -> tuple[Entry, float]:
    progress = Progress(f"generate {path.name}", rows, "synthetic rows")
    digest, size, best = hashlib.sha256(), 0, 0.0
    with storage.naming(path), open(path, "wb") as file:
        for block, start in enumerate(range(0, rows, _BLOCK_ROWS)):
            sample = world.draw(np.random.default_rng((*seed, block)), _BLOCK_ROWS)
            count = min(_BLOCK_ROWS, rows - start)
            best += float(np.maximum(sample.probabilities, 1 - sample.probabilities)[:count].sum())
            text = _text(sample, count)
            digest.update(text)
            file.write(text)
            size += len(text)
            progress.tell(start + count)
    progress.end(rows)
    return Entry(path.name, size, digest.hexdigest()), best / rows


def _text(sample: world.Sample, count: int) -> memoryview:
    columns = [pa.array(sample.labels[:count].astype(np.int8))]
    columns += [pa.array(values[:count], mask=blank[:count]) for values, blank in zip(sample.counts, sample.blanks, strict=True)]
    columns += [_tokens(number, values[:count]) for number, values in enumerate(sample.categories)]
    sink = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    csv.write_csv(pa.table(columns, names=[str(number) for number in range(len(columns))]), sink, options)
    return memoryview(sink.getvalue())


def _tokens(column: int, values: Any) -> pa.Array:
    """Each value as eight hexadecimal digits, as the published data has them; -1 is a blank."""
    count = len(values)
    digits = _HEX[world.mixed(column, values + 1).astype("<u4").view(np.uint8)]
    offsets = np.arange(0, 8 * count + 1, 8, dtype=np.int32)
    present = np.packbits(values >= 0, bitorder="little")
    return pa.Array.from_buffers(pa.string(), count, [pa.py_buffer(present), pa.py_buffer(offsets), pa.py_buffer(digits)])
