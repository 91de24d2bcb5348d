"""From arrays to encoded PredictRequests, many at once.

Of requests of one size nearly all bytes are the same: names, types, shapes, lengths. They are worked out once, as a
frame; numbers, whose bytes have a fixed place in it, are copied into place for all requests of a block at once. Text
has a length of its own in every request and follows behind: the inputs of a request are a map, which has no order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clients.serving.messages import PredictRequest
from clients.serving.tensors import KINDS, STRING, Array

# Tags of the protocol buffers' wire format (field number << 3 | type: 0 a varint, 2 bytes with their length before).
_INPUTS, _KEY, _VALUE = b"\x12", b"\x0a", b"\x12"
_DTYPE, _SHAPE, _DIM, _SIZE, _CONTENT, _STRING_VALUE = b"\x08", b"\x12", b"\x12", b"\x08", b"\x22", b"\x42"


def varint(value: int) -> bytes:
    """A number of 0 or more, 7 bits in each byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


# What stands before a text of so many bytes.
_SHORT = [_STRING_VALUE + varint(length) for length in range(256)]


@dataclass(frozen=True)
class Tensor:
    """An input as it is sent: its type, and the shape of the whole of it in each request."""

    name: str
    dtype: int
    shape: tuple[int, ...]

    @property
    def opening(self) -> bytes:
        """A TensorProto up to its values."""
        dims = b"".join(_field(_DIM, _SIZE + varint(size)) for size in self.shape)
        return _DTYPE + varint(self.dtype) + _field(_SHAPE, dims)

    def entry(self, content: bytes) -> bytes:
        """The map's entry for a TensorProto that ends with `content`."""
        return _field(_INPUTS, _field(_KEY, self.name.encode()) + _field(_VALUE, self.opening + content))


class Encoder:
    """Encodes requests of one size: `tensors` are its inputs, each with the shape of a whole request."""

    def __init__(self, model: str, signature: str, version: int | None, tensors: Sequence[Tensor]) -> None:
        request = PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        self._texts = [tensor for tensor in tensors if tensor.dtype == STRING]
        numbers = [tensor for tensor in tensors if tensor.dtype != STRING]
        frame = bytearray(request.SerializeToString())
        ends = [self._add(frame, tensor) for tensor in numbers]
        # A request as a record of numpy's: the values of each input are a field of it, what lies between them is the frame.
        self._fields = [(f"values{place}", tensor) for place, tensor in enumerate(numbers)]
        self._record = np.dtype(
            {
                "names": [field for field, _ in self._fields],
                "formats": [(KINDS[tensor.dtype].dtype, (math.prod(tensor.shape),)) for tensor in numbers],
                "offsets": [end - _size(tensor) for end, tensor in zip(ends, numbers, strict=True)],
                "itemsize": len(frame),
            }
        )
        self._frame = bytes(frame)
        self._filled = np.empty(0, self._record)

    @staticmethod
    def _add(frame: bytearray, tensor: Tensor) -> int:
        """Add an input to the frame, with zeros for its values. Returns where they end."""
        frame += tensor.entry(_field(_CONTENT, bytes(_size(tensor))))
        return len(frame)

    def encode(self, values: Mapping[str, Array], count: int) -> list[bytes]:
        """`count` requests of the values of each input, by name: arrays whose elements divide evenly among them, in order."""
        if len(self._filled) != count:
            self._filled = np.frombuffer(bytearray(self._frame * count), self._record)
        for field, tensor in self._fields:
            self._filled[field] = values[tensor.name].reshape(count, -1)
        frames: list[bytes] = self._filled.view(f"V{len(self._frame)}").tolist()
        if not self._texts:
            return frames
        entries = [_text_entries(tensor, values[tensor.name], count) for tensor in self._texts]
        return [b"".join(parts) for parts in zip(frames, *entries, strict=True)]


def _size(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * KINDS[tensor.dtype].dtype.itemsize


def _text_entries(tensor: Tensor, values: Array, count: int) -> list[bytes]:
    """The map's entry for this input in each of `count` requests."""
    flat = values.ravel().tolist()
    lengths = list(map(len, flat))
    short = max(lengths, default=0) < len(_SHORT)
    # What stands before each text and the text, in turns.
    parts = [b""] * (2 * len(flat))
    parts[::2] = [_SHORT[length] for length in lengths] if short else [_STRING_VALUE + varint(length) for length in lengths]
    parts[1::2] = flat
    step = len(parts) // count
    contents = [b"".join(parts[start : start + step]) for start in range(0, step * count, step)] if step else [b""] * count
    known = _Lengths(tensor)
    return [known.before(len(content)) + content for content in contents]


class _Lengths:
    """What stands before an input's text, by the length of the text in a request: worked out once for each length."""

    def __init__(self, tensor: Tensor) -> None:
        self._key = _field(_KEY, tensor.name.encode())
        self._opening = tensor.opening
        self._known: dict[int, bytes] = {}

    def before(self, length: int) -> bytes:
        """The bytes from the entry's tag to the first text."""
        known = self._known.get(length)
        if known is None:
            value = _VALUE + varint(len(self._opening) + length) + self._opening
            known = self._known[length] = _INPUTS + varint(len(self._key) + len(value) + length) + self._key + value
        return known
