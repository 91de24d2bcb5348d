"""The types that a model may ask for: how text, numbers and Python's values become arrays of them."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from clients.serving.messages import DATA_TYPES
from clients.serving.tensors import Array


class Unfit(Exception):
    """A value that is not of its kind: the row of the block where it stands, and what it is; `expected`, where not what the kind says."""

    def __init__(self, row: int, got: str, expected: str | None = None) -> None:
        super().__init__(row, got, expected)
        self.row = row
        self.got = got
        self.expected = expected


class Uneven(Unfit):
    """A row whose values have another shape than those of the row before."""


@dataclass(frozen=True)
class Kind:
    """One type: `from_texts` raises ValueError or OverflowError where a text is no value of it; `from_array` raises Unfit."""

    expected: str
    dtype: np.dtype[Any]
    from_texts: Callable[[Sequence[str]], Array]


def convert(kind: Kind, values: Any, is_text: bool) -> Array:
    """The values of a column as an array [rows, ...] of a kind. Raises Unfit for the first that is not of it."""
    if isinstance(values, np.ndarray) and values.dtype != np.object_:
        return from_array(kind, values)
    return _from_texts(kind, values) if is_text else _from_objects(kind, list(values))


def _from_texts(kind: Kind, texts: Sequence[str]) -> Array:
    try:
        return kind.from_texts(texts)
    except (ValueError, OverflowError):
        row = next(row for row, text in enumerate(texts) if not _is_of(kind, text))
        raise Unfit(row, repr(texts[row]) if texts[row] else "a blank") from None


def _is_of(kind: Kind, text: str) -> bool:
    try:
        kind.from_texts([text])
    except (ValueError, OverflowError):
        return False
    return True


def from_array(kind: Kind, array: Array) -> Array:
    """An array of another type as one of this kind, where no value changes but by the rounding of a float. Raises Unfit."""
    target = kind.dtype
    if target.kind == "O":
        return _strings_of(array)
    if array.dtype.kind not in "biuf":
        raise Unfit(0, f"the type {array.dtype}")
    if array.dtype == target and target.kind != "f":
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(target, copy=False)
        good = ~np.isinf(converted) if target.kind == "f" else (converted == array) & _within(array, target)
    _refuse_first(array, good)
    return converted


def _within(array: Array, target: np.dtype[Any]) -> Array | bool:
    """Where whole numbers are in the range of the target: a float compares equal to the integer that it wrapped or rounded to."""
    if target.kind == "b" or array.dtype.kind == "b":
        return True
    low, high = np.iinfo(target).min, np.iinfo(target).max
    return (array >= float(low)) & (array < float(high) + 1) if array.dtype.kind == "f" else (array >= low) & (array <= high)


def _refuse_first(array: Array, good: Array) -> None:
    if not good.all():
        index = int(np.flatnonzero(~good.ravel())[0])
        value = array.ravel()[index].item()
        raise Unfit(index // max(1, math.prod(array.shape[1:])), "not a number (NaN)" if value != value else repr(value))


def _strings_of(array: Array) -> Array:
    if array.dtype.kind not in "SU":
        raise Unfit(0, f"the type {array.dtype}")
    values = array.ravel().tolist()
    return _objects(values if array.dtype.kind == "S" else [value.encode() for value in values]).reshape(array.shape)


def _from_objects(kind: Kind, values: list[Any]) -> Array:
    """Python's values, as JSON and records hold them: None is a blank, lists of one length nest into further dimensions."""
    leaves, shape = _flattened(values)
    per_row = max(1, math.prod(shape[1:]))
    if kind.dtype.kind == "O":
        return _objects([_bytes(leaf, place // per_row) for place, leaf in enumerate(leaves)]).reshape(shape)
    allowed = _LEAVES[kind.dtype.kind]
    types = set(map(type, leaves))
    if not types <= allowed:
        place = next(place for place, leaf in enumerate(leaves) if type(leaf) not in allowed)
        raise Unfit(place // per_row, "a blank (null)" if leaves[place] is None else repr(leaves[place]))
    if type(None) in types:
        leaves = [math.nan if leaf is None else leaf for leaf in leaves]
    try:
        array = np.array(leaves, np.float64 if kind.dtype.kind == "f" else None)
    except OverflowError:
        array = np.array(leaves, np.object_)
    if array.dtype == np.object_ or (array.dtype == np.float64 and kind.dtype.kind in "iu"):
        array = _exactly(leaves, per_row, kind)
    return from_array(kind, array.reshape(shape))


def _exactly(leaves: list[Any], per_row: int, kind: Kind) -> Array:
    """Whole numbers of any size, and floats among them: each is compared as Python does, which rounds nothing."""
    low, high = (-math.inf, math.inf) if kind.dtype.kind == "f" else (np.iinfo(kind.dtype).min, np.iinfo(kind.dtype).max)
    for place, leaf in enumerate(leaves):
        if not low <= leaf <= high or (kind.dtype.kind in "iu" and leaf != int(leaf)):
            raise Unfit(place // per_row, repr(leaf))
    return np.array([int(leaf) for leaf in leaves], kind.dtype)


def _flattened(values: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """The innermost values, and the shape of the whole. Raises Uneven for a row that has another shape than the first."""
    shape = [len(values)]
    while values and any(isinstance(value, list) for value in values):
        length = len(values[0]) if isinstance(values[0], list) else None
        for place, value in enumerate(values):
            if (len(value) if isinstance(value, list) else None) != length:
                got = f"{len(value)} values" if isinstance(value, list) else "a single value"
                expected = f"{'a single value' if length is None else f'{length} values'}, as in the row before (pad them, or send -b 1)"
                raise Uneven(place // max(1, math.prod(shape[1:])), got, expected)
        assert length is not None
        values = list(chain.from_iterable(values))
        shape.append(length)
    return values, tuple(shape)


def _bytes(value: Any, row: int) -> bytes:
    """Text and bytes as they are; {"b64": ...} as in TensorFlow Serving's REST API, because JSON has no bytes."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None:
        return b""
    if isinstance(value, dict) and list(value) == ["b64"]:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Unfit(row, repr(value), "text, or base64 in b64") from None
    raise Unfit(row, repr(value))


def _objects(values: Sequence[bytes]) -> Array:
    return np.fromiter(values, np.object_, len(values))


_LEAVES: dict[str, set[type]] = {
    "f": {int, float, type(None)},
    "i": {int, float},
    "u": {int, float},
    "b": {bool, int},
}
_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def _plain(texts: Sequence[str]) -> None:
    """Refuse what Python takes for a number beyond what a data file writes: 1_000, and digits of other scripts."""
    joined = "".join(texts)
    if "_" in joined or not joined.isascii():
        raise ValueError


def _floats(dtype: np.dtype[Any]) -> Callable[[Sequence[str]], Array]:
    def from_texts(texts: Sequence[str]) -> Array:
        _plain(texts)
        with np.errstate(over="ignore"):
            try:
                values = np.array(list(map(float, texts)), np.float64).astype(dtype)
            except ValueError:
                values = np.array([float(text) if text else math.nan for text in texts], np.float64).astype(dtype)
        if np.isinf(values).any():
            raise OverflowError
        return values

    return from_texts


def _integers(dtype: np.dtype[Any]) -> Callable[[Sequence[str]], Array]:
    def from_texts(texts: Sequence[str]) -> Array:
        _plain(texts)
        return np.array(list(map(int, texts)), dtype)

    return from_texts


def _booleans(texts: Sequence[str]) -> Array:
    try:
        return np.array([_TRUTH[text.strip().lower()] for text in texts], np.bool_)
    except KeyError:
        raise ValueError from None


def _strings(texts: Sequence[str]) -> Array:
    # One encoding of the whole is faster than one for each; a text file holds no NUL.
    return _objects("\0".join(texts).encode().split(b"\0"))


def _kinds() -> dict[int, Kind]:
    kinds = {
        "DT_STRING": Kind("text", np.dtype("O"), _strings),
        "DT_BOOL": Kind("1, 0, true or false (the model takes no blank here)", np.dtype("?"), _booleans),
    }
    for name, code in (("DT_FLOAT", "<f4"), ("DT_DOUBLE", "<f8"), ("DT_HALF", "<f2")):
        dtype = np.dtype(code)
        kinds[name] = Kind(f"a number within the range of {dtype.name}, or a blank for unknown", dtype, _floats(dtype))
    for name, code in (("INT8", "<i1"), ("INT16", "<i2"), ("INT32", "<i4"), ("INT64", "<i8")):
        for sign in ("", "U"):
            dtype = np.dtype(code.replace("i", "u") if sign else code)
            expected = f"a whole number within the range of {dtype.name} (the model takes no blank here)"
            kinds[f"DT_{sign}{name}"] = Kind(expected, dtype, _integers(dtype))
    return {DATA_TYPES[name]: kind for name, kind in kinds.items()}


KINDS = _kinds()
