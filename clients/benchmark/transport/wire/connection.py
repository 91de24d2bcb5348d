"""One HTTP/2 connection of a gRPC client without sockets or clocks: bytes in, events out, and bytes to be sent.

A peer can make it wait (deadlines are the caller's), but not keep more than some buffers full, and not make it work without end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from clients.benchmark.transport.wire import frames, responses
from clients.benchmark.transport.wire.frames import Code, Flag, Frame, Kind, ProtocolError, Setting
from clients.benchmark.transport.wire.hpack import Decoder, Field
from clients.benchmark.transport.wire.responses import PREFIX_BYTES, Refusal
from clients.benchmark.transport.wire.runs import Layout, Octets, Template, Wheel
from clients.benchmark.transport.wire.sending import Sender
from clients.benchmark.transport.wire.streams import Integers, OpenStreams

_BUFFER_BYTES = 512 * 1024
_MAX_FRAME_BYTES = 64 * 1024
# What the peer may send on a stream, and on the connection, before it is allowed more.
_STREAM_WINDOW, _CONNECTION_WINDOW = 4 * 1024 * 1024, 2**30
_MAX_BLOCK_BYTES = 64 * 1024
# So many frames may come without bringing any call further, and some for each open stream.
_MOST_IDLE_FRAMES, _IDLE_FRAMES_PER_STREAM = 10_000, 4
# A DATA frame with fewer bytes brings no call further.
_LEAST_DATA_BYTES = 128


class Answers(NamedTuple):
    """Calls that were answered: their tags, int64 [k], and messages, uint8 [k, bytes] (good until `space` is called)."""

    tags: Integers
    bodies: Octets


class Answer(NamedTuple):
    """One call that was answered."""

    tag: int
    body: bytes


class Refused(NamedTuple):
    """A call that failed."""

    tag: int
    refusal: Refusal


class Untouched(NamedTuple):
    """A call that the peer has not looked at: it can be made anew elsewhere."""

    tag: int
    refusal: Refusal


Event = Answers | Answer | Refused | Untouched


@dataclass
class _Exchange:
    """What has come of a response."""

    headers: list[Field] | None = None
    headers_block: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    data_frames: int = 0
    receive_window: int = _STREAM_WINDOW
    plain: bool = True


@dataclass
class _Block:
    """A header block whose CONTINUATION frames are still to come."""

    stream: int
    flags: int
    octets: bytearray


class Connection:
    """`fields` are the header fields of every request; a message of more than `max_message_bytes` is refused.

    After `space` was filled and `received` called, and after each call below that says so, `events` holds what happened
    and `outgoing` what must be sent. Once `ended` is not empty the connection has ended for that reason, and holds no call.
    """

    def __init__(self, fields: Sequence[Field], max_message_bytes: int) -> None:
        self.events: list[Event] = []
        self.ended = ""
        # Why no further call may be made here, although those under way go on.
        self.leaving = ""
        # The peer's SETTINGS have come.
        self.ready = False
        # A call was answered here.
        self.useful = False
        settings = {
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
            Setting.MAX_FRAME_SIZE: _MAX_FRAME_BYTES,
            Setting.MAX_HEADER_LIST_SIZE: _MAX_BLOCK_BYTES,
        }
        opening = frames.window_update_frame(0, _CONNECTION_WINDOW - frames.DEFAULT_WINDOW)
        self.outgoing = bytearray(frames.PREFACE + frames.settings_frame(settings.items()) + opening)
        self._max_message_bytes = max_message_bytes
        self._sender = Sender(fields, self.outgoing)
        self._decoder = Decoder(_MAX_BLOCK_BYTES)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._octets: Octets = np.frombuffer(self._buffer, np.uint8)
        self._start = self._filled = 0
        self._open = OpenStreams()
        self._next = 1
        self._exchanges: dict[int, _Exchange] = {}
        self._receive_window = _CONNECTION_WINDOW
        self._max_streams = frames.GREATEST_STREAM
        self._block: _Block | None = None
        self._idle_frames = 0
        self._template: Template | None = None
        self._layout: Layout | None = None

    # Calls

    @property
    def open_calls(self) -> int:
        """How many calls have not ended."""
        return self._open.count

    @property
    def room(self) -> int:
        """How many calls may be made now."""
        if self.ended or self.leaving or not self.ready:
            return 0
        left = (frames.GREATEST_STREAM - self._next) // 2 + 1
        if not left:
            self.leaving = "the stream ids are used up"
        return max(0, min(left, self._max_streams - self._open.count))

    @property
    def next_stream(self) -> int:
        """The stream id of the next call."""
        return self._next

    def call(self, tag: int, message: bytes) -> int:
        """Make one call, for which there must be room; its message is queued as far as flow control allows. Returns its stream id."""
        stream = self._next
        self._next += 2
        self._open.open(stream, np.array([tag]))
        self._sender.request(stream, message)
        return stream

    def call_many(self, tags: Integers, wheel: Wheel, positions: Integers) -> memoryview | None:
        """Make calls with the requests at these positions of a wheel, for which there must be room; the caller sends the bytes returned.

        None, and nothing is done, where they must go one by one: for flow control, or since another header block is needed.
        """
        octets = self._sender.many(wheel, positions, self._next)
        if octets is None:
            return None
        stream = self._next
        self._next += 2 * len(tags)
        self._open.open(stream, tags)
        return octets

    def predicted_block(self) -> bytes:
        """The header block that a wheel for this connection must have: that of every request but the first, as things are now."""
        return self._sender.predicted_block()

    def cancel(self, tags: Integers) -> None:
        """Give up the calls of these tags that are under way here; they yield no event any more."""
        for stream in self._open.tagged(tags).tolist():
            self._open.close_one(stream)
            self._forget(stream)
            self.outgoing += frames.rst_stream_frame(stream, Code.CANCEL)

    def lose(self, reason: str, sent_below: int) -> None:
        """The connection is lost, after all of the streams below `sent_below` but nothing of the others was sent: yields events."""
        self._end(reason, Refusal("UNAVAILABLE", reason), sent_below)

    # Bytes in

    def space(self) -> memoryview:
        """Where bytes from the peer are to be put."""
        if self._start:
            rest = self._filled - self._start
            self._buffer[:rest] = self._buffer[self._start : self._filled]
            self._start, self._filled = 0, rest
        return self._view[self._filled :]

    def received(self, count: int) -> None:
        """So many bytes were put into `space`. Yields events."""
        if self.ended:
            return
        self._filled += count
        try:
            self._read()
            self._grant()
        except ProtocolError as error:
            reason = f"the server broke HTTP/2: {error}"
            self.outgoing += frames.goaway_frame(0, error.code, str(error))
            self._end(reason, Refusal("UNAVAILABLE", reason), self._next)

    def _read(self) -> None:
        if not self.ready and self._filled - self._start > 3 and self._view[self._start + 3] != Kind.SETTINGS:
            first = bytes(self._view[self._start : min(self._filled, self._start + 24)])
            raise ProtocolError(f"expected SETTINGS, got {first!r}: is this the server's gRPC side, and the same use of TLS?")
        view = self._view[: self._filled]
        while self._start < self._filled:
            if self._block is None and self._template and self._read_run(self._template):
                continue
            if self._template and self._block is None and self._template.begins(self._octets[self._start : self._filled]):
                return
            frame = frames.read_frame(view, self._start, _MAX_FRAME_BYTES)
            if frame is None:
                return
            self._start += frames.HEADER_BYTES + len(frame.payload)
            self._take(frame)

    def _read_run(self, template: Template) -> bool:
        """Take responses of the known layout, if that is what comes next."""
        start = self._start
        if self._filled - start < template.length or self._view[start : start + 5] != template.start:
            return False
        if template.layout.version != self._decoder.version:
            self._template = None
            return False
        run = template.whole(self._octets[start : self._filled])
        if run is None or (self._exchanges and not self._exchanges.keys().isdisjoint(run.streams.tolist())):
            return False
        tags = self._open.close(run.streams)
        if tags is None:
            return False
        self._start += run.length
        self._idle_frames = 0
        self._receive_window -= len(tags) * (PREFIX_BYTES + template.layout.message_bytes)
        self._check_receive_window()
        self.useful = True
        self.events.append(Answers(tags, run.bodies))
        return True

    def _take(self, frame: Frame) -> None:
        self._idle_frames += 1
        if self._idle_frames > _MOST_IDLE_FRAMES + _IDLE_FRAMES_PER_STREAM * self._open.count:
            raise ProtocolError(f"{self._idle_frames:,} frames came that brought no call further", Code.ENHANCE_YOUR_CALM)
        if self._block is not None and (frame.kind != Kind.CONTINUATION or frame.stream != self._block.stream):
            raise ProtocolError("a header block was interrupted")
        take = _TAKES.get(frame.kind)
        if take is None:
            return
        if (frame.kind in _ON_CONNECTION and frame.stream) or (frame.kind in _ON_STREAM and not frame.stream):
            raise ProtocolError(f"a {Kind(frame.kind).name} frame on stream {frame.stream}")
        if frame.stream and frame.kind != Kind.PRIORITY and (frame.stream >= self._next or frame.stream % 2 == 0):
            raise ProtocolError(f"a {Kind(frame.kind).name} frame on stream {frame.stream}, which was never opened")
        take(self, frame)

    # Frames of a stream

    def _data(self, frame: Frame) -> None:
        self._receive_window -= len(frame.payload)
        self._check_receive_window()
        content = frames.content(frame)
        stream = frame.stream
        if stream not in self._open:
            return
        exchange = self._exchanges.get(stream)
        if exchange is None or exchange.headers is None:
            self._refuse(stream, Refusal("INTERNAL", "data came before the headers"))
            return
        exchange.receive_window -= len(frame.payload)
        if exchange.receive_window < 0:
            self._refuse(stream, Refusal("INTERNAL", "the server sent more than the stream's window"), Code.FLOW_CONTROL_ERROR)
            return
        if len(content) >= _LEAST_DATA_BYTES:
            self._idle_frames -= 1
        exchange.body += content
        exchange.data_frames += 1
        exchange.plain &= not frame.flags
        refusal = self._oversized(exchange)
        if refusal is not None:
            self._refuse(stream, refusal)
        elif frame.flags & Flag.END_STREAM:
            self._finish(stream, exchange, None)
        elif exchange.receive_window < _STREAM_WINDOW // 2:
            self.outgoing += frames.window_update_frame(stream, _STREAM_WINDOW - exchange.receive_window)
            exchange.receive_window = _STREAM_WINDOW

    def _oversized(self, exchange: _Exchange) -> Refusal | None:
        body = exchange.body
        if len(body) < PREFIX_BYTES:
            return None
        announced = responses.message_bytes(body)
        if announced > self._max_message_bytes:
            return responses.too_large(announced, self._max_message_bytes)
        if len(body) > PREFIX_BYTES + announced:
            return Refusal("INTERNAL", "more than one message came in answer to one call")
        return None

    def _headers(self, frame: Frame) -> None:
        self._add_to_block(_Block(frame.stream, frame.flags, bytearray()), frames.content(frame), frame.flags)

    def _continuation(self, frame: Frame) -> None:
        if self._block is None:
            raise ProtocolError("a CONTINUATION frame without a header block before it")
        self._add_to_block(self._block, frame.payload, frame.flags)

    def _add_to_block(self, block: _Block, piece: memoryview, flags: int) -> None:
        block.octets += piece
        if len(block.octets) > _MAX_BLOCK_BYTES:
            raise ProtocolError(f"a header block of more than {_MAX_BLOCK_BYTES:,} bytes", Code.ENHANCE_YOUR_CALM)
        self._block = None if flags & Flag.END_HEADERS else block
        if self._block is None:
            self._take_block(block)

    def _take_block(self, block: _Block) -> None:
        octets = bytes(block.octets)
        fields = self._decoder.decode(octets)
        stream = block.stream
        if stream not in self._open:
            return
        exchange = self._exchanges.setdefault(stream, _Exchange())
        ends = block.flags & Flag.END_STREAM
        whole = block.flags & ~Flag.END_STREAM == Flag.END_HEADERS
        if exchange.headers is None and not ends:
            if dict(fields).get(b":status", b"").startswith(b"1"):
                return
            exchange.headers, exchange.headers_block = fields, octets
            exchange.plain &= whole
        elif ends:
            layout = None
            if exchange.plain and whole and exchange.data_frames == 1:
                message_bytes = len(exchange.body) - PREFIX_BYTES
                layout = Layout(exchange.headers_block, message_bytes, octets, self._decoder.version)
            self._finish(stream, exchange, fields, layout)
        else:
            self._refuse(stream, Refusal("INTERNAL", "headers came in the midst of a response"))

    def _finish(self, stream: int, exchange: _Exchange, trailers: list[Field] | None, layout: Layout | None = None) -> None:
        """The peer has ended the stream."""
        headers = exchange.headers
        if headers is None:
            headers, trailers = trailers or [], None
        outcome = responses.response(headers, trailers, exchange.body, self._max_message_bytes)
        if self._sender.forget(stream):
            # The answer did not need the whole request (RFC 9113, section 8.1).
            self.outgoing += frames.rst_stream_frame(stream, Code.CANCEL)
        tag = self._close(stream)
        if isinstance(outcome, Refusal):
            self.events.append(Refused(tag, outcome))
            return
        self.useful = True
        self.events.append(Answer(tag, outcome))
        if layout is not None and not exchange.body[0]:
            self._learn(layout)

    def _learn(self, layout: Layout) -> None:
        """Recognise responses of this layout from now on, once two of them came one after the other."""
        if layout == self._layout and (self._template is None or self._template.layout != layout):
            template = Template(layout)
            self._template = template if template.length <= _MAX_FRAME_BYTES else None
        self._layout = layout

    def _reset(self, frame: Frame) -> None:
        code = frames.read_number(frame)
        if frame.stream not in self._open:
            return
        tag = self._close(frame.stream)
        refusal = responses.reset(code)
        self.events.append(Untouched(tag, refusal) if code == Code.REFUSED_STREAM else Refused(tag, refusal))

    def _refuse(self, stream: int, refusal: Refusal, code: Code = Code.CANCEL) -> None:
        """Fail a call for what came on its stream."""
        self.outgoing += frames.rst_stream_frame(stream, code)
        self.events.append(Refused(self._close(stream), refusal))

    def _close(self, stream: int) -> int:
        tag = self._open.close_one(stream)
        assert tag is not None
        self._forget(stream)
        self._idle_frames = 0
        return tag

    def _forget(self, stream: int) -> None:
        self._exchanges.pop(stream, None)
        self._sender.forget(stream)

    # Frames of the connection

    def _settings(self, frame: Frame) -> None:
        settings = frames.read_settings(frame)
        if frame.flags & Flag.ACK:
            return
        for identifier, value in settings:
            if identifier == Setting.MAX_CONCURRENT_STREAMS:
                self._max_streams = value
            else:
                self._sender.set(identifier, value)
        self.outgoing += frames.SETTINGS_ACK
        self.ready = True
        self._sender.send_unsent()

    def _window_update(self, frame: Frame) -> None:
        increment = frames.read_number(frame) & frames.GREATEST_WINDOW
        if not frame.stream:
            self._sender.widen(increment)
        elif frame.stream in self._open:
            if not increment:
                self._refuse(frame.stream, Refusal("INTERNAL", "a WINDOW_UPDATE by nothing"), Code.PROTOCOL_ERROR)
            elif not self._sender.widen_stream(frame.stream, increment):
                self._refuse(frame.stream, Refusal("INTERNAL", "the stream's window grew too large"), Code.FLOW_CONTROL_ERROR)
        if self._sender.send_unsent():
            self._idle_frames -= 1

    def _ping(self, frame: Frame) -> None:
        if len(frame.payload) != 8:
            raise ProtocolError(f"a PING frame has {len(frame.payload)} bytes, expected 8", Code.FRAME_SIZE_ERROR)
        if not frame.flags & Flag.ACK:
            self.outgoing += frames.ping_ack_frame(frame.payload)

    def _goaway(self, frame: Frame) -> None:
        last, code, words = frames.read_goaway(frame)
        self.leaving = f"the server sent GOAWAY, {frames.code_name(code)}{words and f': {words}'}"
        for stream in self._open.above(last).tolist():
            self.events.append(Untouched(self._close(stream), Refusal("UNAVAILABLE", self.leaving)))

    def _push_promise(self, frame: Frame) -> None:
        raise ProtocolError(f"a PUSH_PROMISE on stream {frame.stream}, although pushing is disabled")

    def _priority(self, frame: Frame) -> None:
        """What the peer would prefer does not matter to a client."""

    def _check_receive_window(self) -> None:
        if self._receive_window < 0:
            raise ProtocolError("the server sent more than the connection's window", Code.FLOW_CONTROL_ERROR)

    def _grant(self) -> None:
        """Allow the peer more on the connection, seldom."""
        if self._receive_window < _CONNECTION_WINDOW // 2:
            self.outgoing += frames.window_update_frame(0, _CONNECTION_WINDOW - self._receive_window)
            self._receive_window = _CONNECTION_WINDOW

    def _end(self, reason: str, refusal: Refusal, sent_below: int) -> None:
        self.ended = reason
        for stream in self._open.above(0).tolist():
            kind = Refused if stream < sent_below else Untouched
            self.events.append(kind(self._close(stream), refusal))


_TAKES: dict[int, Callable[[Connection, Frame], None]] = {
    Kind.DATA: Connection._data,
    Kind.HEADERS: Connection._headers,
    Kind.PRIORITY: Connection._priority,
    Kind.RST_STREAM: Connection._reset,
    Kind.SETTINGS: Connection._settings,
    Kind.PUSH_PROMISE: Connection._push_promise,
    Kind.PING: Connection._ping,
    Kind.GOAWAY: Connection._goaway,
    Kind.WINDOW_UPDATE: Connection._window_update,
    Kind.CONTINUATION: Connection._continuation,
}
_ON_CONNECTION = (Kind.SETTINGS, Kind.PING, Kind.GOAWAY)
_ON_STREAM = (Kind.DATA, Kind.HEADERS, Kind.PRIORITY, Kind.RST_STREAM, Kind.PUSH_PROMISE, Kind.CONTINUATION)
