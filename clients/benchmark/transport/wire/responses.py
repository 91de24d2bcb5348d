"""What a response means: the answer's message, or gRPC's status (gRPC's own PROTOCOL-HTTP2 and its mapping of HTTP statuses)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from clients.benchmark.transport.wire.frames import Bytes, Code, code_name
from clients.benchmark.transport.wire.hpack import Field

# A message starts with one byte (1: compressed) and its length in four.
PREFIX_BYTES = 5

STATUSES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED"),
    *("RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
_BY_HTTP_STATUS = {
    b"400": "INTERNAL",
    b"401": "UNAUTHENTICATED",
    b"403": "PERMISSION_DENIED",
    b"404": "UNIMPLEMENTED",
    b"429": "UNAVAILABLE",
    b"502": "UNAVAILABLE",
    b"503": "UNAVAILABLE",
    b"504": "UNAVAILABLE",
}
_BY_CODE: dict[int, str] = {
    Code.REFUSED_STREAM: "UNAVAILABLE",
    Code.CANCEL: "CANCELLED",
    Code.ENHANCE_YOUR_CALM: "RESOURCE_EXHAUSTED",
    Code.INADEQUATE_SECURITY: "PERMISSION_DENIED",
}
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
# How zlib is told the form of each `grpc-encoding`.
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
COMPRESSIONS = tuple(_WINDOW_BITS)


class Refusal(NamedTuple):
    """A call that was not answered: gRPC's status by name, and why."""

    status: str
    details: str


def reset(code: int) -> Refusal:
    """What RST_STREAM with an error code means."""
    return Refusal(_BY_CODE.get(code, "INTERNAL"), f"the server reset the stream: {code_name(code)}")


def response(headers: Sequence[Field], trailers: Sequence[Field] | None, body: Bytes, max_message_bytes: int) -> bytes | Refusal:
    """The message of a response that ended, or why there is none. `trailers` is None where the headers were all of it."""
    initial, last = dict(headers), dict(headers if trailers is None else trailers)
    status = last.get(b"grpc-status")
    if status is not None:
        if status != b"0":
            return Refusal(_status(status), _unescaped(last.get(b"grpc-message", b"")))
        refused = None if initial.get(b":status") == b"200" else _not_grpc(initial)
        return refused or _message(initial, body, max_message_bytes)
    return _not_grpc(initial) or Refusal("UNKNOWN", "the response has no grpc-status")


def _status(text: bytes) -> str:
    number = int(text) if text.isdigit() and len(text) < 4 else -1
    return STATUSES[number] if 0 < number < len(STATUSES) else "UNKNOWN"


def _unescaped(text: bytes) -> str:
    """Percent-encoded UTF-8; what is wrongly encoded stays as it is."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text).decode(errors="replace")


def _not_grpc(headers: dict[bytes, bytes]) -> Refusal | None:
    """Why these headers are not those of gRPC, if they are not."""
    status, kind = headers.get(b":status", b"none"), headers.get(b"content-type", b"none")
    if status != b"200":
        return Refusal(_BY_HTTP_STATUS.get(status, "UNKNOWN"), f"HTTP status {_text(status)}, content type {_text(kind)}")
    if not kind.startswith(b"application/grpc"):
        return Refusal("UNKNOWN", f"content type {_text(kind)}, expected application/grpc: is this the server's gRPC side?")
    return None


def _text(value: bytes) -> str:
    return value[:100].decode(errors="replace")


def _message(headers: dict[bytes, bytes], body: Bytes, max_message_bytes: int) -> bytes | Refusal:
    if len(body) < PREFIX_BYTES or len(body) != PREFIX_BYTES + message_bytes(body):
        return Refusal("INTERNAL", f"the status is OK, but {len(body):,} bytes came where one whole message was expected")
    message = bytes(body[PREFIX_BYTES:])
    return _decompressed(headers.get(b"grpc-encoding", b"identity"), message, max_message_bytes) if body[0] else message


def _decompressed(encoding: bytes, message: bytes, max_message_bytes: int) -> bytes | Refusal:
    if encoding not in _WINDOW_BITS:
        known = ", ".join(name.decode() for name in COMPRESSIONS)
        return Refusal("INTERNAL", f"a message is compressed by {_text(encoding)}; only {known} can be read")
    stream = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        plain = stream.decompress(message, max_message_bytes + 1)
    except zlib.error as error:
        return Refusal("INTERNAL", f"a message cannot be decompressed: {error}")
    if len(plain) > max_message_bytes:
        return too_large(len(plain), max_message_bytes)
    if not stream.eof:
        return Refusal("INTERNAL", "a compressed message is cut off")
    return plain


def message_bytes(prefix: Bytes) -> int:
    """The length that a message's first five bytes announce."""
    return int.from_bytes(prefix[1:PREFIX_BYTES], "big")


def too_large(length: int, max_message_bytes: int) -> Refusal:
    """A message larger than is taken."""
    return Refusal("RESOURCE_EXHAUSTED", f"a message of {length:,} bytes or more came; up to {max_message_bytes:,} are taken")
