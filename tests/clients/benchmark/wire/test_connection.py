"""One connection, without sockets: what a peer may send, and what is sent to it."""

import gzip
import random
import struct

import pytest

from clients.benchmark.transport.wire import frames
from clients.benchmark.transport.wire.connection import Connection
from clients.benchmark.transport.wire.frames import Code, Flag, Kind, Setting, header
from clients.benchmark.transport.wire.runs import Wheel, message


def number_frame(kind, stream, number):
    return header(4, kind, 0, stream) + number.to_bytes(4, "big")


def test_the_opening_is_that_of_http2():
    connection = Connection([], 1)
    assert connection.outgoing.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert not connection.room
    assert not connection.ready


def test_a_call_is_headers_and_data(wire):
    connection = wire.connect()
    assert wire.call(connection, body=b"abc") == 1
    assert wire.call(connection, body=b"") == 3
    opening, body, second, empty = wire.sent(connection)
    assert (opening[0], opening[1], opening[2]) == (Kind.HEADERS, Flag.END_HEADERS, 1)
    assert body == (Kind.DATA, Flag.END_STREAM, 1, b"\0\0\0\0\3abc")
    assert len(second[3]) == 4  # every field by its index
    assert empty == (Kind.DATA, Flag.END_STREAM, 3, bytes(5))


# What comes after a call on stream 1 with tag 0, and what is told of it.
COMPRESSED = gzip.compress(b"answer")
GZIP = 1, len(COMPRESSED), COMPRESSED


def with_encoding(wire, name):
    return wire.STATUS_200 + wire.GRPC + wire.literal((b"grpc-encoding", name))


def compressed(wire, name=b"gzip", body=COMPRESSED):
    return wire.headers(1, with_encoding(wire, name)) + wire.data(1, message(body, compressed=True)) + wire.trailers(1)


def only_trailers(wire, *fields, status=b"\x88"):
    return wire.trailers(1, status + wire.GRPC + wire.literal(*fields))


def padded(wire):
    block = wire.STATUS_200 + wire.GRPC
    opening = header(len(block) + 9, Kind.HEADERS, Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY, 1) + b"\3" + bytes(5) + block + b"pad"
    return opening + wire.data(1, b"\2" + message(b"answer") + b"pd", Flag.PADDED) + wire.trailers(1)


def continued(wire):
    block = wire.STATUS_200 + wire.GRPC
    pieces = header(1, Kind.HEADERS, 0, 1) + block[:1] + header(0, Kind.CONTINUATION, 0, 1)
    pieces += header(len(block) - 1, Kind.CONTINUATION, Flag.END_HEADERS, 1) + block[1:]
    return pieces + wire.data(1, message(b"answer")) + wire.trailers(1)


def in_pieces(wire):
    return wire.headers(1) + b"".join(wire.data(1, bytes([octet])) for octet in message(b"answer")) + wire.data(1, b"") + wire.trailers(1)


