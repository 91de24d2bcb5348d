"""A connection as the tests see it: bytes of a peer in, what happened out."""

from types import SimpleNamespace

import numpy as np
import pytest

from clients.benchmark.transport.wire import frames
from clients.benchmark.transport.wire.connection import Answer, Answers, Connection, Refused
from clients.benchmark.transport.wire.frames import Flag, Kind
from clients.benchmark.transport.wire.runs import message

FIELDS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/M"), (b"te", b"trailers")]
STATUS_200 = b"\x88"


def literal(*fields):
    """A header block that leaves the dynamic table alone."""
    pieces = []
    for name, value in fields:
        pieces += [b"\x00", bytes([len(name)]), name, bytes([len(value)]), value]
    return b"".join(pieces)


GRPC = literal((b"content-type", b"application/grpc"))
OK = literal((b"grpc-status", b"0"))


def headers(stream, block=STATUS_200 + GRPC, flags=Flag.END_HEADERS):
    return frames.header(len(block), Kind.HEADERS, flags, stream) + block


def data(stream, payload, flags=0):
    return frames.header(len(payload), Kind.DATA, flags, stream) + payload


def trailers(stream, block=OK):
    return headers(stream, block, Flag.END_HEADERS | Flag.END_STREAM)


def answer(stream, body):
    """A response as most servers send it."""
    return headers(stream) + data(stream, message(body)) + trailers(stream)


def connect(settings=(), max_message_bytes=1 << 20):
    """A connection that the peer has accepted; its opening was sent."""
    connection = Connection(FIELDS, max_message_bytes)
    feed(connection, frames.settings_frame(settings))
    assert connection.ready
    connection.outgoing.clear()
    return connection


def feed(connection, octets, cuts=()):
    """Hand over bytes, cut at some places, and give what happened: (tag, message), or (tag, kind, status)."""
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        piece = octets[start:end]
        while piece:
            space = connection.space()
            count = min(len(space), len(piece))
            space[:count] = piece[:count]
            connection.received(count)
            found += happened(connection)
            piece = piece[count:]
            if connection.ended:
                break
    return found


def happened(connection):
    """Take the events."""
    found = []
    for event in connection.events:
        match event:
            case Answers(tags, bodies):
                found += zip(tags.tolist(), (row.tobytes() for row in bodies), strict=True)
            case Answer(tag, body):
                found.append((tag, body))
            case Refused(tag, refusal):
                found.append((tag, "refused", refusal.status))
            case _:
                found.append((event.tag, "untouched", event.refusal.status))
    connection.events.clear()
    return found


def sent(connection):
    """Take the frames that are to be sent: (kind, flags, stream, payload)."""
    octets, found, start = memoryview(bytes(connection.outgoing)), [], 0
    connection.outgoing.clear()
    while start < len(octets):
        frame = frames.read_frame(octets, start, 1 << 24)
        found.append((Kind(frame.kind), int(frame.flags), frame.stream, bytes(frame.payload)))
        start += frames.HEADER_BYTES + len(frame.payload)
    return found


def call(connection, tag=0, body=b"request"):
    """Make a call; its stream."""
    return connection.call(tag, message(body))


def calls(connection, count, body=b"request"):
    return [call(connection, tag, body) for tag in range(count)]


@pytest.fixture
def wire():
    names = [literal, headers, data, trailers, answer, connect, feed, happened, sent, call, calls]
    return SimpleNamespace(
        GRPC=GRPC, OK=OK, STATUS_200=STATUS_200, int64=lambda values: np.array(values, np.int64), **{f.__name__: f for f in names}
    )
