"""From columns of text to the model's inputs: matched by name, converted to the type that the signature asks for."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clients.benchmark.errors import BadInput
from clients.benchmark.formats import LABEL
from clients.benchmark.model import TensorSpec
from clients.benchmark.rows import Block, Table
from clients.serving.messages import DATA_TYPES
from clients.serving.tensors import Array, type_name


@dataclass(frozen=True)
class Kind:
    """How a column of text becomes values of one type: `convert` raises ValueError or OverflowError where it cannot."""

    expected: str
    convert: Callable[[Sequence[str]], Array]


@dataclass(frozen=True)
class Column:
    """A column of the file that is sent as the input of the same name, of a type of TensorFlow's; `shape` is that of one row."""

    name: str
    position: int
    dtype: int
    shape: tuple[int, ...]


def _plain(texts: Sequence[str]) -> None:
    """Refuse what Python takes for a number beyond what a data file writes: 1_000, and digits of other scripts."""
    joined = "".join(texts)
    if "_" in joined or not joined.isascii():
        raise ValueError


def _floats(dtype: str) -> Callable[[Sequence[str]], Array]:
    def convert(texts: Sequence[str]) -> Array:
        _plain(texts)
        with np.errstate(over="ignore"):
            values = np.array([float(text) if text else math.nan for text in texts], np.float64).astype(dtype)
        if np.isinf(values).any():
            raise OverflowError
        return values

    return convert


def _integers(dtype: str) -> Callable[[Sequence[str]], Array]:
    def convert(texts: Sequence[str]) -> Array:
        _plain(texts)
        return np.array([int(text) for text in texts], dtype)

    return convert


def _booleans(texts: Sequence[str]) -> Array:
    try:
        return np.array([_TRUTH[text.strip().lower()] for text in texts], np.bool_)
    except KeyError:
        raise ValueError from None


def _strings(texts: Sequence[str]) -> Array:
    return np.array([text.encode() for text in texts], np.object_)


_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def _kinds() -> dict[int, Kind]:
    kinds = {"DT_STRING": Kind("text", _strings), "DT_BOOL": Kind("1, 0, true or false", _booleans)}
    for name, dtype in (("DT_FLOAT", "<f4"), ("DT_DOUBLE", "<f8"), ("DT_HALF", "<f2")):
        kinds[name] = Kind(f"a number within the range of {np.dtype(dtype).name}, or a blank for unknown", _floats(dtype))
    for name, dtype in (("INT8", "<i1"), ("INT16", "<i2"), ("INT32", "<i4"), ("INT64", "<i8")):
        for sign, code in (("", dtype), ("U", dtype.replace("i", "u"))):
            kinds[f"DT_{sign}{name}"] = Kind(f"a whole number within the range of {np.dtype(code).name}", _integers(code))
    return {DATA_TYPES[name]: kind for name, kind in kinds.items()}


KINDS = _kinds()


def match(table: Table, inputs: Mapping[str, TensorSpec], batch_size: int) -> tuple[list[Column], list[str]]:
    """The column for each input, and the columns that no input takes. Raises BadInput that names every mismatch at once."""
    unsent = [name for name in table.columns if name not in inputs and name != LABEL]
    missing = [name for name in inputs if name not in table.columns]
    problems = [*_missing(missing, unsent), *(problem for name, spec in inputs.items() for problem in _unfit(name, spec, batch_size))]
    if problems:
        raise BadInput(f"{table.path}: the columns are not what the model takes: {'; '.join(problems)}{_hint(table, missing, inputs)}")
    columns = [
        Column(name, table.columns.index(name), spec.dtype, (1,) if spec.shape and len(spec.shape) == 2 else ())
        for name, spec in inputs.items()
    ]
    return columns, unsent


def _missing(missing: list[str], unsent: list[str]) -> list[str]:
    if not missing:
        return []
    near = {name: difflib.get_close_matches(name.lower(), [other.lower() for other in unsent], 1) for name in missing}
    spelt = {other.lower(): other for other in unsent}
    names = [f"{name} (near: {spelt[near[name][0]]})" if near[name] else name for name in missing]
    return [f"missing: {', '.join(names)}", *([f"not taken by the model: {', '.join(unsent)}"] if unsent else [])]


def _hint(table: Table, missing: list[str], inputs: Mapping[str, TensorSpec]) -> str:
    if table.has_header and len(missing) == len(inputs):
        return "; line 1 was taken for the header: for a file without one give --format or --columns"
    return ""


def _unfit(name: str, spec: TensorSpec, batch_size: int) -> list[str]:
    """Why a column cannot be sent as this input: one value in each row is all that a CSV file has."""
    if spec.dtype not in KINDS:
        return [f"input {name} takes {type_name(spec.dtype)}, which a CSV file cannot give"]
    if spec.shape is None:
        return []
    if len(spec.shape) not in (1, 2) or (len(spec.shape) == 2 and spec.shape[1] not in (-1, 1)):
        return [f"input {name} takes the shape {list(spec.shape)}, a CSV column gives [-1] or [-1, 1]"]
    if spec.shape[0] not in (-1, batch_size):
        return [f"input {name} takes batches of {spec.shape[0]} rows only, -b/--batch_size is {batch_size}"]
    return []


def convert(path: Path, block: Block, columns: Sequence[Column], unknown: str | None) -> dict[str, Array]:
    """The values of each column of a block, by name: arrays [rows]. Raises BadInput with line and column of a bad value."""
    by_position = list(zip(*block.rows, strict=True))
    values = {}
    for column in columns:
        texts: Sequence[str] = by_position[column.position]
        if unknown is not None:
            texts = ["" if text == unknown else text for text in texts]
        values[column.name] = convert_column(path, block.lines, column.name, KINDS[column.dtype], texts)
    return values


def convert_column(path: Path, lines: Sequence[int], name: str, kind: Kind, texts: Sequence[str]) -> Array:
    """The values of one column. Raises BadInput for the first that is not of its kind."""
    try:
        return kind.convert(texts)
    except (ValueError, OverflowError):
        line, text = next((line, text) for line, text in zip(lines, texts, strict=True) if not _converts(kind, text))
        got = repr(text) if text else "a blank"
        raise BadInput(f"{path}, line {line}, column {name}: expected {kind.expected}, got {got}") from None


def _converts(kind: Kind, text: str) -> Any:
    try:
        return kind.convert([text]) is not None
    except (ValueError, OverflowError):
        return False