STATUS = b"grpc-status"
OUTCOMES = {
    "an answer": (lambda wire: wire.answer(1, b"answer"), b"answer"),
    "an empty answer": (lambda wire: wire.answer(1, b""), b""),
    "padding and priority": (padded, b"answer"),
    "CONTINUATION": (continued, b"answer"),
    "a message in many frames": (in_pieces, b"answer"),
    "an early hint": (lambda wire: wire.headers(1, wire.literal((b":status", b"103"))) + wire.answer(1, b"answer"), b"answer"),
    "unknown frames": (lambda wire: header(3, 77, 255, 1) + b"abc" + wire.answer(1, b"answer"), b"answer"),
    "PRIORITY": (lambda wire: header(5, Kind.PRIORITY, 0, 9) + bytes(5) + wire.answer(1, b"answer"), b"answer"),
    "RST_STREAM after the answer": (lambda wire: wire.answer(1, b"answer") + number_frame(Kind.RST_STREAM, 1, 0), b"answer"),
    "gzip": (compressed, b"answer"),
    "gzip that does not hold": (lambda wire: compressed(wire, body=b"?"), "INTERNAL"),
    "gzip cut off": (lambda wire: compressed(wire, body=COMPRESSED[:-4]), "INTERNAL"),
    "gzip of too much": (lambda wire: compressed(wire, body=gzip.compress(bytes(1 << 21))), "RESOURCE_EXHAUSTED"),
    "an unknown compression": (lambda wire: compressed(wire, b"snappy"), "INTERNAL"),
    "a compression that was not named": (lambda wire: compressed(wire, b"identity"), "INTERNAL"),
    "trailers only": (lambda wire: only_trailers(wire, (STATUS, b"5"), (b"grpc-message", b"no %6dodel %zz")), "NOT_FOUND"),
    "an unknown status": (lambda wire: only_trailers(wire, (STATUS, b"77")), "UNKNOWN"),
    "a status that is no number": (lambda wire: only_trailers(wire, (STATUS, b"x")), "UNKNOWN"),
    "OK without a message": (lambda wire: only_trailers(wire, (STATUS, b"0")), "INTERNAL"),
    "no status": (
        lambda wire: wire.headers(1) + wire.data(1, message(b"answer")) + wire.trailers(1, wire.literal((b"x", b"y"))),
        "UNKNOWN",
    ),
    "an end without trailers": (lambda wire: wire.headers(1) + wire.data(1, message(b"answer"), Flag.END_STREAM), "UNKNOWN"),
    "two messages": (lambda wire: wire.headers(1) + wire.data(1, message(b"a") * 2) + wire.trailers(1), "INTERNAL"),
    "half a message": (lambda wire: wire.headers(1) + wire.data(1, message(b"answer")[:7]) + wire.trailers(1), "INTERNAL"),
    "a message that is too large": (lambda wire: wire.headers(1) + wire.data(1, b"\0\x7f\0\0\0"), "RESOURCE_EXHAUSTED"),
    "data before headers": (lambda wire: wire.data(1, b"x"), "INTERNAL"),
    "HTTP 404": (lambda wire: wire.trailers(1, b"\x8d"), "UNIMPLEMENTED"),
    "HTTP 503 with a page": (
        lambda wire: wire.headers(1, wire.literal((b":status", b"503"))) + wire.data(1, b"busy", Flag.END_STREAM),
        "UNAVAILABLE",
    ),
    "HTTP 302": (lambda wire: wire.trailers(1, wire.literal((b":status", b"302"))), "UNKNOWN"),
    "a page": (lambda wire: wire.headers(1, b"\x88" + wire.literal((b"content-type", b"text/html"))) + wire.data(1, b"hi", 1), "UNKNOWN"),
    "RST_STREAM": (lambda wire: number_frame(Kind.RST_STREAM, 1, Code.INTERNAL_ERROR), "INTERNAL"),
    "RST_STREAM by an unknown code": (lambda wire: number_frame(Kind.RST_STREAM, 1, 999), "INTERNAL"),
    "cancelled": (lambda wire: wire.headers(1) + number_frame(Kind.RST_STREAM, 1, Code.CANCEL), "CANCELLED"),
    "calm": (lambda wire: number_frame(Kind.RST_STREAM, 1, Code.ENHANCE_YOUR_CALM), "RESOURCE_EXHAUSTED"),
    "headers in the midst": (lambda wire: wire.headers(1) + wire.headers(1), "INTERNAL"),
    "a stream's window by nothing": (lambda wire: number_frame(Kind.WINDOW_UPDATE, 1, 0), "INTERNAL"),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_one_call_ends(wire, name):
    make, expected = OUTCOMES[name]
    connection = wire.connect()
    wire.call(connection)
    found = wire.feed(connection, make(wire))
    assert found == [(0, expected) if isinstance(expected, bytes) else (0, "refused", expected)]
    assert not connection.ended
    assert connection.open_calls == 0
    stream = wire.call(connection, 7)
    assert wire.feed(connection, wire.answer(stream, b"next")) == [(7, b"next")]


def test_the_server_s_words_are_kept(wire):
    connection = wire.connect()
    wire.call(connection)
    wire.feed(connection, b"")
    block = wire.STATUS_200 + wire.literal((STATUS, b"3"), (b"grpc-message", "größer %25 zero%".encode().replace("ö".encode(), b"%C3%B6")))
    space = connection.space()
    octets = wire.trailers(1, block)
    space[: len(octets)] = octets
    connection.received(len(octets))
    assert connection.events[0].refusal == ("INVALID_ARGUMENT", "größer % zero%")


ENDINGS = {
    "not HTTP/2": (b"HTTP/1.1 400 Bad Request\r\n", Code.PROTOCOL_ERROR, "is this the server's gRPC side"),
    "a frame that is too long": (header(1 << 20, 0, 0, 1), Code.FRAME_SIZE_ERROR, "announces 1,048,576 bytes"),
    "data on the connection": (header(1, Kind.DATA, 0, 0) + b"x", Code.PROTOCOL_ERROR, "DATA frame on stream 0"),
    "a stream never opened": (header(1, Kind.DATA, 0, 99) + b"x", Code.PROTOCOL_ERROR, "never opened"),
    "a stream of the server's": (header(1, Kind.HEADERS, 5, 2) + b"\x88", Code.PROTOCOL_ERROR, "never opened"),
    "PUSH_PROMISE": (header(5, Kind.PUSH_PROMISE, 4, 1) + bytes(5), Code.PROTOCOL_ERROR, "PUSH_PROMISE"),
    "more padding than content": (header(2, Kind.DATA, Flag.PADDED, 1) + b"\2x", Code.PROTOCOL_ERROR, "padding"),
    "padding without its length": (header(0, Kind.DATA, Flag.PADDED, 1), Code.PROTOCOL_ERROR, "padding"),
    "no room for the priority": (header(2, Kind.HEADERS, Flag.PRIORITY | 4, 1) + b"ab", Code.FRAME_SIZE_ERROR, "priority"),
    "CONTINUATION alone": (header(0, Kind.CONTINUATION, 4, 1), Code.PROTOCOL_ERROR, "CONTINUATION"),
    "an interrupted block": (header(0, Kind.HEADERS, 0, 1) + header(8, Kind.PING, 0, 0) + bytes(8), Code.PROTOCOL_ERROR, "interrupted"),
    "a block that cannot be decoded": (header(1, Kind.HEADERS, 5, 1) + b"\xff", Code.COMPRESSION_ERROR, "cannot be decoded"),
    "a header bomb": (
        header(40_000, Kind.HEADERS, 0, 1) + bytes(40_000) + header(40_000, 9, 4, 1) + bytes(40_000),
        11,
        "block of more than",
    ),
    "CONTINUATION without end": (header(0, Kind.HEADERS, 0, 1) + header(0, 9, 0, 1) * 20_000, Code.ENHANCE_YOUR_CALM, "no call further"),
    "a flood of SETTINGS": (header(0, Kind.SETTINGS, 0, 0) * 20_000, Code.ENHANCE_YOUR_CALM, "no call further"),
    "a flood of PING": ((header(8, Kind.PING, 0, 0) + bytes(8)) * 20_000, Code.ENHANCE_YOUR_CALM, "no call further"),
    "a flood of nothing": (header(0, Kind.DATA, 0, 1) * 20_000, Code.ENHANCE_YOUR_CALM, None),
    "a flood of unknown frames": (header(0, 200, 0, 1) * 20_000, Code.ENHANCE_YOUR_CALM, "no call further"),
    "PING of another length": (header(7, Kind.PING, 0, 0) + bytes(7), Code.FRAME_SIZE_ERROR, "PING"),
    "RST_STREAM of another length": (header(5, Kind.RST_STREAM, 0, 1) + bytes(5), Code.FRAME_SIZE_ERROR, "RST_STREAM"),
    "GOAWAY of another length": (header(5, Kind.GOAWAY, 0, 0) + bytes(5), Code.FRAME_SIZE_ERROR, "GOAWAY"),
    "SETTINGS of another length": (header(5, Kind.SETTINGS, 0, 0) + bytes(5), Code.FRAME_SIZE_ERROR, "SETTINGS"),
    "SETTINGS on a stream": (header(0, Kind.SETTINGS, 0, 1), Code.PROTOCOL_ERROR, "SETTINGS"),
    "an initial window of 2^31": (frames.settings_frame([(4, 2**31)]), Code.FLOW_CONTROL_ERROR, "initial window"),
    "frames of one byte": (frames.settings_frame([(5, 1)]), Code.PROTOCOL_ERROR, "frame size"),
    "a server that pushes": (frames.settings_frame([(2, 1)]), Code.PROTOCOL_ERROR, "ENABLE_PUSH"),
    "the connection's window by nothing": (number_frame(Kind.WINDOW_UPDATE, 0, 0), Code.PROTOCOL_ERROR, "nothing"),
    "the connection's window too large": (number_frame(Kind.WINDOW_UPDATE, 0, 2**31 - 1), Code.FLOW_CONTROL_ERROR, "too large"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_peer_that_breaks_the_protocol_is_told_and_left(wire, name):
    octets, code, words = ENDINGS[name]
    if name == "not HTTP/2":
        connection = Connection([], 1)
        connection.outgoing.clear()
    else:
        connection = wire.connect()
        wire.call(connection, 5)
        connection.outgoing.clear()
        if name == "a flood of nothing":
            wire.feed(connection, wire.headers(1))
    found = wire.feed(connection, octets)
    assert (words or "no call further") in connection.ended
    assert connection.ended.startswith("the server broke HTTP/2: ")
    assert found == ([] if name == "not HTTP/2" else [(5, "refused", "UNAVAILABLE")])
    assert not connection.room
    kind, _, _, payload = wire.sent(connection)[-1]
    assert (kind, struct.unpack(">I", payload[4:8])[0]) == (Kind.GOAWAY, code)
    assert wire.feed(connection, wire.answer(1, b"late")) == []


# Flow control


def body_bytes(wire, connection):
    return sum(len(payload) for kind, _, _, payload in wire.sent(connection) if kind == Kind.DATA)


def test_a_large_request_waits_for_both_windows(wire):
    connection = wire.connect()
    stream = wire.call(connection, body=bytes(200_000))
    assert body_bytes(wire, connection) == 65_535
    wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, stream, 50_000))
    assert body_bytes(wire, connection) == 0
    wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, 0, 100_000))
    assert body_bytes(wire, connection) == 50_000
    wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, stream, 500_000))
    assert body_bytes(wire, connection) == 50_000
    wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, 0, 100_000))
    *_, last = wire.sent(connection)
    assert last[:3] == (Kind.DATA, Flag.END_STREAM, stream)
    assert wire.feed(connection, wire.answer(stream, b"done")) == [(0, b"done")]


