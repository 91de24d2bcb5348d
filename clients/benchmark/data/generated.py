"""Rows that no file holds: made up by shape and type, the same for the same seed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clients.benchmark.data.kinds import KINDS
from clients.benchmark.data.table import Block, Table
from clients.benchmark.errors import BadInput
from clients.benchmark.model import TensorSpec
from clients.serving.tensors import Array, type_name

_BLOCK_VALUES = 1 << 20
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)


@dataclass(frozen=True, kw_only=True)
class GeneratedTable(Table):
    """Columns without an end, one for each input: floats from 0 to 1, whole numbers from 0 to 9, truth values, and words of 8 letters."""

    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, int]
    seed: int

    def blocks(self, names: Collection[str], limit: int) -> Iterator[Block]:
        """The first `limit` rows."""
        random = np.random.default_rng(self.seed)
        values_per_row = sum(int(np.prod(self.shapes[name])) for name in names)
        step = max(1, min(4096, _BLOCK_VALUES // max(1, values_per_row)))
        for first in range(0, limit, step):
            count = min(step, limit - first)
            columns = {name: _made_up(random, KINDS[self.dtypes[name]].dtype, (count, *self.shapes[name])) for name in names}
            yield Block(columns, count, first)


def generate(specs: Mapping[str, TensorSpec], shapes: Mapping[str, tuple[int, ...]], batch_size: int, seed: int) -> GeneratedTable:
    """Rows for these inputs; `shapes` give, by name, what a signature leaves open. Raises BadInput that names all that is still open."""
    rows: dict[str, tuple[int, ...]] = {}
    problems = []
    for name, spec in specs.items():
        if spec.dtype not in KINDS:
            problems.append(f"input {name} takes {type_name(spec.dtype)}, which cannot be generated")
            continue
        shape = spec.shape
        # The first dimension counts the rows of a batch, where it is open or as large as one.
        row = None if shape is None else shape[1:] if shape and shape[0] in (-1, batch_size) else shape
        given = shapes.get(name)
        if given is None and (row is None or -1 in row):
            wanted = "any shape" if row is None else f"the shape {list(row)}"
            problems.append(f"input {name} takes {wanted} in each row: give --shape {name}={_example(row)}")
        elif given is not None and -1 in given:
            problems.append(f"--shape {name}: expected sizes of 0 or more, got {list(given)}")
        else:
            rows[name] = given if given is not None else row or ()
    if problems:
        raise BadInput(f"rows cannot be generated: {'; '.join(problems)}")
    dtypes = {name: spec.dtype for name, spec in specs.items()}
    return GeneratedTable(path=Path("generated rows"), columns=tuple(rows), shapes=rows, dtypes=dtypes, seed=seed)


def _example(row: tuple[int, ...] | None) -> str:
    return ",".join("8" if size == -1 else str(size) for size in row or (8,))


def _made_up(random: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if dtype.kind == "f":
        return random.random(shape, np.float32).astype(dtype)
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    if dtype.kind in "iu":
        return random.integers(0, 10, shape, np.uint8).astype(dtype)
    letters = _LETTERS[random.integers(0, len(_LETTERS), (*shape, 8))]
    return np.ascontiguousarray(letters).view("S8").reshape(shape)
