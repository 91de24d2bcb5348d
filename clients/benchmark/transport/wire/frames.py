"""HTTP/2 frames as bytes (RFC 9113, sections 4 and 6). Pure functions: what they refuse raises ProtocolError."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import NamedTuple

Bytes = bytes | bytearray | memoryview

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
LEAST_MAX_FRAME_BYTES, GREATEST_MAX_FRAME_BYTES = 16_384, 16_777_215
DEFAULT_WINDOW, GREATEST_WINDOW = 65_535, 2**31 - 1
GREATEST_STREAM = 2**31 - 1


class Kind(IntEnum):
    """The types of frames that RFC 9113 names; any other number is ignored."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    """Bits of a frame; END_STREAM is called ACK in SETTINGS and PING."""

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting(IntEnum):
    """The identifiers in a SETTINGS frame that matter to a client."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Error codes of RST_STREAM and GOAWAY."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


_CODES = {int(code): code.name for code in Code}


class ProtocolError(Exception):
    """The peer broke the protocol in a way that ends the connection; `code` is what it is told in GOAWAY."""

    def __init__(self, message: str, code: Code = Code.PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


class Frame(NamedTuple):
    """One whole frame; `payload` is a view into the bytes that it was read from."""

    kind: int
    flags: int
    stream: int
    payload: memoryview


_HEADER = struct.Struct(">HBBBI")


def header(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes in front of a payload of `length` bytes."""
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream)


def read_frame(data: memoryview, start: int, max_frame_bytes: int) -> Frame | None:
    """The frame at `start`, or None while it is not whole. Raises ProtocolError for one longer than `max_frame_bytes`."""
    if len(data) - start < HEADER_BYTES:
        return None
    high, low, kind, flags, stream = _HEADER.unpack_from(data, start)
    length = high << 8 | low
    if length > max_frame_bytes:
        message = f"a frame of type {kind} announces {length:,} bytes, more than the {max_frame_bytes:,} allowed"
        raise ProtocolError(message, Code.FRAME_SIZE_ERROR)
    begin = start + HEADER_BYTES
    if len(data) < begin + length:
        return None
    return Frame(kind, flags, stream & GREATEST_STREAM, data[begin : begin + length])


def data_frames(body: Bytes, stream: int, max_frame_bytes: int, *, end: bool) -> bytes:
    """DATA frames of at most `max_frame_bytes`; the last one ends the stream where `end` says so."""
    view = memoryview(body)
    pieces: list[Bytes] = []
    for start in range(0, len(view) or 1, max_frame_bytes):
        piece = view[start : start + max_frame_bytes]
        last = end and start + max_frame_bytes >= len(view)
        pieces += (header(len(piece), Kind.DATA, Flag.END_STREAM if last else 0, stream), piece)
    return b"".join(pieces)


def headers_frames(block: bytes, stream: int, max_frame_bytes: int) -> bytes:
    """A HEADERS frame with a header block, and the CONTINUATION frames that a long one needs. It does not end the stream."""
    pieces = [block[start : start + max_frame_bytes] for start in range(0, len(block) or 1, max_frame_bytes)]
    frames = []
    for position, piece in enumerate(pieces):
        kind = Kind.CONTINUATION if position else Kind.HEADERS
        flags = Flag.END_HEADERS if position == len(pieces) - 1 else 0
        frames += [header(len(piece), kind, flags, stream), piece]
    return b"".join(frames)


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS with these identifiers and values."""
    payload = b"".join(struct.pack(">HI", identifier, value) for identifier, value in settings)
    return header(len(payload), Kind.SETTINGS, 0, 0) + payload


SETTINGS_ACK = header(0, Kind.SETTINGS, Flag.ACK, 0)


def window_update_frame(stream: int, increment: int) -> bytes:
    """Allow `increment` bytes more on a stream, or with stream 0 on the connection."""
    return header(4, Kind.WINDOW_UPDATE, 0, stream) + increment.to_bytes(4, "big")


def ping_ack_frame(payload: Bytes) -> bytes:
    """The answer to a PING."""
    return header(8, Kind.PING, Flag.ACK, 0) + bytes(payload)


def rst_stream_frame(stream: int, code: Code) -> bytes:
    """Give up a stream."""
    return header(4, Kind.RST_STREAM, 0, stream) + code.to_bytes(4, "big")


def goaway_frame(last_stream: int, code: Code, reason: str) -> bytes:
    """Say why the connection ends."""
    payload = last_stream.to_bytes(4, "big") + code.to_bytes(4, "big") + reason.encode()
    return header(len(payload), Kind.GOAWAY, 0, 0) + payload


def content(frame: Frame) -> memoryview:
    """The payload of DATA or HEADERS without its padding and its priority fields. Raises ProtocolError where they do not fit."""
    payload = frame.payload
    if frame.flags & Flag.PADDED:
        if not payload or payload[0] >= len(payload):
            raise ProtocolError("a frame has more padding than content")
        payload = payload[1 : len(payload) - payload[0]]
    if frame.kind == Kind.HEADERS and frame.flags & Flag.PRIORITY:
        if len(payload) < 5:
            raise ProtocolError("a HEADERS frame is too short for its priority fields", Code.FRAME_SIZE_ERROR)
        payload = payload[5:]
    return payload


def read_settings(frame: Frame) -> list[tuple[int, int]]:
    """Identifiers and values of a SETTINGS frame, those within their ranges. Raises ProtocolError for others."""
    if len(frame.payload) % 6 or (frame.flags & Flag.ACK and frame.payload):
        raise ProtocolError(f"a SETTINGS frame has {len(frame.payload)} bytes", Code.FRAME_SIZE_ERROR)
    settings = list(struct.iter_unpack(">HI", frame.payload))
    for identifier, value in settings:
        if identifier == Setting.INITIAL_WINDOW_SIZE and value > GREATEST_WINDOW:
            raise ProtocolError(f"the initial window is set to {value:,} bytes", Code.FLOW_CONTROL_ERROR)
        if identifier == Setting.MAX_FRAME_SIZE and not LEAST_MAX_FRAME_BYTES <= value <= GREATEST_MAX_FRAME_BYTES:
            raise ProtocolError(f"the greatest frame size is set to {value:,} bytes")
        if identifier == Setting.ENABLE_PUSH and value:
            raise ProtocolError("a server set ENABLE_PUSH")
    return settings


def read_number(frame: Frame) -> int:
    """The one 32-bit number of RST_STREAM (an error code) or WINDOW_UPDATE (an increment). Raises ProtocolError for another length."""
    if len(frame.payload) != 4:
        raise ProtocolError(f"a {Kind(frame.kind).name} frame has {len(frame.payload)} bytes, expected 4", Code.FRAME_SIZE_ERROR)
    return int.from_bytes(frame.payload, "big")


def read_goaway(frame: Frame) -> tuple[int, int, str]:
    """The last stream that the peer has taken, its error code and its own words."""
    if len(frame.payload) < 8:
        raise ProtocolError(f"a GOAWAY frame has {len(frame.payload)} bytes, expected 8 or more", Code.FRAME_SIZE_ERROR)
    last, code = struct.unpack_from(">II", frame.payload)
    return last & GREATEST_STREAM, code, bytes(frame.payload[8:200]).decode(errors="replace")


def code_name(code: int) -> str:
    """An error code in words."""
    return _CODES.get(code, f"error code {code}")