def test_a_window_may_become_negative(wire):
    connection = wire.connect([(Setting.INITIAL_WINDOW_SIZE, 1000)])
    stream = wire.call(connection, body=bytes(1995))
    assert body_bytes(wire, connection) == 1000
    wire.feed(connection, frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 400)]))
    wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, stream, 600))
    assert body_bytes(wire, connection) == 0
    wire.feed(connection, frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 900)]))
    assert body_bytes(wire, connection) == 500
    wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, stream, 500))
    assert body_bytes(wire, connection) == 500


def test_frames_are_as_long_as_the_peer_takes(wire):
    connection = wire.connect()
    wire.call(connection, body=bytes(40_000))
    assert [len(payload) for kind, _, _, payload in wire.sent(connection) if kind == Kind.DATA] == [16_384, 16_384, 40_005 - 32_768]
    wire.feed(connection, frames.settings_frame([(Setting.MAX_FRAME_SIZE, 20_000)]))
    wire.call(connection, body=bytes(20_000))
    assert [len(payload) for kind, _, _, payload in wire.sent(connection) if kind == Kind.DATA] == [20_000, 5]


def test_a_stream_s_window_that_overflows_fails_its_call_only(wire):
    connection = wire.connect()
    first, _ = wire.call(connection, 1, bytes(100_000)), wire.call(connection, 2)
    assert wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, first, 2**31 - 1)) == []
    assert wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, first, 1)) == [(1, "refused", "INTERNAL")]
    kinds = [(kind, payload) for kind, _, stream, payload in wire.sent(connection) if stream == first and kind == Kind.RST_STREAM]
    assert kinds == [(Kind.RST_STREAM, Code.FLOW_CONTROL_ERROR.to_bytes(4, "big"))]
    assert connection.open_calls == 1


