"""Predict requests and responses as bytes: read and written for many small requests at a time.

A request of one row has a tensor of some 14 bytes for each column, and reading forty of them through message objects
costs more than the model does. So the tensors of a request stay bytes, the usual forms of a single value are recognised
by their first bytes, and everything else takes the long way through TensorProto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from clients.serving import messages, tensors
from clients.serving.tensors import Array
from steps.serve.errors import ServingError
from steps.serve.signatures import Pack, Signature

_BYTES, _STRING, _MESSAGE = 12, 9, 11
_ONE, _MANY = 1, 3

# The fields of TensorProto that hold numbers of fixed width one after the other, as they lie in memory.
_LENGTH_DELIMITED = 2
_FIXED_FIELDS = {"float_val", "double_val", "bool_val", "scomplex_val", "dcomplex_val"}
_VARINT_FIELDS = {"int_val", "int64_val", "uint32_val", "uint64_val"}


def _raw_predict_request() -> Any:
    """PredictRequest as on the wire, but its model_spec and its tensors are left as bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="raw.proto", package="tiphys", syntax="proto3")
    request = file.message_type.add(name="RawPredictRequest")
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_STRING, label=_ONE)
    entry.field.add(name="value", number=2, type=_BYTES, label=_ONE)
    request.field.add(name="model_spec", number=1, type=_BYTES, label=_ONE, proto3_optional=True, oneof_index=0)
    request.field.add(name="inputs", number=2, type=_MESSAGE, type_name=".tiphys.RawPredictRequest.InputsEntry", label=_MANY)
    request.field.add(name="output_filter", number=3, type=_STRING, label=_MANY)
    request.oneof_decl.add(name="_model_spec")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tiphys.RawPredictRequest"))


RawPredictRequest = _raw_predict_request()


def parse(message: Any, raw: bytes) -> Any:
    """A message from its bytes. Raises ServingError as gRPC does for a request it cannot read."""
    try:
        return message.FromString(raw)
    except DecodeError:
        raise ServingError("INTERNAL", "Exception deserializing request!") from None


