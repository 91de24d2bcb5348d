"""Recorded answers: written by one run, or by whoever trained the model, and compared with the answers of another run."""

from __future__ import annotations

import difflib
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clients.benchmark.errors import BadInput
from clients.benchmark.judging.outputs import by_row
from clients.benchmark.judging.tolerance import Tolerance
from clients.benchmark.model import TensorSpec
from clients.benchmark.report.files import write
from clients.serving.tensors import Array, to_array

# The name of the array that says which row of the data each recorded answer is for; without it they begin with the first.
ROWS = "__rows__"


@dataclass(frozen=True)
class Worst:
    """The largest difference: the row of the data (from 0), the output, the place of the value in the row, and both values."""

    row: int
    output: str
    place: tuple[int, ...]
    recorded: Any
    got: Any

    def __str__(self) -> str:
        place = "".join(f"[{index}]" for index in self.place)
        return f"row {self.row + 1:,}, {self.output}{place}: recorded {self.recorded!r}, got {self.got!r}"


@dataclass(frozen=True)
class Skew:
    """How far answers are from recorded ones: rows that were compared, rows with a difference beyond the tolerance, the worst of them."""

    rows: int
    mismatched: int
    worst: Worst | None
    outputs: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        """Whether rows were compared, and no difference was found."""
        return self.rows > 0 and not self.mismatched


class Comparison:
    """Answers beside recorded ones, output by output, each row counted once."""

    def __init__(self, recorded: Mapping[str, Array], tolerance: Tolerance) -> None:
        self._recorded = {name: array for name, array in recorded.items() if name != ROWS}
        count = len(next(iter(self._recorded.values())))
        rows = recorded.get(ROWS, np.arange(count))
        # Where a row of the data stands among the recorded ones; -1: it does not.
        self._place_of = np.full(int(rows.max(initial=-1)) + 1, -1, np.int64)
        self._place_of[rows] = np.arange(count)
        self._tolerance = tolerance
        self._compared = np.zeros(len(self._place_of), np.bool_)
        self._mismatched = np.zeros(len(self._place_of), np.bool_)
        self._worst: tuple[float, Worst] | None = None

    def add(self, first_row: int, rows: int, response: Any) -> None:
        """Compare an answer to so many rows of the data, from `first_row` on; those without a record are left out."""
        numbers = np.arange(first_row, min(first_row + rows, len(self._place_of)))
        numbers = numbers[self._place_of[numbers] >= 0]
        if not len(numbers):
            return
        self._compared[numbers] = True
        for name, array in self._recorded.items():
            recorded = array[self._place_of[numbers]]
            try:
                got = by_row(to_array(response.outputs[name]), rows)[numbers - first_row]
            except ValueError:
                got = np.empty(0)
            self._compare(numbers, name, recorded, got)

    def _compare(self, numbers: Array, name: str, recorded: Array, got: Array) -> None:
        if got.size == recorded.size and got.shape != recorded.shape:
            got = got.reshape(recorded.shape)
        if got.shape != recorded.shape:
            excess = np.full(len(numbers), np.inf)
            self._note(numbers, name, excess, f"values of the shape {list(recorded.shape[1:])}", f"the shape {list(got.shape[1:])}")
            return
        excess = _excess(recorded, got, self._tolerance)
        self._note(numbers, name, excess, recorded, got)

    def _note(self, numbers: Array, name: str, excess: Array, recorded: Any, got: Any) -> None:
        by_row_excess = excess.reshape(len(numbers), -1).max(axis=1, initial=0.0)
        self._mismatched[numbers[by_row_excess > 1]] = True
        most = float(by_row_excess.max())
        if most > 1 and (self._worst is None or most > self._worst[0]):
            place = np.unravel_index(int(excess.argmax()), excess.shape)
            values = [value[place] if isinstance(value, np.ndarray) else value for value in (recorded, got)]
            plain = [value.item() if isinstance(value, np.generic) else value for value in values]
            self._worst = (most, Worst(int(numbers[place[0]]), name, tuple(int(index) for index in place[1:]), *plain))

    def skew(self) -> Skew:
        """What was found."""
        worst = self._worst[1] if self._worst else None
        return Skew(int(self._compared.sum()), int(self._mismatched.sum()), worst, tuple(self._recorded))