def test_large_answers_are_granted_room(wire):
    connection = wire.connect(max_message_bytes=1 << 24)
    body = bytes(9_000_000)
    octets = wire.headers(1) + frames.data_frames(message(body), 1, 60_000, end=False) + wire.trailers(1)
    wire.call(connection)
    connection.outgoing.clear()
    assert wire.feed(connection, octets) == [(0, body)]
    grants = [
        struct.unpack(">I", payload)[0] for kind, _, stream, payload in wire.sent(connection) if kind == Kind.WINDOW_UPDATE and stream
    ]
    assert sum(grants) > 4_000_000


def test_an_answer_before_the_request_was_sent_ends_the_call(wire):
    connection = wire.connect()
    stream = wire.call(connection, body=bytes(200_000))
    connection.outgoing.clear()
    assert wire.feed(connection, wire.trailers(stream, b"\x88" + wire.literal((STATUS, b"8")))) == [(0, "refused", "RESOURCE_EXHAUSTED")]
    assert wire.sent(connection) == [(Kind.RST_STREAM, 0, stream, Code.CANCEL.to_bytes(4, "big"))]
    wire.feed(connection, number_frame(Kind.WINDOW_UPDATE, 0, 500_000))
    assert wire.sent(connection) == []


# Streams


def test_no_more_calls_than_the_peer_allows(wire):
    connection = wire.connect([(Setting.MAX_CONCURRENT_STREAMS, 2)])
    assert connection.room == 2
    streams = wire.calls(connection, 2)
    assert connection.room == 0
    wire.feed(connection, wire.answer(streams[0], b""))
    assert connection.room == 1
    wire.feed(connection, frames.settings_frame([(Setting.MAX_CONCURRENT_STREAMS, 0)]))
    assert connection.room == 0