def varint(number: int) -> bytes:
    """A number of at most 64 bits as protobuf writes it; negative ones as two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field: text, bytes, a message or packed numbers."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def _header(dtype: int, shape: Sequence[int]) -> bytes:
    dims = b"".join(field(2, b"\x08" + varint(size) if size else b"") for size in shape)
    return b"\x08" + varint(dtype) + field(2, dims)


@dataclass(frozen=True)
class PackReader:
    """Reads the columns of a pack. `prefixes` are the first bytes of a single value, all of the same length."""

    pack: Pack
    kind: tensors.Kind
    prefixes: tuple[bytes, ...]
    size: int

    @classmethod
    def of(cls, pack: Pack) -> PackReader:
        """The reader of a pack."""
        kind = tensors.KINDS[pack.dtype]
        header = _header(pack.dtype, (1,))
        prefixes: tuple[bytes, ...] = ()
        if pack.inner == () and kind.dtype.kind == "O":
            prefixes = (header + b"\x42",)
        elif pack.inner == ():
            width = varint(kind.dtype.itemsize)
            prefixes = (header + b"\x22" + width,)
            if kind.field in _FIXED_FIELDS:
                number = messages.TensorProto.DESCRIPTOR.fields_by_name[kind.field].number
                prefixes += (header + varint(number << 3 | _LENGTH_DELIMITED) + width,)
        return cls(pack, kind, prefixes, len(prefixes[0]) if prefixes else 0)

    def one_row(self, inputs: Mapping[str, bytes]) -> Array | None:
        """The columns, [C, 1], where each holds a single value in a usual form; None otherwise."""
        prefixes, size = self.prefixes, self.size
        if not prefixes:
            return None
        values = []
        if self.kind.dtype.kind == "O":
            prefix = prefixes[0]
            for alias in self.pack.aliases:
                value = inputs[alias]
                # One string, shorter than 128 bytes: its length is one byte.
                if value[:size] != prefix or value[size] != len(value) - size - 1 or value[size] > 127:
                    return None
                values.append(value[size + 1 :])
            return np.array(values, object).reshape(-1, 1)
        whole = size + self.kind.dtype.itemsize
        for alias in self.pack.aliases:
            value = inputs[alias]
            if value[:size] not in prefixes or len(value) != whole:
                return None
            values.append(value[size:])
        return np.frombuffer(b"".join(values), self.kind.dtype).reshape(-1, 1)


def read_rows(readers: Sequence[PackReader], inputs: Mapping[str, bytes]) -> list[Array] | None:
    """The packs of a request of one row in the usual form; None otherwise."""
    packs = []
    for reader in readers:
        packed = reader.one_row(inputs)
        if packed is None:
            return None
        packs.append(packed)
    return packs


def read_arrays(signature: Signature, inputs: Mapping[str, bytes]) -> dict[str, Array]:
    """The input arrays of a request, defaults filled in. Raises ServingError for what is no tensor, or one of another type."""
    arrays = {}
    for position, (alias, expected) in enumerate(signature.inputs.items()):
        tensor = parse(messages.TensorProto, inputs[alias]) if alias in inputs else signature.defaults[alias]
        try:
            arrays[alias] = tensors.to_array(tensor)
        except ValueError as error:
            raise ServingError("INVALID_ARGUMENT", f"tensor parsing error: {alias}: {error}") from None
        if tensor.dtype != expected.dtype:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Expects arg[{position}] to be {tensors.type_name(expected.dtype)} but {tensors.type_name(tensor.dtype)} is provided"
                f" for input {alias}",
            )
    return arrays


def pack_arrays(packs: Sequence[Pack], arrays: Mapping[str, Array]) -> list[Array] | None:
    """Input arrays as packs; None where their shapes are not those of the signature or their rows differ in number."""
    rows = next(iter(arrays.values())).shape[:1]
    if not rows:
        return None
    packed = []
    for pack in packs:
        columns = [arrays[alias] for alias in pack.aliases]
        if any(column.shape != rows + pack.inner for column in columns):
            return None
        packed.append(np.stack(columns))
    return packed


class ResponseWriter:
    """Writes responses of one signature of one model version: outputs in the field of their type, as TensorFlow Serving does."""

    def __init__(self, name: str, version: int, signature: str) -> None:
        spec = messages.ModelSpec(name=name, signature_name=signature)
        spec.version.value = version
        self._spec = field(2, spec.SerializeToString())
        self._headers: dict[tuple[str, tuple[int, ...], int], bytes] = {}

    def write(self, outputs: Mapping[str, Array]) -> bytes:
        """The bytes of a PredictResponse. Raises ServingError for an output that the API cannot carry."""
        return b"".join([self._output(name, array) for name, array in outputs.items()]) + self._spec

    def _output(self, name: str, array: Array) -> bytes:
        kind = tensors.KINDS.get(_NUMBERS.get(array.dtype, 0))
        if kind is None:
            raise ServingError("UNIMPLEMENTED", f"output {name} is of type {array.dtype}, which is not supported")
        if kind.field in _FIXED_FIELDS:
            payload = array.tobytes()
        elif kind.field in _VARINT_FIELDS:
            payload = _varints(array.ravel().tolist())
        else:
            payload = b""
        if not payload:
            tensor = tensors.to_field_proto(array).SerializeToString()
            return field(1, field(1, name.encode()) + field(2, tensor))
        key = (name, array.shape, len(payload))
        header = self._headers.get(key)
        if header is None:
            header = self._header(name, array.shape, _NUMBERS[array.dtype], kind.field, len(payload))
            if len(self._headers) < 1000:
                self._headers[key] = header
        return header + payload

    @staticmethod
    def _header(name: str, shape: tuple[int, ...], dtype: int, values: str, length: int) -> bytes:
        """All that stands before the values of an output whose values take so many bytes."""
        number = messages.TensorProto.DESCRIPTOR.fields_by_name[values].number
        tensor = _header(dtype, shape) + varint(number << 3 | _LENGTH_DELIMITED) + varint(length)
        key = field(1, name.encode())
        before_tensor = b"\x12" + varint(len(tensor) + length)
        return b"\x0a" + varint(len(key) + len(before_tensor) + len(tensor) + length) + key + before_tensor + tensor


_NUMBERS = {kind.dtype: number for number, kind in tensors.KINDS.items()}


def _varints(values: list[int]) -> bytes:
    if values and min(values) >= 0 and max(values) < 128:
        return bytes(values)
    return b"".join([varint(value) for value in values])