def _excess(recorded: Array, got: Array, tolerance: Tolerance) -> Array:
    """How many times the tolerance each value is off: above 1 is a difference."""
    if recorded.dtype.kind in "SUO" or got.dtype.kind in "SUO":
        return np.where(_text(recorded) == _text(got), 0.0, np.inf)
    if recorded.dtype.kind != "f" and got.dtype.kind != "f":
        return np.where(recorded == got, 0.0, np.inf)
    wanted, had = recorded.astype(np.float64), got.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        off = np.abs(had - wanted) / (tolerance.absolute + tolerance.relative * np.abs(wanted))
    same = (had == wanted) | (np.isnan(had) & np.isnan(wanted))
    return np.where(same, 0.0, np.where(np.isnan(off), np.inf, off))


def _text(array: Array) -> Array:
    """Text as bytes; numpy's own text ends before trailing NULs."""
    values = [value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()]
    out = np.empty(array.shape, np.object_)
    out.ravel()[:] = [value.rstrip(b"\0") if isinstance(value, bytes) else value for value in values]
    return out


def load(path: Path, outputs: Mapping[str, TensorSpec], rows: int, tolerance: Tolerance) -> Comparison:
    """Recorded answers from an NPZ file: for each output an array [rows, ...] in the data's order, some outputs or all.

    Raises BadInput for outputs that the model lacks, and for fewer than `rows` rows, unless the file says which they are.
    """
    with _reported(path), open(path, "rb") as opened:
        if not opened.read(6).startswith((b"PK", b"\x93NUMPY")):
            raise BadInput(f"--expect: expected an NPZ file, as --save-answers and np.savez write it, got something else: {path}")
        opened.seek(0)
        file = np.load(opened, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise BadInput(f"--expect: expected arrays by the names of outputs (NPZ), got one array: {path}")
        recorded = {name: file[name] for name in file.files}
    names = [name for name in recorded if name != ROWS]
    unknown = [name for name in names if name not in outputs]
    if unknown or not names:
        near = difflib.get_close_matches(unknown[0], outputs, 1) if unknown else []
        got = f"{', '.join(unknown) or 'none'}{f' (near: {near[0]})' if near else ''}"
        raise BadInput(f"--expect: expected arrays by the names of the model's outputs ({', '.join(outputs)}), got {got}: {path}")
    lengths = {name: len(array) if array.ndim else 0 for name, array in recorded.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise BadInput(f"--expect: expected arrays of one number of rows, got {listed}: {path}")
    if ROWS not in recorded and lengths[names[0]] < rows:
        raise BadInput(f"--expect: expected {rows:,} rows, one for each row that is sent, got {lengths[names[0]]:,}: {path}")
    return Comparison(recorded, tolerance)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BadInput(f"--expect: expected a whole NPZ file without pickled objects, got {path}: {error}") from None
    except OSError as error:
        raise BadInput(f"--expect: expected a file that can be read, got {path}: {error.strerror or error}") from None


def save(path: Path, answers: Iterable[tuple[int, int, Any]], rows: int) -> None:
    """Write answers (index of the first row, number of rows, response) to `rows` rows as `load` reads them.

    Raises BadInput where they do not make arrays, or cannot be written.
    """
    try:
        arrays = _stacked(answers, rows)
    except ValueError as error:
        raise BadInput(f"--save-answers: the answers do not make arrays: {error}") from None
    write("--save-answers", path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def _stacked(answers: Iterable[tuple[int, int, Any]], rows: int) -> dict[str, Array]:
    """The outputs by name, [rows, ...]; beside them the rows' numbers, where some have no answer."""
    numbers: list[Array] = []
    parts: dict[str, list[Array]] = {}
    for first, count, response in answers:
        numbers.append(np.arange(first, first + count))
        for name in sorted(response.outputs):
            parts.setdefault(name, []).append(_storable(by_row(to_array(response.outputs[name]), count)))
    arrays = {name: np.concatenate(chunks) for name, chunks in parts.items()}
    answered = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
    return arrays if len(answered) == rows else {**arrays, ROWS: answered}


def _storable(array: Array) -> Array:
    return array.astype(np.bytes_) if array.dtype == np.object_ else array