def test_stream_ids_run_out(wire):
    connection = wire.connect()
    connection._next = connection._open._free_below = 2**31 - 5
    assert connection.room == 3
    last = wire.calls(connection, 3)[-1]
    assert last == 2**31 - 1
    assert connection.room == 0
    assert connection.leaving == "the stream ids are used up"
    assert wire.feed(connection, wire.answer(last, b"last")) == [(2, b"last")]


def test_goaway_leaves_what_was_taken_and_gives_back_the_rest(wire):
    connection = wire.connect()
    streams = wire.calls(connection, 4)
    goaway = struct.pack(">II", streams[1], 0) + b"bye"
    found = wire.feed(connection, header(len(goaway), Kind.GOAWAY, 0, 0) + goaway)
    assert found == [(2, "untouched", "UNAVAILABLE"), (3, "untouched", "UNAVAILABLE")]
    assert connection.room == 0
    assert connection.leaving == "the server sent GOAWAY, NO_ERROR: bye"
    octets = wire.answer(streams[1], b"1") + wire.answer(streams[3], b"ignored") + wire.answer(streams[0], b"0")
    assert wire.feed(connection, octets) == [(1, b"1"), (0, b"0")]


def test_a_refused_stream_was_not_touched(wire):
    connection = wire.connect()
    stream = wire.call(connection, 3)
    assert wire.feed(connection, number_frame(Kind.RST_STREAM, stream, Code.REFUSED_STREAM)) == [(3, "untouched", "UNAVAILABLE")]


