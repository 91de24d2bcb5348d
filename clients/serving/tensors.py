"""Tensors as the API carries them (TensorProto), to and from numpy arrays.

Numbers travel as the raw bytes of `tensor_content`, or value by value in the field of their type (`float_val`, ...);
strings only in `string_val`. As in TensorFlow, fewer values than elements repeat the last value, none at all means
zeros, and values beyond the last element are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clients.serving.messages import DATA_TYPES, TensorProto

Array = npt.NDArray[Any]

# A small message can ask for a large tensor, because values are repeated.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Kind:
    """How tensors of one data type are held: numpy's type, the field of single values, and their passage there and back."""

    dtype: np.dtype[Any]
    field: str
    to_field: Callable[[Array], Array]
    from_field: Callable[[Any], Array]


def _as_bits(bits: str, dtype: np.dtype[Any]) -> tuple[Callable[[Array], Array], Callable[[Any], Array]]:
    return lambda array: array.view(bits), lambda values: np.array(values, "<i4").astype(bits).view(dtype)


def _as_parts(part: str, dtype: np.dtype[Any]) -> tuple[Callable[[Array], Array], Callable[[Any], Array]]:
    def joined(values: Any) -> Array:
        return np.array(values[: len(values) // 2 * 2], part).view(dtype)

    return lambda array: array.view(part), joined


def _plain(dtype: np.dtype[Any]) -> tuple[Callable[[Array], Array], Callable[[Any], Array]]:
    return lambda array: array, lambda values: np.array(values, dtype)


def _narrowed(dtype: np.dtype[Any]) -> tuple[Callable[[Array], Array], Callable[[Any], Array]]:
    return lambda array: array, lambda values: np.array(values, "<i4").astype(dtype)


def _kinds() -> dict[int, Kind]:
    rows = [
        ("DT_FLOAT", "<f4", "float_val", _plain),
        ("DT_DOUBLE", "<f8", "double_val", _plain),
        ("DT_INT32", "<i4", "int_val", _plain),
        ("DT_UINT8", "u1", "int_val", _narrowed),
        ("DT_INT16", "<i2", "int_val", _narrowed),
        ("DT_INT8", "i1", "int_val", _narrowed),
        ("DT_UINT16", "<u2", "int_val", _narrowed),
        ("DT_INT64", "<i8", "int64_val", _plain),
        ("DT_BOOL", "?", "bool_val", _plain),
        ("DT_UINT32", "<u4", "uint32_val", _plain),
        ("DT_UINT64", "<u8", "uint64_val", _plain),
        ("DT_HALF", "<f2", "half_val", lambda dtype: _as_bits("<u2", dtype)),
        ("DT_COMPLEX64", "<c8", "scomplex_val", lambda dtype: _as_parts("<f4", dtype)),
        ("DT_COMPLEX128", "<c16", "dcomplex_val", lambda dtype: _as_parts("<f8", dtype)),
        ("DT_STRING", "O", "string_val", _plain),
    ]
    return {DATA_TYPES[name]: Kind(np.dtype(code), field, *passage(np.dtype(code))) for name, code, field, passage in rows}


KINDS = _kinds()
STRING = DATA_TYPES["DT_STRING"]
_NUMBER_OF = {kind.dtype: number for number, kind in KINDS.items()}
_NAME_OF = {number: name for name, number in DATA_TYPES.items()}


def type_name(number: int) -> str:
    """The name of a data type, as TensorFlow's messages say it: `float`, `string`, ..."""
    return _NAME_OF.get(number, f"DT_{number}").removeprefix("DT_").lower()


def to_proto(values: npt.ArrayLike) -> Any:
    """A TensorProto of an array (or what numpy makes one of): numbers as `tensor_content`, text and bytes as `string_val`.

    Raises ValueError for an array whose type the API cannot carry.
    """
    array = np.asarray(values)
    tensor = TensorProto()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if array.dtype.kind in "SUO":
        tensor.dtype = STRING
        tensor.string_val.extend(_bytes(value) for value in array.ravel().tolist())
        return tensor
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    tensor.dtype = _number_of(little.dtype)
    tensor.tensor_content = little.tobytes()
    return tensor


def to_field_proto(array: Array) -> Any:
    """A TensorProto of an array, its values in the field of their type, as TensorFlow Serving answers."""
    tensor = TensorProto()
    tensor.dtype = _number_of(array.dtype)
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    kind = KINDS[tensor.dtype]
    getattr(tensor, kind.field).extend(kind.to_field(array.ravel()).tolist())
    return tensor


def to_array(tensor: Any) -> Array:
    """The array of a TensorProto; strings as an object array of bytes.

    Raises ValueError where type, shape and values do not make a tensor.
    """
    kind = KINDS.get(tensor.dtype)
    if kind is None:
        raise ValueError(f"tensors of type {type_name(tensor.dtype)} are not supported")
    shape, count = _shape(tensor, kind)
    if tensor.tensor_content and kind.dtype.kind != "O":
        if len(tensor.tensor_content) != count * kind.dtype.itemsize:
            raise ValueError(
                f"tensor_content of {len(tensor.tensor_content)} bytes, expected {count * kind.dtype.itemsize} for shape {list(shape)}"
            )
        return np.frombuffer(tensor.tensor_content, kind.dtype).reshape(shape)
    return _filled(kind.from_field(getattr(tensor, kind.field)), count, kind).reshape(shape)


def _shape(tensor: Any, kind: Kind) -> tuple[tuple[int, ...], int]:
    shape = tuple([dim.size for dim in tensor.tensor_shape.dim])
    if tensor.tensor_shape.unknown_rank or (shape and min(shape) < 0):
        raise ValueError(f"the shape {list(shape)} is not fully defined")
    count = math.prod(shape)
    if count * kind.dtype.itemsize > _MOST_BYTES or len(shape) > 64:
        raise ValueError(f"a tensor of shape {list(shape)} is too large")
    return shape, count


def _filled(values: Array, count: int, kind: Kind) -> Array:
    if len(values) == count:
        return values
    if len(values) == 0:
        return np.full(count, b"" if kind.dtype.kind == "O" else 0, kind.dtype)
    if len(values) > count:
        return values[:count]
    filled = np.empty(count, kind.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1]
    return filled


def _number_of(dtype: np.dtype[Any]) -> int:
    if dtype not in _NUMBER_OF:
        raise ValueError(f"arrays of type {dtype} are not supported")
    return _NUMBER_OF[dtype]


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise ValueError(f"expected text or bytes, got {value!r}")
