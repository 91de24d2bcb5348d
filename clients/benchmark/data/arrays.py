"""Rows from numpy's files: NPZ, whose arrays are columns by name, and NPY, whose array is the model's single input.

The first axis of each array counts rows. Arrays are read as streams, some rows at a time, so that a file may be larger
than memory; pickled objects are refused, because reading them runs code that the file brings.
"""

from __future__ import annotations

import ast
import math
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from clients.benchmark.data.magic import NPY
from clients.benchmark.data.table import BLOCK_ROWS, Block, Table, open_file
from clients.benchmark.errors import BadInput
from clients.serving.tensors import Array

# A block of long rows holds fewer of them.
_BLOCK_BYTES = 8 << 20
_MOST_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class _Stored:
    """One array as its header describes it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])


@dataclass(frozen=True, kw_only=True)
class ArrayTable(Table):
    """Arrays of one number of rows, by name; an NPY file's array has the name of the input that it is for."""

    stored: Mapping[str, _Stored]
    zipped: bool

    def blocks(self, names: Collection[str], limit: int) -> Iterator[Block]:
        """The first `limit` rows of the arrays of these names. Raises BadInput where the file is damaged."""
        with ExitStack() as stack, _reported(self.path):
            arrays = {name: self._open(stack, name) for name in names}
            rows = min(limit, next(iter(self.stored.values())).shape[0])
            most = max([1, *(self.stored[name].row_bytes for name in names)])
            step = max(1, min(BLOCK_ROWS, _BLOCK_BYTES // most))
            for first in range(0, rows, step):
                count = min(step, rows - first)
                yield Block({name: read(count) for name, read in arrays.items()}, count, first)

    def _open(self, stack: ExitStack, name: str) -> Any:
        stored = self.stored[name]
        file = stack.enter_context(_member(self.path, name) if self.zipped else open_file(self.path))
        _header(self.path, name, file)
        if not stored.fortran_order or len(stored.shape) == 1:
            return lambda count: _rows(self.path, name, file, stored, count)
        # Columns stand one after another in such an array: no row can be read before the last column is.
        whole = _rows(self.path, name, file, _Stored(stored.dtype, stored.shape[::-1], False), stored.shape[-1]).transpose()
        parts = iter(whole)
        return lambda count: np.array([next(parts) for _ in range(count)])


def open_arrays(path: Path, single_input: str | None) -> ArrayTable:
    """The table in an NPZ or NPY file. Raises BadInput where it is damaged, or its arrays do not make rows."""
    with _reported(path), open(path, "rb") as file:
        if file.read(len(NPY)) == NPY:
            if single_input is None:
                raise BadInput(f"{path}: expected arrays by name (NPZ), because the model has several inputs, got one array (NPY)")
            file.seek(0)
            stored = {single_input: _with_rows(path, "", _header(path, "", file))}
            return ArrayTable(path=path, columns=(single_input,), stored=stored, zipped=False)
    with _reported(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if not names:
        raise BadInput(f"{path}: expected arrays (NPZ), got a zip file without any")
    stored = {}
    for name in names:
        with _reported(path), _member(path, name) as file:
            stored[name] = _with_rows(path, name, _header(path, name, file))
    lengths = {name: array.shape[0] for name, array in stored.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise BadInput(f"{path}: expected arrays of one number of rows (their first axis), got {listed}")
    return ArrayTable(path=path, columns=tuple(stored), stored=stored, zipped=True)


@contextmanager
def _member(path: Path, name: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        yield file


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BadInput(f"{path}: expected a whole NPZ file, but it is damaged: {error}; copy or write it anew") from None
    except OSError as error:
        raise BadInput(f"{path}: expected a data file that can be read: {error.strerror or error}") from None


def _header(path: Path, name: str, file: IO[bytes]) -> _Stored:
    """Read what stands before an array's values (numpy's format, NEP 1)."""
    where = f"{path}, array {name}" if name else f"{path}"
    head = file.read(8)
    size = 2 if head[6:7] == b"\x01" else 4
    length = int.from_bytes(file.read(size), "little")
    text = file.read(min(length, _MOST_HEADER_BYTES))
    try:
        if head[:6] != NPY or head[6] not in (1, 2, 3) or len(text) < length:
            raise ValueError
        fields = ast.literal_eval(text.decode("latin-1" if head[6] < 3 else "utf-8"))
        dtype = np.lib.format.descr_to_dtype(fields["descr"])
        shape = tuple(int(size) for size in fields["shape"])
        fortran_order = bool(fields["fortran_order"])
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, MemoryError, RecursionError):
        raise BadInput(f"{where}: expected an array of numpy's, but its header is damaged; copy or write it anew") from None
    if dtype.hasobject:
        raise BadInput(
            f"{where}: expected numbers or text of fixed width, got pickled Python objects, which are not read because that runs code "
            "of the file; save text by array.astype('S') or array.astype('U')"
        )
    return _Stored(dtype, shape, fortran_order)


def _with_rows(path: Path, name: str, stored: _Stored) -> _Stored:
    if not stored.shape:
        where = f"{path}, array {name}" if name else f"{path}"
        raise BadInput(f"{where}: expected an array of rows (its first axis), got a single value")
    return stored


def _rows(path: Path, name: str, file: IO[bytes], stored: _Stored, count: int) -> Array:
    """The next rows."""
    wanted = count * stored.row_bytes
    content = file.read(wanted)
    if len(content) < wanted:
        where = f"{path}, array {name}" if name else f"{path}"
        raise BadInput(f"{where}: expected {stored.shape[0]} rows, but the file ends before; copy or write it anew")
    return np.frombuffer(content, stored.dtype).reshape(count, *stored.shape[1:])
