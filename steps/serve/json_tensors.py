"""The JSON of the REST API, to and from tensors: rows ("instances", "predictions") and columns ("inputs", "outputs")."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from clients.serving import tensors
from clients.serving.tensors import Array
from steps.serve.errors import ServingError

_LONGEST_QUOTE = 256


def read_body(body: bytes) -> dict[str, Any]:
    """The object that a request body holds. Raises ServingError."""
    if not body:
        raise _invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise _invalid(f"JSON Value: {_quote(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names; empty for the default one. Raises ServingError."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _invalid(f"JSON Value: {_quote(document)} not formatted correctly. 'signature_name' key must be a string value.")
    return name


def read_inputs(document: Mapping[str, Any], types: Mapping[str, int]) -> tuple[dict[str, Array], bool]:
    """The input arrays of a request, and whether it is in row format. `types`: the data type of each input. Raises ServingError."""
    if ("instances" in document) == ("inputs" in document):
        if "inputs" not in document:
            raise _invalid("Missing 'inputs' or 'instances' key")
        raise _invalid(
            f"JSON Value: {_quote(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if "inputs" in document:
        return _columns(document["inputs"], types), False
    instances = document["instances"]
    if not isinstance(instances, list):
        raise _invalid(f"JSON Value: {_quote(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise _invalid(f"JSON Value: {_quote(document)} No values in 'instances' array")
    return _rows(instances, types), True


def write_outputs(outputs: Mapping[str, Array], by_row: bool) -> bytes:
    """The body of an answer. Raises ServingError where rows are asked for and the outputs do not have the same number of them."""
    values = {name: _json_values(name, array) for name, array in sorted(outputs.items())}
    if not by_row:
        return _dump({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    counts = set()
    for name, array in outputs.items():
        if array.ndim == 0:
            raise _invalid(f"Tensor name: {name} has no shape information ")
        counts.add(len(array))
        if len(counts) > 1:
            raise _invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {min(counts - {len(array)})}")
    if len(values) == 1:
        return _dump({"predictions": next(iter(values.values()))})
    return _dump({"predictions": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]})


def write_error(message: str) -> bytes:
    """The body of an answer that tells of an error."""
    return _dump({"error": message})


def _rows(instances: list[Any], types: Mapping[str, int]) -> dict[str, Array]:
    by_name = _is_object(instances[0])
    if not by_name and len(types) > 1:
        raise _invalid("instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map")
    only = next(iter(types))
    values: dict[str, list[Any]] = {name: [] for name in types}
    shapes: dict[str, tuple[int, ...]] = {}
    for position, instance in enumerate(instances):
        if _is_object(instance) != by_name:
            expected = "object but got list" if by_name else "value/list but got object"
            raise _invalid(f"Expecting {expected} at item {position} of input list")
        row = instance if by_name else {only: instance}
        for name, value in row.items():
            where = f"Failed to process element: {position}{f' key: {name}' if by_name else ''} of 'instances' list. Error: "
            if name not in types:
                raise _invalid(f"{where}INVALID_ARGUMENT: JSON object: does not have named input: {name}")
            try:
                shape = _shape(value)
                if shapes.setdefault(name, shape) != shape:
                    raise _invalid(f"Expecting shape {_shown(shapes[name])} but got: {_shown(shape)}")
                _fill(value, shape, 0, types[name], values[name])
            except ServingError as error:
                raise _invalid(f"{where}INVALID_ARGUMENT: {error.message}") from None
        if row.keys() != types.keys():
            raise _invalid(
                f"Failed to process element: {position} of 'instances' list. JSON object: {_quote(instance)}"
                f" keys must be equal to: {','.join(sorted(types))}"
            )
    return {name: _array(values[name], (len(instances), *shapes[name]), types[name]) for name in types}


def _columns(inputs: Any, types: Mapping[str, int]) -> dict[str, Array]:
    if not _is_object(inputs):
        if len(types) > 1:
            raise _invalid("inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map")
        inputs = {next(iter(types)): inputs}
    arrays = {}
    for name, dtype in types.items():
        if name not in inputs:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
        shape, values = _shape(inputs[name]), list[Any]()
        _fill(inputs[name], shape, 0, dtype, values)
        arrays[name] = _array(values, shape, dtype)
    return arrays


def _is_object(value: Any) -> bool:
    """Whether a value is an object of names, and not bytes written as {"b64": ...}."""
    return isinstance(value, dict) and not _is_bytes(value)


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists, as their first elements have it."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _fill(value: Any, shape: tuple[int, ...], level: int, dtype: int, values: list[Any]) -> None:
    """Append the values of nested lists, row by row. Raises ServingError where they are not of the shape or the type."""
    if not isinstance(value, list):
        if level != len(shape):
            raise _invalid(
                f"JSON Value: {_quote(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            )
        values.append(_value(value, dtype))
        return
    if level >= len(shape):
        raise _invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise _invalid(f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}")
    for item in value:
        _fill(item, shape, level + 1, dtype, values)


def _value(value: Any, dtype: int) -> Any:
    kind = tensors.KINDS[dtype].dtype.kind if dtype in tensors.KINDS else "V"
    if kind == "O":
        if _is_bytes(value):
            try:
                return base64.b64decode(value["b64"], validate=True)
            except binascii.Error:
                raise _invalid("Unable to base64 decode") from None
        if isinstance(value, dict):
            raise _invalid(f"JSON Value: {_quote(value)} not formatted correctly for base64 data")
        fits = isinstance(value, str)
    elif kind == "b":
        fits = isinstance(value, bool)
    elif kind == "f":
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    elif kind in "iu":
        limits = np.iinfo(tensors.KINDS[dtype].dtype)
        fits = isinstance(value, int) and not isinstance(value, bool) and limits.min <= value <= limits.max
    else:
        raise ServingError("UNIMPLEMENTED", f"Conversion of JSON Value: {_quote(value)} to type: {tensors.type_name(dtype)}")
    if not fits:
        name = {dict: "Object", str: "String", type(None): "Null", bool: str(value)}.get(type(value), "Number")
        raise _invalid(f"JSON Value: {_quote(value)} Type: {name} is not of expected type: {tensors.type_name(dtype)}")
    return value.encode(errors="surrogatepass") if kind == "O" else value


def _array(values: list[Any], shape: tuple[int, ...], dtype: int) -> Array:
    kind = tensors.KINDS[dtype]
    try:
        with np.errstate(over="ignore"):
            return np.array(values, kind.dtype).reshape(shape)
    except OverflowError as error:
        raise _invalid(f"JSON Value: {_quote(values)} is not of expected type: {tensors.type_name(dtype)}: {error}") from None


def _json_values(name: str, array: Array) -> Any:
    """An array as nested lists; float32 values with the fewest digits that tell them apart, as they were computed."""
    if array.dtype.kind == "O":
        as_bytes = name.endswith("_bytes")
        flat: list[Any] = [
            {"b64": base64.b64encode(item).decode()} if as_bytes else item.decode(errors="replace") for item in array.ravel().tolist()
        ]
    elif array.dtype.kind == "f" and array.dtype.itemsize < 8:
        flat = [float(text) for text in array.ravel().astype(str).tolist()]
    elif array.dtype.kind in "fiub":
        return array.tolist()
    else:
        raise _invalid(f"Failed to write JSON value for tensor type: {array.dtype}")
    nested = np.empty(len(flat), object)
    nested[:] = flat
    return nested.reshape(array.shape).tolist()


def _dump(document: Any) -> bytes:
    return json.dumps(document).encode()


def _quote(value: Any) -> str:
    return json.dumps(value)[:_LONGEST_QUOTE]


def _shown(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _invalid(message: str) -> ServingError:
    return ServingError("INVALID_ARGUMENT", message)