def test_a_lost_connection_tells_what_was_not_sent(wire):
    connection = wire.connect()
    streams = wire.calls(connection, 3)
    connection.lose("gone", streams[1])
    assert wire.happened(connection) == [(0, "refused", "UNAVAILABLE"), (1, "untouched", "UNAVAILABLE"), (2, "untouched", "UNAVAILABLE")]
    assert connection.open_calls == 0


def test_what_comes_for_a_cancelled_call_is_dropped(wire):
    connection = wire.connect()
    first, second = wire.calls(connection, 2)
    wire.feed(connection, wire.headers(first))
    connection.outgoing.clear()
    connection.cancel(wire.int64([0, 5]))
    connection.cancel(wire.int64([0]))
    assert wire.sent(connection) == [(Kind.RST_STREAM, 0, first, Code.CANCEL.to_bytes(4, "big"))]
    assert wire.feed(connection, wire.answer(first, b"late") + wire.answer(second, b"in time")) == [(1, b"in time")]


def test_pings_and_settings_are_acknowledged_in_order(wire):
    connection = wire.connect()
    wire.feed(
        connection, header(8, Kind.PING, 0, 0) + b"12345678" + header(8, Kind.PING, Flag.ACK, 0) + bytes(8) + frames.settings_frame([])
    )
    assert wire.sent(connection) == [(Kind.PING, Flag.ACK, 0, b"12345678"), (Kind.SETTINGS, Flag.ACK, 0, b"")]


# Many at once


def wheel(connection, count=20):
    return Wheel([message(b"request %d" % number) for number in range(count)], connection.predicted_block())


def test_calls_by_the_wheel_are_the_same_bytes(wire):
    one_by_one, at_once = wire.connect(), wire.connect()
    turning = wheel(at_once)
    for connection in (one_by_one, at_once):
        wire.call(connection)
        connection.outgoing.clear()
    assert wire.connect().call_many(wire.int64([0]), turning, wire.int64([0])) is None  # the first call teaches the peer
    for positions in ([5], [18, 19, 20, 21], [3, 3 + 20, 4], [19, 0]):
        for position in positions:
            one_by_one.call(position, message(b"request %d" % (position % 20)))
        octets = at_once.call_many(wire.int64(positions), turning, wire.int64(positions))
        assert octets == one_by_one.outgoing
        one_by_one.outgoing.clear()
    assert at_once.call_many(wire.int64([0, 1]), turning, wire.int64([7, 7])) is None
    numbers = wire.int64(range(1000))
    assert (turning.positions(numbers, numbers % 20)[:600] == [*range(520), *range(80)]).all()


def test_the_wheel_stands_still_where_flow_control_does_not_allow_it(wire):
    connection = wire.connect([(Setting.INITIAL_WINDOW_SIZE, 10)])
    turning = wheel(connection)
    wire.call(connection, body=b"")
    assert connection.call_many(wire.int64([0]), turning, wire.int64([0])) is None
    wire.feed(connection, frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 100)]))
    assert connection.call_many(wire.int64([0]), turning, wire.int64([0])) is not None
    wire.feed(connection, frames.settings_frame([(Setting.HEADER_TABLE_SIZE, 0)]))
    assert connection.call_many(wire.int64([0]), turning, wire.int64([0])) is None


def test_a_call_that_stays_open_while_thousands_come_and_go(wire):
    connection = wire.connect()
    first = wire.call(connection, 77_777)
    for tag in range(3000):
        stream = wire.call(connection, tag)
        assert wire.feed(connection, wire.answer(stream, b"x")) == [(tag, b"x")]
    assert wire.feed(connection, wire.answer(first, b"at last")) == [(77_777, b"at last")]


# Cuts: the same bytes, however they are read, mean the same


def conversation(wire, count):
    """What a peer may answer to some calls: alike, with other frames between, out of order, and with a changing header table."""
    randomly = random.Random(3)
    indexed = b"\x40\x05x-one\x01" + b"1"
    pieces = []
    for stream in range(1, 2 * count, 2):
        body = b"answer %02d" % (stream % 90)
        kind = randomly.randrange(12)
        if kind == 0:
            pieces.append(header(8, Kind.PING, 0, 0) + bytes(8))
        if kind == 1:
            pieces.append(
                wire.headers(stream, wire.STATUS_200 + wire.GRPC + indexed) + wire.data(stream, message(body)) + wire.trailers(stream)
            )
        elif kind == 2:
            pieces.append(wire.trailers(stream, wire.STATUS_200 + wire.literal((STATUS, b"14"))))
        elif kind == 3:
            pieces.append(wire.answer(stream, body + b" and more"))
        elif kind == 4:
            pieces.append(number_frame(Kind.RST_STREAM, stream, Code.REFUSED_STREAM))
        else:
            pieces.append(wire.answer(stream, body))
    for position in range(0, count - 10, 10):
        pieces[position : position + 5] = reversed(pieces[position : position + 5])
    return b"".join(pieces)


def test_cuts_make_no_difference(wire):
    count = 150
    octets = conversation(wire, count)
    randomly = random.Random(4)
    cut_everywhere = range(1, len(octets))
    rows = [[], cut_everywhere, *(sorted(randomly.sample(cut_everywhere, randomly.randrange(1, 60))) for _ in range(40))]
    found = []
    for cuts in rows:
        connection = wire.connect()
        wire.calls(connection, count)
        found.append(wire.feed(connection, octets, cuts))
        assert connection.open_calls == 0
        assert not connection.ended
    assert len(found[0]) == count
    assert all(events == found[0] for events in found)


def test_answers_that_only_look_alike_are_not_taken_for_answers(wire):
    """Each of these differs in one place from what the connection has learnt to take many at a time."""
    for change in range(len(wire.answer(1, b"answer"))):
        connection = wire.connect()
        wire.calls(connection, 6)
        wire.feed(connection, wire.answer(1, b"answer") + wire.answer(3, b"answer"))
        octets = bytearray(wire.answer(5, b"answer") + wire.answer(7, b"answer"))
        octets[change] ^= 1
        plain = wire.connect()
        wire.calls(plain, 6)
        wire.feed(plain, wire.trailers(1) + wire.trailers(3))
        assert wire.feed(connection, bytes(octets)) == wire.feed(plain, bytes(octets))


def test_random_bytes_end_the_connection_or_nothing(wire):
    randomly = random.Random(5)
    for _ in range(400):
        connection = wire.connect()
        wire.calls(connection, 3)
        octets = bytearray(wire.answer(1, b"answer") * 2 + wire.answer(3, b"answer") + wire.answer(5, b"answer"))
        for _ in range(randomly.randrange(1, 5)):
            octets[randomly.randrange(len(octets))] = randomly.randrange(256)
        wire.feed(connection, bytes(octets))
        if connection.ended:
            assert connection.open_calls == 0
    for _ in range(400):
        connection = wire.connect()
        wire.calls(connection, 3)
        kinds = [
            header(len(payload), randomly.randrange(11), randomly.randrange(256), randomly.choice((0, 1, 3, 7))) + payload
            for payload in (randomly.randbytes(randomly.choice((0, 4, 5, 8, 9))) for _ in range(20))
        ]
        wire.feed(connection, b"".join(kinds))
